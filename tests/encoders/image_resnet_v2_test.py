import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.base import constants
from cir_tf.convert.families import resnet_v2
from cir_tf.encoders.image_resnet_v2 import ImageResNetV2
from tests.encoders.numpy_nets import (
    conv_hwio,
    fill,
    images,
    normalize,
    relu,
    same_nhwc,
    symmetric_nhwc,
    valid_nhwc,
)
from tests.golden import policy

SMALL = {"stem_width": 3, "blocks": (2, 1, 3, 2)}
STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


def slim_shapes(width, blocks):
    """Names and shapes of slim's checkpoint."""
    shapes = {"conv1/weights": (7, 7, 3, width), "conv1/biases": (width,)}
    entering = width
    for stage, count in enumerate(blocks, start=1):
        leaving = 4 * width * 2 ** (stage - 1)
        inner = leaving // 4
        for unit in range(1, count + 1):
            start = f"block{stage}/unit_{unit}/bottleneck_v2/"
            if unit == 1:
                shapes |= {start + "shortcut/weights": (1, 1, entering, leaving), start + "shortcut/biases": (leaving,)}
            shapes |= norm_shapes(start + "preact", entering)
            shapes |= norm_shapes(start + "conv1/BatchNorm", inner) | norm_shapes(start + "conv2/BatchNorm", inner)
            shapes[start + "conv1/weights"] = (1, 1, entering, inner)
            shapes[start + "conv2/weights"] = (3, 3, inner, inner)
            shapes |= {start + "conv3/weights": (1, 1, inner, leaving), start + "conv3/biases": (leaving,)}
            entering = leaving
    shapes |= norm_shapes("postnorm", entering) | {"logits/weights": (1, 1, entering, 7), "logits/biases": (7,)}
    return {f"resnet_v2_50/{name}": shape for name, shape in shapes.items()}


def norm_shapes(name, width):
    return {f"{name}/{part}": (width,) for part in STATISTICS}


def oracle(state, extra, image_BHWC, blocks):
    """VAL's three maps; `extra` holds the statistics of its two norms, "map_norm_2/gamma" and so on."""
    named = {name.removeprefix("resnet_v2_50/"): array for name, array in state.items()} | extra

    def norm(x, name):
        return normalize(x, *(named[f"{name}/{part}"] for part in STATISTICS), 3, 1e-5)

    x = conv_hwio(symmetric_nhwc(image_BHWC / 127.5 - 1, 7, 2), named["conv1/weights"]) + named["conv1/biases"]
    x = same_nhwc(x, 3, 2, -np.inf).max(axis=(4, 5))
    maps = []
    for stage, count in enumerate(blocks, start=1):
        for unit in range(1, count + 1):
            start, stride = f"block{stage}/unit_{unit}/bottleneck_v2/", 2 if unit == count and stage < 4 else 1
            h = relu(norm(x, start + "preact"))
            if unit == 1:
                shortcut = conv_hwio(valid_nhwc(h, 1, stride), named[start + "shortcut/weights"])
                shortcut = shortcut + named[start + "shortcut/biases"]
            else:
                shortcut = x[:, ::stride, ::stride]  # a max-pool of 1x1
            y = relu(norm(conv_hwio(valid_nhwc(h, 1, 1), named[start + "conv1/weights"]), start + "conv1/BatchNorm"))
            y = conv_hwio(symmetric_nhwc(y, 3, stride), named[start + "conv2/weights"])
            y = relu(norm(y, start + "conv2/BatchNorm"))
            x = (
                conv_hwio(valid_nhwc(y, 1, 1), named[start + "conv3/weights"])
                + named[start + "conv3/biases"]
                + shortcut
            )
        if stage in (2, 3):
            maps.append(relu(norm(x, f"map_norm_{stage}")))
    return [*maps, relu(norm(x, "postnorm"))]


def small(side, dtype="float64"):
    with policy(dtype):
        encoder = ImageResNetV2(image_size=side, **SMALL)
    encoder(images(1, side))
    state = fill(slim_shapes(**{"width": SMALL["stem_width"], "blocks": SMALL["blocks"]}))
    extra = fill(norm_shapes("map_norm_2", 24) | norm_shapes("map_norm_3", 48))
    weights.assign(encoder, apply(resnet_v2.FAMILY, state) | extra)
    return encoder, state, extra


@pytest.mark.parametrize("side", [64, 49, 70])
def test_equals_slims_network_written_in_numpy(side):
    encoder, state, extra = small(side)
    image = images(2, side)
    features = encoder(image)
    expected = oracle(state, extra, image.astype("float64"), SMALL["blocks"])
    for got, each in zip(features.maps, expected, strict=True):
        np.testing.assert_allclose(got, each, atol=1e-9 * np.abs(each).max())
    np.testing.assert_allclose(features.pooled_BE, expected[-1].mean(axis=(1, 2)))


def test_the_levels_have_the_published_sizes_and_parameters():
    """23,519,360 of ResNet-50 v2 without its classifier, and 3,072 of VAL's two norms."""
    encoder = ImageResNetV2()
    features = encoder(np.zeros((1, 256, 256, 3), "uint8"))
    assert [tuple(each.shape[1:]) for each in features.maps] == [(16, 16, 512), (8, 8, 1024), (8, 8, 2048)]
    assert encoder.map_widths == (512, 1024, 2048) and encoder.width == 2048
    assert sum(np.prod(each.shape) for each in encoder.trainable_weights) == 23_522_432


def test_norms_that_no_file_holds_start_as_a_plain_scale():
    encoder = ImageResNetV2(image_size=32, **SMALL)
    encoder(images(1, 32))
    started = {name: np.asarray(each) for name, each in weights.named(encoder).items()}
    found = constants(resnet_v2.FAMILY, weights.shapes(started))
    assert found.keys() == norm_shapes("map_norm_2", 1).keys() | norm_shapes("map_norm_3", 1).keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, started[name])
        assert set(array) == {1.0 if name.endswith(("gamma", "variance")) else 0.0}


def test_slims_decay_moves_the_statistics():
    encoder, state, _ = small(64)
    image = images(2, 64)
    encoder(image, training=True)
    kernel, bias = state["resnet_v2_50/conv1/weights"], state["resnet_v2_50/conv1/biases"]
    x = same_nhwc(conv_hwio(symmetric_nhwc(image / 127.5 - 1, 7, 2), kernel) + bias, 3, 2, -np.inf).max(axis=(4, 5))
    before = state["resnet_v2_50/block1/unit_1/bottleneck_v2/preact/moving_variance"]
    expected = 0.997 * before + 0.003 * x.var(axis=(0, 1, 2), ddof=1)
    got = weights.named(encoder)["stage_1_block_1/input_norm/moving_variance"]
    np.testing.assert_allclose(got, expected)


def test_sizes_are_read_from_the_file():
    state = fill(slim_shapes(5, (1, 3, 1, 2)))
    assert resnet_v2.FAMILY.part(state) == {"name": "image_resnet_v2", "stem_width": 5, "blocks": (1, 3, 1, 2)}
    assert resnet_v2.FAMILY.fits(state)


def test_optimizer_slots_and_classifier_are_left_out():
    state = fill(slim_shapes(3, (1, 1, 1, 1)))
    slots = {"resnet_v2_50/conv1/weights/Momentum": np.ones(3), "global_step": np.ones(())}
    assert apply(resnet_v2.FAMILY, state | slots).keys() == apply(resnet_v2.FAMILY, state).keys()


def test_mixed_precision_is_finite():
    encoder, _, _ = small(64, "mixed_bfloat16")
    features = encoder(images(2, 64), training=True)
    assert all(np.isfinite(np.asarray(each, "float32")).all() for each in (features.pooled_BE, *features.maps))
