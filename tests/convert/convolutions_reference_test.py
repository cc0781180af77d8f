"""Convolutional towers with random weights against plain PyTorch: needs the `convert` extra."""

import pytest

from cir_tf.encoders import image_mobilenet, image_resnet, image_resnet_v2
from cir_tf.encoders._images import fields

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
from scripts.benchmarks._torch_convolutions import MobileNet, ResNet, ResNetV2  # noqa: E402
from tests.convert.reference import check, converted, pictures, save_tensorflow, shaken  # noqa: E402

NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
NARROW = {"stem_width": 8, "blocks": (2, 1, 2, 1)}


def both(module, *variants, **narrow):
    """Parameters of a test: (sizes, side of the pictures) of small towers and of published ones, which are slow."""
    for variant in variants:
        published = fields(module.VARIANTS, variant)
        yield pytest.param(published | narrow, 64, id=f"{variant}-tiny")
        yield pytest.param(published, 224, id=f"{variant}-full", marks=pytest.mark.slow)


def read(model, pixels_BCHW):
    with torch.no_grad():
        return model(pixels_BCHW)


@pytest.mark.parametrize(("size", "side"), both(image_resnet, "resnet18", "resnet50", **NARROW))
def test_resnet(tmp_path, size, side):
    pixels_BHWC, pixels_BCHW = pictures(side)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normal_BCHW = (pixels_BCHW / 255 - mean) / deviation
    model = shaken(ResNet(**size), normal_BCHW)
    torch.save(model.state_dict(), tmp_path / "resnet.pth")
    encoder = converted(tmp_path / "resnet.pth", image_size=side)
    expected = read(model, normal_BCHW)
    features = encoder(pixels_BHWC)
    for stage, (got, each) in enumerate(zip(features.maps, expected, strict=True), 1):
        check(f"map {stage}", got, each)
    check("pooled", features.pooled_BE, expected[-1].mean((2, 3)))


def save_as_slim(model, root, folder):
    """A checkpoint of TensorFlow 1 with slim's names; where it is."""
    arrays = {}
    for name, tensor in model.state_dict().items():
        *path, last = name.split(".")
        layer, array = model.get_submodule(".".join(path)), tensor.numpy()
        if isinstance(layer, torch.nn.Conv2d):
            is_depthwise = layer.groups > 1
            kind = "biases" if last == "bias" else "depthwise_weights" if is_depthwise else "weights"
            order = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
            array = array.transpose(order) if array.ndim == 4 else array
        elif last == "num_batches_tracked" or path[0] == "map_norms":
            continue
        else:
            kind = NORM[last]
        arrays["/".join([root, *path, kind])] = array
    return save_tensorflow(folder / "model.ckpt", arrays)


@pytest.mark.parametrize(("size", "side"), both(image_resnet_v2, "resnet50_v2", **NARROW))
def test_resnet_v2(tmp_path, size, side):
    pixels_BHWC, pixels_BCHW = pictures(side)
    model = shaken(ResNetV2(**size), pixels_BCHW / 127.5 - 1)
    for norm in model.map_norms.values():  # in no published file
        norm.reset_parameters()
    encoder = converted(save_as_slim(model, "resnet_v2_50", tmp_path), image_size=side)
    expected = read(model, pixels_BCHW / 127.5 - 1)
    for level, (got, each) in enumerate(zip(encoder(pixels_BHWC).maps, expected, strict=True), 1):
        check(f"map {level}", got, each)


NARROW_BLOCKS = {"stem_width": 4, "widths": (8, 12, 12, 16, 16, 20, 20, 20, 20, 20, 20, 24, 24)}


@pytest.mark.parametrize(("size", "side"), both(image_mobilenet, "mobilenet_v1", **NARROW_BLOCKS))
def test_mobilenet(tmp_path, size, side):
    pixels_BHWC, pixels_BCHW = pictures(side)
    model = shaken(MobileNet(**size), pixels_BCHW / 127.5 - 1, gain=2)
    encoder = converted(save_as_slim(model, "MobilenetV1", tmp_path), image_size=side)
    expected = read(model, pixels_BCHW / 127.5 - 1)
    for level, (got, each) in enumerate(zip(encoder(pixels_BHWC).maps, expected, strict=True), 1):
        check(f"map {level}", got, each)
