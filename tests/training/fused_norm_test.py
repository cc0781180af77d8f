import numpy as np
import pytest
import tensorflow as tf

from cir_tf.layers import BatchNorm
from cir_tf.training.task import fused_batch_norm
from tests.golden import S


def trained(fused, x, upstream):
    """Output, gradients and moving statistics of one call in training."""
    norm = BatchNorm()
    norm.fused = fused
    norm.build(x.shape)
    norm.gamma.assign([2.0, 1.0, 0.5])
    norm.beta.assign([0.1, 0.2, 0.3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = norm(x, training=True)
    gradients = tape.gradient(y, [x, norm.gamma.value, norm.beta.value], output_gradients=upstream)
    return [y, *gradients, norm.moving_mean, norm.moving_variance]


@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (2, 3, 1, 3)])
def test_the_kernel_equals_the_layers_own_formula(shape):
    x = tf.constant(3 * S(shape, 0.7, 0.4) + 2, tf.float32)
    upstream = tf.constant(S(shape, 1.9, 0.3), tf.float32)
    own, fused = trained(None, x, upstream), trained(fused_batch_norm, x, upstream)
    for left, right in zip(own, fused, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=2e-6)


def test_the_kernel_bears_a_single_place():
    y, *others = trained(fused_batch_norm, tf.constant([[[[1.0, 5.0, -3.0]]]]), tf.ones([1, 1, 1, 3]))
    np.testing.assert_allclose(y, [[[[0.1, 0.2, 0.3]]]])
    assert all(np.isfinite(each).all() for each in others)


def test_vectors_and_evaluation_do_not_take_the_kernel():
    norm = BatchNorm()
    map_BHWC, rows_BC = S((2, 3, 4, 3), 0.7, 0.4).astype("float32"), S((5, 3), 0.7, 0.4).astype("float32")
    expected = [norm(rows_BC, training=True), norm(map_BHWC, training=False)]
    again = BatchNorm()
    again.fused = lambda *_: pytest.fail("the kernel was called")
    for left, right in zip(expected, [again(rows_BC, training=True), again(map_BHWC, training=False)], strict=True):
        np.testing.assert_array_equal(left, right)
