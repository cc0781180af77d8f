"""What the tests of golden numbers share."""

import contextlib

import keras
import numpy as np


def S(shape, a, b):
    """sin(a k + b), k = 0, 1, 2, ... in C order, float64: the generator of specs/tirg.md, section 9."""
    return np.sin(a * np.arange(np.prod(shape)) + b).reshape(shape)


def h(j, k):
    """2 ((3571 j^2 + 7919 j + 1009 k) mod 10007) / 10007 - 1, in [-1, 1); specs/clip_and_blip2.md, section 0."""
    j = np.asarray(j, np.int64)
    return 2 * ((3571 * j * j + 7919 * j + 1009 * k) % 10007) / 10007 - 1


def HP(shape, k, a):
    """a h(j, k), j = 0, 1, 2, ... in C order."""
    return a * h(np.arange(np.prod(shape, dtype=int)), k).reshape(shape)


def FILL(shapes):
    """Arrays for a PyTorch state: the place of a name among the sorted names gives k, its kind the scale.

    Args:
        shapes: {name: shape}, without `num_batches_tracked`.
    """
    return {name: _filled(name, shapes[name], k) for k, name in enumerate(sorted(shapes))}


def _filled(name, shape, k):
    if name.endswith("running_var"):
        return 1 + 0.5 * (1 + HP(shape, k, 1))
    if len(shape) == 1:
        is_gain = name.endswith("weight")
        return is_gain + HP(shape, k, 0.1)
    return HP(shape, k, 1.7 / np.sqrt(np.prod(shape[1:])) if shape else 1)


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
