import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import resnet, tirg
from cir_tf.encoders.image_resnet import ImageResNet
from cir_tf.errors import UserError
from tests.encoders.numpy_nets import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    conv_oihw,
    fill,
    images,
    normalize,
    relu,
    windows_nchw,
)
from tests.golden import policy

SMALL = {"stem_width": 3, "blocks": (2, 1, 2, 1)}
BOTTLENECK = [("resnet18", False), ("resnet50", True)]


def torch_shapes(width, blocks, bottleneck):
    """Names and shapes of torchvision's state dictionary."""
    shapes = {"conv1.weight": (width, 3, 7, 7), **norm_shapes("bn1", width)}
    entering = width
    for layer, count in enumerate(blocks, start=1):
        inner = width * 2 ** (layer - 1)
        leaving = 4 * inner if bottleneck else inner
        for block in range(count):
            start = f"layer{layer}.{block}."
            kernels = [(inner, entering, 3), (inner, inner, 3)]
            if bottleneck:
                kernels = [(inner, entering, 1), (inner, inner, 3), (leaving, inner, 1)]
            if block == 0 and (layer > 1 or entering != leaving):
                shapes[f"{start}downsample.0.weight"] = (leaving, entering, 1, 1)
                shapes |= norm_shapes(f"{start}downsample.1", leaving)
            for i, (outer, inside, side) in enumerate(kernels, start=1):
                shapes[f"{start}conv{i}.weight"] = (outer, inside, side, side)
                shapes |= norm_shapes(f"{start}bn{i}", outer)
            entering = leaving
    return shapes | {"fc.weight": (7, entering), "fc.bias": (7,)}


def norm_shapes(name, width):
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()
    }


def oracle(state, image_BHWC, blocks, bottleneck, training=False):
    """(maps, pooled) of torchvision's network, NCHW."""

    def norm(x, name):
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        if training:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        return normalize(x, state[f"{name}.weight"], state[f"{name}.bias"], mean, variance, 1, 1e-5)

    x = ((image_BHWC / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION).transpose(0, 3, 1, 2)
    x = relu(norm(conv_oihw(x, state["conv1.weight"], 2), "bn1"))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = windows_nchw(padded, 3, 2).max(axis=(4, 5))
    maps = []
    for layer, count in enumerate(blocks, start=1):
        for block in range(count):
            start, stride = f"layer{layer}.{block}.", 2 if layer > 1 and block == 0 else 1
            strides = (1, stride, 1) if bottleneck else (stride, 1)
            y = x
            for i, each in enumerate(strides, start=1):
                y = norm(conv_oihw(y, state[f"{start}conv{i}.weight"], each), f"{start}bn{i}")
                y = relu(y) if i < len(strides) else y
            if f"{start}downsample.0.weight" in state:
                x = norm(conv_oihw(x, state[f"{start}downsample.0.weight"], stride), f"{start}downsample.1")
            x = relu(y + x)
        maps.append(x)
    return maps, x.mean(axis=(2, 3))


def small(variant, bottleneck, side=44, dtype="float64"):
    with policy(dtype):
        encoder = ImageResNet(variant, image_size=side, **SMALL)
    encoder(images(1, side))
    state = fill(torch_shapes(SMALL["stem_width"], SMALL["blocks"], bottleneck))
    weights.assign(encoder, apply(resnet.FAMILY, state))
    return encoder, state


@pytest.mark.parametrize("side", [44, 37])  # 37 gives maps of odd sides, where padding on one side would differ
@pytest.mark.parametrize(("variant", "bottleneck"), BOTTLENECK)
@pytest.mark.parametrize("training", [False, True])
def test_equals_torchvision_written_in_numpy(variant, bottleneck, side, training):
    encoder, state = small(variant, bottleneck, side)
    image = images(2, side)
    features = encoder(image, training=training)
    maps, pooled = oracle(state, image.astype("float64"), SMALL["blocks"], bottleneck, training)
    for got, expected in zip(features.maps, maps, strict=True):
        np.testing.assert_allclose(got, expected.transpose(0, 2, 3, 1), atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(features.pooled_BE, pooled, atol=1e-9 * np.abs(pooled).max())


def test_training_moves_the_statistics_as_torch_does():
    encoder, state = small("resnet18", False)
    image = images(3, 44)
    encoder(image, training=True)
    pixels = ((image / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION).transpose(0, 3, 1, 2)
    x = conv_oihw(pixels, state["conv1.weight"], 2)
    unbiased = x.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(encoder.stem_norm.moving_variance, 0.9 * state["bn1.running_var"] + 0.1 * unbiased)
    mean = 0.9 * state["bn1.running_mean"] + 0.1 * x.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(encoder.stem_norm.moving_mean, mean)


@pytest.mark.parametrize(("variant", "count"), [("resnet18", 11_176_512), ("resnet50", 23_508_032)])
def test_parameters_of_the_published_sizes(variant, count):
    """torchvision's 11,689,512 and 25,557,032 without the classifier of 1000 classes."""
    encoder = ImageResNet(variant, image_size=64)
    features = encoder(np.zeros((1, 64, 64, 3), "uint8"))
    assert sum(np.prod(each.shape) for each in encoder.trainable_weights) == count
    assert [each.shape[1] for each in features.maps] == [16, 8, 4, 2]


def test_tirg_checkpoint_gives_the_same_tower():
    shapes = torch_shapes(SMALL["stem_width"], SMALL["blocks"], False)
    plain = fill(shapes)
    state = {f"img_model.{name}": array for name, array in plain.items()}
    state |= {"img_model.fc.0.weight": np.ones((4, 24)), "a": np.ones(4), "text_model.lstm.bias_ih_l0": np.ones(8)}
    found, expected = apply(tirg.IMAGE_TOWER, state), apply(resnet.FAMILY, plain)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    assert tirg.IMAGE_TOWER.fits(state) and not resnet.FAMILY.fits(state)
    assert resnet.FAMILY.fits(plain) and not tirg.IMAGE_TOWER.fits(plain)


@pytest.mark.parametrize(("variant", "bottleneck"), BOTTLENECK)
def test_sizes_are_read_from_the_file(variant, bottleneck):
    state = fill(torch_shapes(5, (1, 3, 1, 2), bottleneck))
    expected = {"name": "image_resnet", "variant": variant, "stem_width": 5, "blocks": (1, 3, 1, 2)}
    assert resnet.FAMILY.part(state) == expected


@pytest.mark.parametrize(("family", "prefix"), [(resnet.FAMILY, ""), (tirg.IMAGE_TOWER, "img_model.")])
def test_tensors_that_no_rule_knows_are_refused(family, prefix):
    shapes = torch_shapes(3, (1, 1, 1, 1), False) | {"layer1.0.se.weight": (3,)}
    with pytest.raises(UserError, match=r"layer1\.0\.se\.weight"):
        apply(family, {prefix + name: array for name, array in fill(shapes).items()})


def test_mixed_precision_is_finite():
    encoder, _ = small("resnet50", True, dtype="mixed_bfloat16")
    features = encoder(images(2, 44), training=True)
    assert all(np.isfinite(np.asarray(each, "float32")).all() for each in (features.pooled_BE, *features.maps))
    assert encoder.stem_norm.gamma.dtype == "float32"


@pytest.mark.parametrize("wrong", [{"variant": "resnet19"}, {"depths": (1, 1)}])
def test_unknown_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match=r"resnet19|depths"):
        ImageResNet(**wrong)
