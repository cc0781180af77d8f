import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import mobilenet
from cir_tf.encoders.image_mobilenet import ImageMobileNet
from tests.encoders.numpy_nets import conv_hwio, fill, images, normalize, same_nhwc, valid_nhwc
from tests.golden import policy

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
SMALL = {"stem_width": 3, "widths": (4, 5, 6, 5, 4, 7, 6, 5, 4, 8, 6, 9, 10)}
STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


def slim_shapes(stem_width, widths):
    """Names and shapes of slim's checkpoint."""
    shapes, entering = {"Conv2d_0/weights": (3, 3, 3, stem_width)}, stem_width
    norms = {"Conv2d_0": stem_width}
    for i, width in enumerate(widths, start=1):
        shapes[f"Conv2d_{i}_depthwise/depthwise_weights"] = (3, 3, entering, 1)
        shapes[f"Conv2d_{i}_pointwise/weights"] = (1, 1, entering, width)
        norms |= {f"Conv2d_{i}_depthwise": entering, f"Conv2d_{i}_pointwise": width}
        entering = width
    shapes |= {f"{name}/BatchNorm/{part}": (width,) for name, width in norms.items() for part in STATISTICS}
    shapes |= {"Logits/Conv2d_1c_1x1/weights": (1, 1, entering, 7), "Logits/Conv2d_1c_1x1/biases": (7,)}
    return {f"MobilenetV1/{name}": shape for name, shape in shapes.items()}


def oracle(state, image_BHWC):
    """The outputs of the thirteen separable blocks."""

    def norm(x, name):
        statistics = (state[f"MobilenetV1/{name}/BatchNorm/{part}"] for part in STATISTICS)
        return np.clip(normalize(x, *statistics, 3, 1e-3), 0, 6)

    kernel = state["MobilenetV1/Conv2d_0/weights"]
    x = norm(conv_hwio(same_nhwc(image_BHWC / 127.5 - 1, 3, 2), kernel), "Conv2d_0")
    outputs = []
    for i, stride in enumerate(STRIDES, start=1):
        kernel = state[f"MobilenetV1/Conv2d_{i}_depthwise/depthwise_weights"]
        x = np.einsum("bhwcij,ijcm->bhwc", same_nhwc(x, 3, stride), kernel, optimize=True)
        x = norm(x, f"Conv2d_{i}_depthwise")
        x = conv_hwio(valid_nhwc(x, 1, 1), state[f"MobilenetV1/Conv2d_{i}_pointwise/weights"])
        x = norm(x, f"Conv2d_{i}_pointwise")
        outputs.append(x)
    return outputs


def small(side, dtype="float64"):
    with policy(dtype):
        encoder = ImageMobileNet(image_size=side, **SMALL)
    encoder(images(1, side))
    state = fill(slim_shapes(**SMALL))
    state = {name: 3 * array if name.endswith("gamma") else array for name, array in state.items()}  # to reach the 6
    weights.assign(encoder, apply(mobilenet.FAMILY, state))
    return encoder, state


@pytest.mark.parametrize("side", [64, 45])  # of even sides, "SAME" pads behind only; of odd ones, on both sides
def test_equals_slims_network_written_in_numpy(side):
    encoder, state = small(side)
    image = images(2, side)
    features = encoder(image)
    outputs = oracle(state, image.astype("float64"))
    for got, block in zip(features.maps, (6, 10, 13), strict=True):
        np.testing.assert_allclose(got, outputs[block - 1], atol=1e-12)
    np.testing.assert_allclose(features.pooled_BE, outputs[-1].mean(axis=(1, 2)))
    assert max(each.max() for each in outputs) == 6


def test_the_levels_have_the_published_sizes_and_parameters():
    """4,231,976 of MobileNet v1 without the classifier's 1,025,000."""
    encoder = ImageMobileNet()
    features = encoder(np.zeros((1, 224, 224, 3), "uint8"))
    assert [tuple(each.shape[1:]) for each in features.maps] == [(14, 14, 512), (14, 14, 512), (7, 7, 1024)]
    assert encoder.map_widths == (512, 512, 1024) and encoder.width == 1024
    assert sum(np.prod(each.shape) for each in encoder.trainable_weights) == 4_231_976 - 1_025_000


def test_slims_decay_moves_the_statistics():
    encoder, state = small(64)
    image = images(2, 64)
    encoder(image, training=True)
    x = conv_hwio(same_nhwc(image / 127.5 - 1, 3, 2), state["MobilenetV1/Conv2d_0/weights"])
    expected = 0.9997 * state["MobilenetV1/Conv2d_0/BatchNorm/moving_variance"]
    expected = expected + 0.0003 * x.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(weights.named(encoder)["stem/norm/moving_variance"], expected)


def test_sizes_are_read_from_the_file():
    state = fill(slim_shapes(**SMALL))
    assert mobilenet.FAMILY.part(state) == {"name": "image_mobilenet", **SMALL}
    assert mobilenet.FAMILY.fits(state)


def test_averages_and_optimizer_slots_are_left_out():
    state = fill(slim_shapes(**SMALL))
    name = "MobilenetV1/Conv2d_3_pointwise/weights"
    more = {f"{name}/{slot}": np.ones(3) for slot in ("ExponentialMovingAverage", "RMSProp", "RMSProp_1")}
    more["global_step"] = np.ones(())
    assert apply(mobilenet.FAMILY, state | more).keys() == apply(mobilenet.FAMILY, state).keys()


def test_mixed_precision_is_finite():
    encoder, _ = small(64, "mixed_bfloat16")
    features = encoder(images(2, 64), training=True)
    assert all(np.isfinite(np.asarray(each, "float32")).all() for each in (features.pooled_BE, *features.maps))


def test_taps_behind_the_last_block_are_refused():
    with pytest.raises(ValueError, match="14"):
        ImageMobileNet(taps=(6, 14))
