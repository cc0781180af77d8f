"""What the tests of golden numbers share."""

import contextlib

import keras
import numpy as np


def S(shape, a, b):
    """sin(a k + b), k = 0, 1, 2, ... in C order, float64: the generator of specs/tirg.md, section 9."""
    return np.sin(a * np.arange(np.prod(shape)) + b).reshape(shape)


@contextlib.contextmanager
def policy(name):
    """Layers made inside have this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def close(got, expected, atol=5.1e-7):
    """Equal to the printed digits: six decimals unless told otherwise."""
    np.testing.assert_allclose(keras.ops.convert_to_numpy(got), expected, rtol=0, atol=atol)
