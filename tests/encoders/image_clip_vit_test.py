import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import base
from cir_tf.convert.families import clip
from cir_tf.convert.shapes import wanted
from cir_tf.encoders.image_clip_vit import VARIANTS, ImageCLIPViT
from tests.encoders import clip_states as states
from tests.golden import FILL, HP, policy
from tests.lavis import size

TINY = {"image_size": 12, "patch": 4, "token_width": 128, "heads": 2, "layers": 2, "width": 5}
SHAPES = states.vit(128, 4, 3, 2, 5) | states.text(128, 20, 8, 2, 5)


def build(**sizes):
    encoder = ImageCLIPViT(**(TINY | sizes))
    encoder(np.zeros((1, encoder.image_size, encoder.image_size, 3)))
    return encoder


def filled(state, **sizes):
    encoder = build(**sizes)
    weights.assign(encoder, base.apply(clip.VIT, state))
    return encoder


def test_pixels_are_normalised_as_published():
    encoder = build()
    image = (127.5 + HP((2, 12, 12, 3), 3, 127.5)).astype("float32")
    normal = (image / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    expected = encoder.features(normal.astype("float32")).pooled_BE
    np.testing.assert_allclose(encoder(image).pooled_BE, expected, atol=1e-5)


def test_tokens_are_those_before_the_last_norm():
    encoder = filled(FILL(SHAPES))
    features = encoder(127.5 + HP((2, 12, 12, 3), 3, 127.5))
    assert features.tokens_BLE.shape == (2, 10, encoder.token_width)
    pooled = encoder.projection(encoder.norm_post(features.tokens_BLE[:, 0]))
    np.testing.assert_allclose(features.pooled_BE, pooled, atol=1e-5)


def test_half_precision_archives_and_their_extra_entries_are_read():
    state = {name: array.astype("float16") for name, array in FILL(SHAPES).items()}
    archive = state | {name: np.array(7) for name in ("input_resolution", "context_length", "vocab_size")}
    image = 127.5 + HP((2, 12, 12, 3), 3, 127.5)
    whole = filled({name: array.astype("float64") for name, array in state.items()})(image).pooled_BE
    np.testing.assert_array_equal(filled(archive)(image).pooled_BE, whole)


def test_mixed_precision_is_close_to_full():
    state, image = FILL(SHAPES), 127.5 + HP((4, 12, 12, 3), 3, 127.5)
    full = filled(state)(image).pooled_BE.numpy()
    with policy("mixed_bfloat16"):
        half = filled(state)
    got = half(image).pooled_BE
    assert got.dtype == "bfloat16"
    got = np.array(got, "f4")
    cosine = np.sum(full * got, axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(got, axis=1)
    assert cosine.min() > 0.999
    assert all(variable.dtype == "float32" for variable in half.weights)


def test_start_values():
    encoder = build(token_width=64, heads=4, layers=3, image_size=64)
    found = {name: variable.numpy() for name, variable in weights.named(encoder).items()}
    for name in ("positional_embedding", "projection/kernel"):
        assert abs(found[name].std() * 8 - 1) < 0.1, name
    assert 0.05 < found["class_embedding"].std() < 0.2
    limits = {
        "patches/kernel": 48**-0.5,
        "block_2/attention/query/kernel": (6 / 256) ** 0.5,
        "block_2/attention/output/kernel": 1 / 8,
        "block_2/mlp_in/bias": 1 / 8,
        "block_2/mlp_out/kernel": 1 / 16,
    }
    for name, limit in limits.items():
        assert 0.93 * limit < np.abs(found[name]).max() <= limit, name
    assert not found["block_2/attention/query/bias"].any()
    assert not found["block_2/attention/output/bias"].any()
    assert np.abs(found["block_0/mlp_in/kernel"] - found["block_1/mlp_in/kernel"]).max() > 0.1


def test_weights_have_plain_names():
    names = set(weights.named(build()))
    assert {"class_embedding", "norm_pre/gamma", "block_1/attention/value/bias", "projection/kernel"} <= names
    assert len(names) == 8 + 2 * 16  # 12 in the source, where queries, keys and values are packed


@pytest.mark.parametrize(
    "arguments, message",
    [({"variant": "ViT-X"}, "ViT-B/16"), ({"depth": 3}, "token_width"), ({"patch": 5}, "patch=5")],
)
def test_wrong_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageCLIPViT(**(TINY | arguments))


@pytest.mark.parametrize(
    "variant, expected, tensors",
    [("ViT-B/32", 87_849_216, 152), ("ViT-B/16", 86_192_640, 152), ("ViT-L/14", 303_966_208, 296)],
)
def test_parameter_counts(variant, expected, tensors):
    assert size(wanted("encoders", {"name": "image_clip_vit", "variant": variant})) == expected
    sizes = VARIANTS[variant]
    grid = sizes["image_size"] // sizes["patch"]
    shapes = states.vit(sizes["token_width"], sizes["patch"], grid, sizes["layers"], sizes["width"])
    assert len(shapes) == tensors
    assert size(shapes) == expected
