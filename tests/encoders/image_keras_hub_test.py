import keras_hub
import numpy as np
import pytest

from cir_tf import weights
from cir_tf.encoders.image_keras_hub import ImageKerasHub
from tests.encoders.numpy_nets import images
from tests.golden import policy

SIZES = {"patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
VIT = ("ViTBackbone", {**SIZES, "mlp_dim": 12})
DINO = (
    "DINOV2Backbone",
    {**SIZES, "intermediate_dim": 12, "position_embedding_shape": (16, 16, 3), "num_register_tokens": 3},
)
SIGLIP = ("SigLIPVisionEncoder", {**SIZES, "intermediate_dim": 12})
CLIP = ("CLIPVisionEncoder", {**SIZES, "intermediate_dim": 12})
SWIN = ("SwinTransformerBackbone", {"embed_dim": 8, "depths": (1, 2), "num_heads": (1, 2), "window_size": 2})
RESNET = (
    "ResNetBackbone",
    {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 24],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block",
    },
)


def make(tower, **arguments):
    backbone, config = tower
    return ImageKerasHub(backbone=backbone, config=config, image_size=16, **arguments)


@pytest.mark.parametrize(("tower", "tokens"), [(VIT, 17), (DINO, 1 + 3 + 16), (CLIP, 17)])
def test_first_token_is_pooled_where_there_is_one(tower, tokens):
    features = make(tower)(images(2, 16))
    assert features.tokens_BLE.shape == (2, tokens, 8) and features.mask_BL.shape == (2, tokens)
    np.testing.assert_array_equal(features.pooled_BE, features.tokens_BLE[:, 0])
    assert features.maps == ()


def test_mean_is_pooled_where_all_tokens_are_patches():
    features = make(SWIN)(images(2, 16))
    assert features.tokens_BLE.shape == (2, 4, 16)
    np.testing.assert_allclose(features.pooled_BE, np.mean(features.tokens_BLE, axis=1), atol=1e-5)


def test_a_towers_own_vector_is_pooled():
    encoder = make(SIGLIP)
    tower = keras_hub.models.SigLIPVisionEncoder(**SIGLIP[1], image_shape=(16, 16, 3))
    tower.set_weights(encoder.tower.get_weights())
    features = encoder(images(2, 16))
    np.testing.assert_allclose(features.pooled_BE, tower({"images": images(2, 16) / 127.5 - 1}), atol=1e-5)
    assert features.tokens_BLE.shape == (2, 16, 8)
    head = tower.get_layer("head")
    np.testing.assert_allclose(features.pooled_BE, head(features.tokens_BLE), atol=1e-5)


def test_maps_are_those_of_the_pyramid():
    encoder = make(RESNET)
    features = encoder(images(2, 16))
    assert [tuple(each.shape) for each in features.maps] == [(2, 4, 4, 64), (2, 2, 2, 24)]
    assert encoder.map_widths == (64, 24) and encoder.width == 24 and features.tokens_BLE is None
    np.testing.assert_allclose(features.pooled_BE, np.mean(features.maps[-1], axis=(1, 2)), atol=1e-5)


def test_only_the_image_part_of_a_pair_is_kept(tmp_path):
    """A pair with a projection gives what the pair itself calls the embedding of an image."""
    vision = keras_hub.models.CLIPVisionEncoder(**CLIP[1], image_shape=(16, 16, 3))
    text = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=11,
        embedding_dim=6,
        hidden_dim=6,
        num_layers=1,
        num_heads=2,
        intermediate_dim=7,
        max_sequence_length=5,
    )
    pair = keras_hub.models.CLIPBackbone(vision_encoder=vision, text_encoder=text, projection_dim=5)
    vision.embedding.position_ids.assign(np.arange(17)[None])
    pair.save_to_preset(tmp_path / "pair")
    encoder = ImageKerasHub(str(tmp_path / "pair"))
    features = encoder(images(2, 16))
    expected = pair.get_vision_embeddings(images(2, 16) / 127.5 - 1)
    np.testing.assert_allclose(features.pooled_BE, expected, atol=1e-5)
    assert encoder.width == 5 and features.tokens_BLE.shape == (2, 17, 8)
    assert sum(np.prod(each.shape) for each in encoder.trainable_weights) < pair.count_params() - text.count_params()


def test_each_patch_of_clip_has_its_own_position():
    encoder = make(CLIP)
    encoder(images(1, 16))
    ids = weights.named(encoder)["embedding/position_ids"]
    np.testing.assert_array_equal(ids, np.arange(17)[None])


def test_a_local_preset_brings_weights_size_and_pixels(tmp_path):
    model = keras_hub.models.ViTBackbone(**VIT[1], image_shape=(24, 24, 3))
    model.save_to_preset(tmp_path / "vit")
    scale, offset = [0.01, 0.02, 0.03], [-0.5, 0.25, 0.75]
    converter = keras_hub.layers.ViTImageConverter(image_size=(24, 24), scale=scale, offset=offset)
    converter.save_to_preset(tmp_path / "vit")
    encoder = ImageKerasHub(str(tmp_path / "vit"))
    assert encoder.image_size == 24
    expected = model(images(2, 24) * scale + offset)
    np.testing.assert_allclose(encoder(images(2, 24)).tokens_BLE, expected, atol=1e-5)
    other = ImageKerasHub(str(tmp_path / "vit"), scale=0.5, offset=0.0)
    np.testing.assert_allclose(other(images(2, 24)).tokens_BLE, model(images(2, 24) * 0.5), atol=1e-5)


def test_a_preset_without_pixels_takes_minus_one_to_one(tmp_path):
    model = keras_hub.models.ViTBackbone(**VIT[1], image_shape=(16, 16, 3))
    model.save_to_preset(tmp_path / "vit")
    encoder = ImageKerasHub(str(tmp_path / "vit"))
    np.testing.assert_allclose(encoder(images(2, 16)).tokens_BLE, model(images(2, 16) / 127.5 - 1), atol=1e-5)


def test_weights_files_bring_the_same_outputs_back(tmp_path):
    first, second = make(DINO), make(DINO)
    expected = first(images(2, 16)).pooled_BE
    second(images(2, 16))
    weights.save(first, tmp_path / "dino.safetensors")
    weights.load(second, tmp_path / "dino.safetensors")
    np.testing.assert_array_equal(second(images(2, 16)).pooled_BE, expected)


@pytest.mark.parametrize("tower", [VIT, DINO, SIGLIP, RESNET])
def test_mixed_precision_is_finite(tower):
    with policy("mixed_bfloat16"):
        encoder = make(tower)
    pooled = encoder(images(2, 16), training=True).pooled_BE
    assert np.isfinite(np.asarray(pooled, "float32")).all()
    assert all(each.dtype == "float32" for each in encoder.trainable_weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give one of them"),
        ({"preset": "x", "backbone": "ViTBackbone"}, "Give one of them"),
        ({"backbone": "NoBackbone"}, "NoBackbone"),
        ({"backbone": "ResNetBackbone", "config": RESNET[1]}, "Give image_size"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageKerasHub(**arguments)


def test_a_folder_that_is_no_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing_here"):
        ImageKerasHub(str(tmp_path / "nothing_here"))
