"""CLIP's golden numbers (specs/clip_and_blip2.md, section 1.9; fti4cir.md 7 f), fed through the converter's tables."""

import numpy as np
import pytest

from cir_tf import registry, weights
from cir_tf.convert import base
from cir_tf.convert.families import clip
from tests.encoders import clip_states as states
from tests.golden import FILL, HP, close, policy

TEXT = states.text(128, 20, 8, 2, 5)
RESNET = states.resnet(8, (1, 2, 1, 1), 2, 5) | TEXT
VIT = states.vit(128, 4, 2, 2, 5) | TEXT
IDS = np.array([[18, 3, 4, 19, 0, 0, 0, 0], [18, 7, 2, 9, 5, 19, 0, 0]])
TEXT_FEATURES = np.array(
    [[-0.043591, -0.968036, -5.052580, -2.741323, -9.426342], [4.589127, -2.553719, -5.729332, 3.592503, -4.257257]]
)


def converted(family, state):
    """The family's encoder in float64, with the state's weights."""
    with policy("float64"):
        encoder = registry.create("encoders", **family.part(state))
    size = getattr(encoder, "image_size", None)
    encoder(np.zeros((1, size, size, 3)) if size else np.zeros((1, 3), "int32"))
    weights.assign(encoder, base.apply(family, state))
    return encoder


def cosines(image_BD, text_BD):
    image_BD, text_BD = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (np.array(image_BD), np.array(text_BD)))
    return image_BD @ text_BD.T


@pytest.mark.parametrize("shapes, tensors, parameters", [(RESNET, 149, 733_282), (VIT, 62, 805_633)])
def test_states_have_the_specified_sizes(shapes, tensors, parameters):
    assert len(shapes) == tensors
    assert sum(np.prod(shape, dtype=int) for name, shape in shapes.items() if "running" not in name) == parameters


def test_golden_resnet():
    encoder = converted(clip.RESNET, FILL(RESNET))
    y, x = np.mgrid[:64, :64]
    waves = np.stack([2 * np.sin(0.1 * x + 0.2 * y + c) for c in range(3)])
    image_BCHW = np.stack([HP((2, 3, 64, 64), 7, 2)[0], waves])
    features = encoder.features(image_BCHW.transpose(0, 2, 3, 1))
    expected = [
        [-0.474914, -0.194898, 0.250731, -0.112040, 0.451699],
        [-0.560271, -0.240813, 0.336370, -0.023906, 0.599197],
    ]
    close(features.pooled_BE, expected)
    last = np.array(features.maps[-1])
    assert last.shape == (2, 2, 2, 256)
    close(last.mean(axis=(1, 2, 3)), [0.071877, 0.102078])
    close(last[1, :, :, 0], [[0.490000, 0.476980], [0.484286, 0.460449]])
    close(cosines(features.pooled_BE, TEXT_FEATURES), [[-0.613229, -0.772583], [-0.689641, -0.741925]])


def test_golden_first_layer_of_the_resnet():
    encoder = converted(clip.RESNET, FILL(RESNET))
    y, x = np.mgrid[:64, :64]
    waves = np.stack([2 * np.sin(0.1 * x + 0.2 * y + c) for c in range(3)], axis=-1)
    image_BHWC = np.stack([HP((2, 3, 64, 64), 7, 2)[0].transpose(1, 2, 0), waves])
    conv, norm = encoder.stem[0]
    first = np.maximum(norm(conv(image_BHWC)), 0)
    close(first[1, 0, 0], [0, 1.516208, 0, 0.372181])
    close(first.mean(), 0.635771)


def test_golden_vit():
    encoder = converted(clip.VIT, FILL(VIT))
    features = encoder.features(HP((2, 3, 8, 8), 7, 2).transpose(0, 2, 3, 1))
    expected = [
        [-3.614301, 6.107204, -8.950042, -4.789726, -6.828836],
        [-3.227369, 6.155164, -6.919085, -4.955777, -6.802404],
    ]
    close(features.pooled_BE, expected)
    tokens = np.array(features.tokens_BLE)
    assert tokens.shape == (2, 5, 128)
    close(tokens[0, :, 0], [-2.497355, -2.041227, -2.328244, 0.321309, -1.996856])
    close(tokens[1, :, 0], [-0.981288, -0.692785, -1.202261, 0.776410, 0.142873])
    close([tokens.mean(), tokens.std()], [-0.094280, 1.538516])
    close(cosines(features.pooled_BE, TEXT_FEATURES), [[0.746176, 0.228921], [0.745991, 0.164016]])


@pytest.mark.parametrize("shapes", [RESNET, VIT], ids=["resnet", "vit"])
def test_golden_text(shapes):
    close(converted(clip.TEXT_TOWER, FILL(shapes))(IDS).pooled_BE, TEXT_FEATURES)


def test_golden_pseudo_words():
    encoder = converted(clip.TEXT_TOWER, FILL(states.text(128, 20, 16, 2, 5)))
    encoder.placeholder_id = 6
    ids = np.zeros((2, 16), "int32")
    ids[0, :9] = 18, 1, 2, 3, 6, 4, 6, 6, 19
    ids[1, :10] = 18, 1, 2, 3, 6, 4, 6, 6, 6, 19
    subject, attributes = HP((2, 128), 5, 1), HP((2, 3, 128), 6, 1)
    words = np.concatenate([subject[:, None], attributes], axis=1)
    expected = [
        [2.777487, -1.510999, -2.365870, -4.597013, -9.104158],
        [-3.891411, 0.181882, 2.414130, -0.000839, -3.332063],
    ]
    close(encoder(ids, insert_BSE=words).pooled_BE, expected)
    expected = [
        [0.884973, -0.174682, -0.027413, -2.056053, -7.766083],
        [-3.670742, 3.317817, 2.887220, -1.253481, -2.776733],
    ]
    close(encoder(ids).pooled_BE, expected)
