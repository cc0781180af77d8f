import numpy as np
import pytest
import tensorflow as tf

from cir_tf import weights
from cir_tf.convert import base
from cir_tf.convert.families import clip
from cir_tf.convert.shapes import wanted
from cir_tf.encoders.image_clip_resnet import VARIANTS, ImageCLIPResNet
from tests.encoders import clip_states as states
from tests.golden import FILL, HP, policy
from tests.lavis import size

TINY = {"image_size": 64, "stem_width": 8, "heads": 4, "blocks": (1, 2, 1, 1), "width": 5}
SHAPES = states.resnet(8, (1, 2, 1, 1), 2, 5)
IMAGE = (127.5 + HP((3, 64, 64, 3), 3, 127.5)).astype("float32")


def filled(**arguments):
    encoder = ImageCLIPResNet(**(TINY | arguments))
    encoder(IMAGE)
    weights.assign(encoder, base.apply(clip.RESNET, FILL(SHAPES)))
    return encoder


def test_maps_are_those_after_each_stage():
    maps = filled()(IMAGE).maps
    assert [tuple(each.shape) for each in maps] == [(3, 16, 16, 32), (3, 8, 8, 64), (3, 4, 4, 128), (3, 2, 2, 256)]
    assert all(np.min(each) >= 0 for each in maps)


def test_frozen_statistics_are_those_that_were_loaded():
    frozen, free = filled(batch_norm="frozen"), filled()
    expected = free(IMAGE).pooled_BE
    before = [variable.numpy() for variable in frozen.non_trainable_variables]
    np.testing.assert_array_equal(frozen(IMAGE, training=True).pooled_BE, expected)
    for variable, value in zip(frozen.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert np.abs(free(IMAGE, training=True).pooled_BE - expected).max() > 0.01


def test_frozen_statistics_leave_the_gains_trainable():
    encoder = filled(batch_norm="frozen")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(IMAGE, training=True).pooled_BE ** 2)
    gains = [variable for variable in encoder.trainable_variables if variable.path.endswith(("gamma", "beta"))]
    assert len(gains) == 2 * (3 + 5 * 3 + 4)
    for gradient in tape.gradient(loss, [gain.value for gain in gains]):
        assert np.abs(gradient).max() > 0


def test_mixed_precision_is_close_to_full():
    full = filled()(IMAGE).pooled_BE.numpy()
    with policy("mixed_bfloat16"):
        half = filled()
    got = np.array(half(IMAGE).pooled_BE, "f4")
    cosine = np.sum(full * got, axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(got, axis=1)
    assert cosine.min() > 0.999


def test_start_values():
    encoder = ImageCLIPResNet(**(TINY | {"stem_width": 16, "heads": 8}))
    encoder(IMAGE)
    found = {name: variable.numpy() for name, variable in weights.named(encoder).items()}
    last = [name for name in found if name.endswith("norm_3/gamma") and name.startswith("stage")]
    assert len(last) == 5
    assert not any(found[name].any() for name in last)
    assert (found["stage_1_block_0/norm_2/gamma"] == 1).all()
    assert (found["stage_1_block_0/shortcut_norm/gamma"] == 1).all()
    assert (found["stem_norm_3/gamma"] == 1).all()
    for name in ("query", "key", "value", "output"):
        assert abs(found[f"attention_pool/attention/{name}/kernel"].std() * 512**0.5 - 1) < 0.05
    assert 0.9 < np.abs(found["stage_2_block_1/conv_2/kernel"]).max() * (9 * 32) ** 0.5 <= 1


@pytest.mark.parametrize(
    "arguments, message",
    [({"variant": "RN9"}, "RN50x4"), ({"image_size": 40}, "image_size=40"), ({"batch_norm": "off"}, "frozen")],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageCLIPResNet(**(TINY | arguments))


@pytest.mark.parametrize("variant, expected, tensors", [("RN50", 38_316_896, 284), ("RN50x4", 87_137_080, 434)])
def test_parameter_counts(variant, expected, tensors):
    planned = wanted("encoders", {"name": "image_clip_resnet", "variant": variant})
    assert size({name: shape for name, shape in planned.items() if "moving" not in name}) == expected
    sizes = VARIANTS[variant]
    shapes = states.resnet(sizes["stem_width"], sizes["blocks"], sizes["image_size"] // 32, sizes["width"])
    assert len(shapes) == tensors
    assert size({name: shape for name, shape in shapes.items() if "running" not in name}) == expected
