"""BLIP-2's vision towers, alone and with the Q-Former's image mode."""

import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import blip2
from cir_tf.encoders.image_blip2 import ImageBlip2
from cir_tf.encoders.image_blip2_vit import ImageBlip2ViT
from tests.golden import FILL, HP, S, close, policy
from tests.lavis import eva, heads, language_model, norm, qformer, size, vit_l

EVA = {"width": 12, "layers": 2, "mlp_width": 20, "patch": 2, "image_size": 4}
CLIP = {"width": 8, "layers": 2, "mlp_width": 32, "patch": 2, "image_size": 4}
QFORMER = {"width": 8, "layers": 3, "mlp_width": 16, "queries": 3, "words": 11, "positions": 12}


def arguments(family, state, **changes):
    return {key: value for key, value in {**family.part(state), **changes}.items() if key != "name"}


def tower(state, heads=2):
    made = ImageBlip2ViT(**arguments(blip2.VIT, state, heads=heads))
    made(np.zeros((1, made.image_size, made.image_size, 3)))
    weights.assign(made, apply(blip2.VIT, state))
    return made


def channels_last(x):
    return x.transpose(0, 2, 3, 1)


def shapes_of(encoder):
    return {name: tuple(variable.shape) for name, variable in weights.named(encoder).items()}


def without_numbers(make):
    """The shapes of an encoder that gets no memory."""

    def built():
        made = make()
        made.build((None, None, None, 3))
        return made

    return weights.planned(built)


def test_golden_eva():
    """(d) of the specification."""
    with policy("float64"):
        made = tower(FILL(eva(**EVA) | norm("ln_vision", 12)))
    features = made.features(channels_last(HP((2, 3, 4, 4), 7, 2)))
    row_0 = [-0.417158, 0.702374, -1.356597, 0.225978, -0.157506, 0.619613]
    row_0 += [-1.023445, -1.293111, 1.892185, 0.963592, -0.849475, 0.458869]
    row_1 = [-0.016716, 0.885640, -2.212478, 0.139708, -0.148367, 0.472187]
    row_1 += [-1.107520, -0.778467, 1.590606, 0.595002, -0.180442, 0.573986]
    close(features.pooled_BE, [row_0, row_1])
    close(np.abs(features.tokens_BLE).sum(), 97.020536)
    np.testing.assert_array_equal(features.pooled_BE, features.tokens_BLE[:, 0])


def clip_in_numpy(state, pixels, heads):
    """CLIP's vision transformer as the specification, 1.3, has it, then ln_vision; tokens [B, M, E]."""

    def layer_norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    v = "visual_encoder."
    kernel = state[f"{v}conv1.weight"]
    width, patch = kernel.shape[0], kernel.shape[-1]
    b, _, side, _ = pixels.shape
    g = side // patch
    cut = pixels.reshape(b, 3, g, patch, g, patch).transpose(0, 2, 4, 1, 3, 5).reshape(b, g * g, -1)
    x = np.concatenate([np.tile(state[f"{v}class_embedding"], (b, 1, 1)), cut @ kernel.reshape(width, -1).T], axis=1)
    x = layer_norm(x + state[f"{v}positional_embedding"], f"{v}ln_pre")
    for i in range(2):
        block = f"{v}transformer.resblocks.{i}."
        y = layer_norm(x, f"{block}ln_1") @ state[f"{block}attn.in_proj_weight"].T + state[f"{block}attn.in_proj_bias"]
        q, k, value = (each.reshape(b, -1, heads, width // heads).swapaxes(1, 2) for each in np.split(y, 3, axis=-1))
        scores = np.exp(q @ k.swapaxes(2, 3) / np.sqrt(width // heads))
        y = (scores / scores.sum(-1, keepdims=True) @ value).swapaxes(1, 2).reshape(b, -1, width)
        x = x + y @ state[f"{block}attn.out_proj.weight"].T + state[f"{block}attn.out_proj.bias"]
        y = layer_norm(x, f"{block}ln_2") @ state[f"{block}mlp.c_fc.weight"].T + state[f"{block}mlp.c_fc.bias"]
        y = y / (1 + np.exp(-1.702 * y))
        x = x + y @ state[f"{block}mlp.c_proj.weight"].T + state[f"{block}mlp.c_proj.bias"]
    return layer_norm(x, "ln_vision")


def test_vit_l_is_clips_tower_without_its_last_steps():
    state = FILL(vit_l(**CLIP) | norm("ln_vision", 8))
    pixels = HP((2, 3, 4, 4), 7, 2)
    got = tower(state).features(channels_last(pixels)).tokens_BLE
    np.testing.assert_allclose(got, clip_in_numpy(state, pixels, heads=2), atol=1e-5)


def test_pixels_are_normalised_as_clips():
    made = tower(FILL(eva(**EVA) | norm("ln_vision", 12)))
    image = (127.5 + 127.5 * S((2, 4, 4, 3), 0.37, 0.2)).astype("uint8")
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    pixels = ((image / 255 - mean) / deviation).astype("float32")
    np.testing.assert_allclose(made(image).pooled_BE, made.features(pixels).pooled_BE, atol=1e-5)


def test_names_of_openai_and_of_eva_stand_for_lavis_and_their_last_block_is_left_out():
    clip, last = {**CLIP, "layers": 23}, {"visual.ln_post.weight": (8,), "visual.proj": (8, 5), "logit_scale": ()}
    whole = FILL(vit_l(**{**clip, "layers": 24}, start="visual.") | norm("ln_vision", 8))
    lavis = {name.replace("visual.", "visual_encoder."): array for name, array in whole.items() if ".23." not in name}
    extra = FILL(last | {"transformer.resblocks.0.ln_1.weight": (4,), "positional_embedding": (7, 4)})
    ours, expected = apply(blip2.VIT, whole | extra), apply(blip2.VIT, lavis)
    assert arguments(blip2.VIT, whole | extra) == arguments(blip2.VIT, lavis)
    assert ours.keys() == expected.keys()
    assert all(np.array_equal(ours[name], expected[name]) for name in ours)

    whole = FILL(eva(**{**EVA, "layers": 40}, start="") | norm("norm", 12) | norm("ln_vision", 12))
    assert arguments(blip2.VIT, whole)["layers"] == 39
    assert sorted(apply(blip2.VIT, whole)) == sorted(without_numbers(lambda: ImageBlip2ViT("eva_g")))


def test_image_mode_reads_the_tower():
    state = FILL(eva(**EVA) | norm("ln_vision", 12) | qformer(**QFORMER, image_width=12) | heads(8, 4))
    found = arguments(blip2.IMAGE, state)
    found["tower"]["heads"], found["qformer"]["heads"] = 3, 2
    made = ImageBlip2(**found)
    image = 127.5 + 127.5 * S((2, 4, 4, 3), 0.37, 0.2)
    made(image)
    weights.assign(made, apply(blip2.IMAGE, state))
    features = made(image)
    assert features.tokens_BLE.shape == (2, 3, 8)
    expected, _ = made.qformer(made.tower(image).tokens_BLE)
    np.testing.assert_array_equal(features.tokens_BLE, expected)
    np.testing.assert_array_equal(features.pooled_BE, expected[:, 0])
    alone = tower({name: array for name, array in state.items() if name.startswith(("visual", "ln_"))}, heads=3)
    np.testing.assert_allclose(made.tower(image).tokens_BLE, alone(image).tokens_BLE, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "published", "parameters", "norm_width"),
    [("vit_l", vit_l(), 290_581_504, 1024), ("eva_g", eva(), 985_894_528, 1408)],
)
def test_published_size(variant, published, parameters, norm_width):
    """ViT-L: CLIP's 303,966,208 less one block, ln_post and the projection."""
    shapes = without_numbers(lambda: ImageBlip2ViT(variant))
    assert size(shapes) - 2 * norm_width == size(published) == parameters


@pytest.mark.parametrize(("tower", "width"), [(vit_l, 64), (eva, 88)])
def test_every_tensor_of_a_whole_file_is_known_and_every_weight_is_set(tower, width):
    """All layers of the published files, narrow."""
    names = (
        tower(width=width, mlp_width=5, image_size=28) | norm("ln_vision", width) | heads(64) | language_model(64, 7)
    )
    state = FILL(names | qformer(width=64, mlp_width=6, image_width=width, words=7, positions=9))
    for family, encoder in ((blip2.VIT, ImageBlip2ViT), (blip2.IMAGE, ImageBlip2)):
        assert family.fits(state)
        wanted = without_numbers(lambda encoder=encoder, family=family: encoder(**arguments(family, state)))
        assert {name: array.shape for name, array in apply(family, state).items()} == wanted


def test_without_the_tower_there_is_no_image_encoder():
    state = FILL(qformer(**QFORMER) | norm("ln_vision", 12))
    assert not blip2.VIT.fits(state)
    assert not blip2.IMAGE.fits(state)
    assert blip2.TEXT.fits(state)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="image_size=225, patch=14"):
        ImageBlip2ViT(image_size=225)
    with pytest.raises(ValueError, match="vit_l, eva_g"):
        ImageBlip2ViT("vit_h")
    with pytest.raises(ValueError, match="depth"):
        ImageBlip2ViT(depth=3)
