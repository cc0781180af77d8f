"""What every encoder must do; a new encoder adds a tiny configuration here."""

import importlib
import itertools

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from cir_tf.models.retriever import Retriever
from tests.golden import S, policy

TINY = {
    "image_blip2": {
        "image_size": 8,
        "tower": {"patch": 4, "width": 6, "heads": 2, "layers": 2, "mlp_width": 10},
        "qformer": {"width": 8, "heads": 2, "layers": 3, "mlp_width": 12, "queries": 3},
    },
    "image_blip2_vit": {"image_size": 8, "patch": 4, "width": 6, "heads": 2, "layers": 2, "mlp_width": 10},
    "image_clip_resnet": {"image_size": 32, "stem_width": 4, "heads": 2, "blocks": (1, 1, 1, 1), "width": 6},
    "image_clip_vit": {"image_size": 16, "patch": 8, "token_width": 8, "heads": 2, "layers": 2, "width": 6},
    "image_keras_hub": {
        "backbone": "ViTBackbone",
        "config": {"patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 12},
        "image_size": 16,
    },
    "image_mobilenet": {"image_size": 32, "widths": (6, 5, 4, 7), "strides": (1, 2, 1, 2), "taps": (2, 3, 4)},
    "image_resnet": {"image_size": 32, "stem_width": 4, "blocks": (1, 1, 1, 1)},
    "image_resnet_v2": {"image_size": 32, "stem_width": 4, "blocks": (1, 1, 1, 1)},
    "image_swin": {"image_size": 64, "stem_width": 4, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)},
    "image_tiny": {"image_size": 16, "widths": (4, 6)},
    "text_bert": {"width": 8, "heads": 2, "layers": 2, "mlp_width": 12, "positions": 40},
    "text_clip": {"token_width": 8, "heads": 2, "layers": 2, "context": 40, "width": 6},
    "text_gru": {"width": 6, "word_width": 5, "state_width": 4},
    "text_lstm": {"width": 6},
    "text_words": {"width": 6},
}
TEXTS = ["make her a man", "red", "with dark skin now please"]
IMAGES = [name for name in registry.available("encoders") if name.startswith("image_")]
TEXT = [name for name in registry.available("encoders") if name.startswith("text_")]


def make(name):
    arguments = dict(TINY[name])
    if name in TEXT:
        module = importlib.import_module(f"cir_tf.encoders.{name}")
        arguments["assets"] = module.build.make_assets(TEXTS)
    return registry.create("encoders", name, **arguments)


def inputs_of(encoder, name):
    """Three images, or the ids of three texts of unequal length."""
    if name in TEXT:
        return encoder.tokenizer.tokenize(TEXTS)
    side = encoder.image_size
    return (127.5 + 127.5 * S((3, side, side, 3), 0.37, 0.2)).astype("float32")


def pooled(encoder, inputs, **kwargs):
    return tf.cast(encoder(inputs, **kwargs).pooled_BE, "float32").numpy()


@pytest.fixture(params=IMAGES + TEXT)
def name(request):
    return request.param


def test_pooled_vectors_have_the_declared_width(name):
    encoder = make(name)
    vectors = pooled(encoder, inputs_of(encoder, name))
    assert vectors.shape == (3, encoder.width)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-5
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-5


def test_permuting_the_batch_permutes_the_output(name):
    encoder = make(name)
    inputs = inputs_of(encoder, name)
    np.testing.assert_allclose(
        pooled(encoder, inputs[[2, 0, 1]]), pooled(encoder, inputs)[[2, 0, 1]], rtol=1e-5, atol=1e-6
    )


def test_batch_of_one_gives_the_same(name):
    encoder = make(name)
    inputs = inputs_of(encoder, name)
    np.testing.assert_allclose(pooled(encoder, inputs[1:2]), pooled(encoder, inputs)[1:2], rtol=1e-5, atol=1e-6)


def test_every_trainable_weight_gets_a_finite_gradient(name):
    encoder = make(name)
    inputs = inputs_of(encoder, name)
    encoder(inputs)
    for variable in encoder.trainable_variables:
        if variable.path.endswith("gamma") and not variable.numpy().any():
            variable.assign(variable + 0.5)  # a gain that starts at zero hides what is before it
    with tf.GradientTape() as tape:
        features = encoder(inputs, training=True)
        outputs = (features.pooled_BE, *features.maps)  # some weights act on a map only
        loss = sum(tf.reduce_sum(each * S(each.shape, 0.7, 0.3).astype("float32")) for each in outputs)
    variables = encoder.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_only_training_changes_the_statistics(name):
    encoder = make(name)
    inputs = inputs_of(encoder, name)
    encoder(inputs)

    def statistics():
        return [variable.numpy() for variable in encoder.non_trainable_variables if "seed" not in variable.path]

    before = statistics()
    encoder(inputs)
    assert all(np.array_equal(old, new) for old, new in zip(before, statistics(), strict=True))
    encoder(inputs, training=True)
    assert all(not np.array_equal(old, new) for old, new in zip(before, statistics(), strict=True))


def test_mixed_precision_is_close_to_full(name):
    full = make(name)
    with policy("mixed_bfloat16"):
        half = make(name)
    inputs = inputs_of(full, name)
    expected = pooled(full, inputs)
    pooled(half, inputs)
    for target, source in zip(half.weights, full.weights, strict=True):
        assert target.dtype == source.dtype
        target.assign(source)
    np.testing.assert_allclose(pooled(half, inputs), expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("name", IMAGES)
def test_feature_maps_have_the_declared_widths(name):
    encoder = make(name)
    maps = encoder(inputs_of(encoder, name)).maps
    assert tuple(each.shape[-1] for each in maps) == encoder.map_widths
    assert all(each.shape[0] == 3 and len(each.shape) == 4 for each in maps)
    sides = [each.shape[1] for each in maps]
    assert sides == sorted(sides, reverse=True)


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_and_floats_are_the_same_pixels(name):
    encoder = make(name)
    image = inputs_of(encoder, name).astype("uint8")
    np.testing.assert_allclose(pooled(encoder, image), pooled(encoder, image.astype("float32")), atol=1e-6)


# A Q-Former starts with weights so small that a picture hardly moves its queries; its tower is tested by itself.
@pytest.mark.parametrize("name", [name for name in IMAGES if name != "image_blip2"])
def test_fractions_of_pixels_survive_mixed_precision(name):
    with policy("mixed_bfloat16"):
        encoder = make(name)
    side = encoder.image_size
    rising = 200 + 0.4 * np.linspace(-1, 1, side, dtype="float32")  # in bfloat16, all of it would be 200
    image = np.broadcast_to(rising[None, :, None, None], (1, side, side, 3))
    assert np.abs(pooled(encoder, image) - pooled(encoder, np.full_like(image, 200))).max() > 1e-4


@pytest.mark.parametrize("name", TEXT)
def test_padding_does_not_matter(name):
    encoder = make(name)
    ids = encoder.tokenizer.tokenize(TEXTS)
    features = encoder(ids)
    longer = np.pad(ids, ((0, 0), (0, 3)), constant_values=-1)
    np.testing.assert_allclose(pooled(encoder, longer), features.pooled_BE, atol=1e-6)
    assert features.tokens_BLE.shape[:2] == ids.shape
    np.testing.assert_array_equal(np.sum(features.mask_BL, axis=1), np.sum(ids >= 0, axis=1))


# The mean of words has no order; what reads them one by one is the compositor.
@pytest.mark.parametrize("name", [name for name in TEXT if name != "text_words"])
def test_word_order_matters(name):
    encoder = make(name)
    there, back = pooled(encoder, encoder.tokenizer.tokenize(["red skin now", "now skin red"]))
    assert np.abs(there - back).max() > 1e-5


@pytest.mark.parametrize("name", TEXT)
def test_texts_without_known_words_are_finite(name):
    encoder = make(name)
    texts = ["", "?!", "日本", "zzz qqq", "red"]
    for training in (False, True):
        assert np.isfinite(pooled(encoder, encoder.tokenizer.tokenize(texts), training=training)).all()


@pytest.mark.parametrize("name", TEXT)
def test_assets_are_all_that_the_tokenizer_needs(name):
    encoder = make(name)
    assets = type(encoder).make_assets(TEXTS)
    assert all(isinstance(key, str) and isinstance(content, str) for key, content in assets.items())
    again = registry.create("encoders", name, assets=assets, **TINY[name])
    np.testing.assert_array_equal(again.tokenizer.tokenize(TEXTS), encoder.tokenizer.tokenize(TEXTS))


@pytest.mark.parametrize(("image", "text"), zip(IMAGES, itertools.cycle(TEXT)))
def test_saved_weights_come_back(tmp_path, image, text):
    first, second = (
        Retriever(make(image), make(text), registry.create("compositors", "concat", width=5)) for _ in range(2)
    )
    pixels, ids = inputs_of(first.image_encoder, image), inputs_of(first.text_encoder, text)
    inputs = {"reference_image": pixels, "text_ids": ids, "target_image": pixels[::-1]}
    first(inputs, training=True)
    second(inputs)
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(first.query_vectors(pixels, ids), second.query_vectors(pixels, ids))
    np.testing.assert_array_equal(first.gallery_vectors(pixels), second.gallery_vectors(pixels))
