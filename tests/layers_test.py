import keras
import numpy as np
import pytest
from keras import ops

from cir_tf.layers import BatchNorm, TorchConv2D, TorchDense, l2_normalize
from tests.golden import S, policy


def test_unit_vectors_in_float32():
    vectors = l2_normalize(ops.cast([[3.0, -4.0], [0.0, 0.0]], "bfloat16"))
    assert vectors.dtype == "float32"
    np.testing.assert_allclose(vectors, [[0.6, -0.8], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(l2_normalize(np.array([[3.0, 5.0], [4.0, 12.0]]), axis=0)[:, 0], [0.6, 0.8])


@pytest.mark.parametrize(
    ("make", "shape", "fan_in"),
    [(lambda: TorchDense(400), (1, 25), 25), (lambda: TorchConv2D(64, 3), (1, 5, 5, 4), 36)],
)
def test_weights_and_biases_start_uniform_in_one_over_root_fan_in(make, shape, fan_in):
    keras.utils.set_random_seed(3)
    layer = make()
    layer.build(shape)
    for values in (np.ravel(layer.kernel.numpy()), layer.bias.numpy()):
        limit = fan_in**-0.5
        assert np.abs(values).max() <= limit
        assert np.abs(values).max() > 0.9 * limit
        assert abs(values.mean()) < 0.3 * limit
        assert abs(values.std() - limit / 3**0.5) < 0.1 * limit
    assert len(np.intersect1d(np.ravel(layer.kernel.numpy()), layer.bias.numpy())) < 3


@pytest.mark.parametrize("side", [1, 4, 5])
@pytest.mark.parametrize("strides", [1, 2])
def test_convolution_pads_both_sides_alike(side, strides):
    layer = TorchConv2D(1, 3, strides=strides, use_bias=False)
    image = S((1, side, side, 1), 0.7, 0.2).astype("float32")
    got = np.asarray(layer(image))[0, :, :, 0]
    padded = np.pad(image[0, :, :, 0], 1)
    kernel = layer.kernel.numpy()[:, :, 0, 0]
    places = range(0, side, strides)
    expected = [[np.sum(padded[i : i + 3, j : j + 3] * kernel) for j in places] for i in places]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size=4"):
        TorchConv2D(2, 4)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 3)])
def test_batch_norm_normalises_with_biased_and_remembers_unbiased_variance(shape):
    norm = BatchNorm()
    x = (3 * S(shape, 0.7, 0.4) + 2).astype("float32")
    rows = x.reshape(-1, 3).astype("float64")
    n = len(rows)
    mean, biased = rows.mean(0), ((rows - rows.mean(0)) ** 2).sum(0) / n
    got = np.asarray(norm(x, training=True)).reshape(-1, 3)
    np.testing.assert_allclose(got, (rows - mean) / np.sqrt(biased + 1e-5), atol=2e-6)
    np.testing.assert_allclose(norm.moving_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9 + 0.1 * biased * n / (n - 1), rtol=1e-5)

    norm.gamma.assign([2.0, 1.0, 0.5])
    norm.beta.assign([0.1, 0.2, 0.3])
    before = norm.moving_variance.numpy()
    got = np.asarray(norm(x, training=False)).reshape(-1, 3)
    expected = (rows - 0.1 * mean) / np.sqrt(before + 1e-5) * [2, 1, 0.5] + [0.1, 0.2, 0.3]
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_array_equal(norm.moving_variance.numpy(), before)


def test_batch_norm_of_one_row_in_training_is_finite():
    norm = BatchNorm()
    np.testing.assert_allclose(norm(np.array([[1.0, 5.0]], "float32"), training=True), [[0, 0]])
    assert np.isfinite(norm.moving_variance.numpy()).all()


def test_batch_norm_keeps_its_statistics_in_float32_under_mixed_precision():
    with policy("mixed_bfloat16"):
        norm = BatchNorm()
    # Around 100 neighbouring bfloat16 numbers are 0.5 apart, so that their mean needs more bits than they have.
    x = np.array([[100.0], [100.5], [101.0], [101.5]], "float32")
    assert norm(x, training=True).dtype == "bfloat16"
    np.testing.assert_allclose(norm.moving_mean.numpy(), [10.075], rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance.numpy(), [0.9 + 0.1 * 1.25 / 3], rtol=1e-5)
