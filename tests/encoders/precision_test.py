"""Every encoder in 16 bits: close to float32, with norms and softmax in float32; the policy is the constructor's."""

from unittest import mock

import keras
import numpy as np
import pytest

from cir_tf.layers import BatchNorm
from tests.encoders.contract_test import IMAGES, TEXT, inputs_of, make
from tests.golden import S, policy

TOLERANCE = {"mixed_float16": 0.01, "mixed_bfloat16": 0.08}


@pytest.fixture(params=IMAGES + TEXT)
def name(request):
    return request.param


def outputs(encoder, inputs):
    """{field: float32 array}"""
    features = encoder(inputs)._asdict()
    features |= {f"map {i}": each for i, each in enumerate(features.pop("maps"))}
    numbers = {key: each for key, each in features.items() if each is not None and key not in ("ids_BL", "mask_BL")}
    return {key: np.asarray(keras.ops.cast(each, "float32")) for key, each in numbers.items()}


@pytest.mark.parametrize("precision", TOLERANCE)
def test_all_outputs_are_close_to_those_of_float32(name, precision):
    full = make(name)
    with policy(precision):
        half = make(name)
    inputs = inputs_of(full, name)
    expected = outputs(full, inputs)
    half(inputs)
    for target, source in zip(half.weights, full.weights, strict=True):
        target.assign(source)
    for key, got in outputs(half, inputs).items():
        assert np.isfinite(got).all()
        error = np.abs(got - expected[key]).max() / np.abs(expected[key]).max()
        assert 0 < error < TOLERANCE[precision], key


def test_softmax_sees_float32(name):
    with policy("mixed_float16"):
        encoder = make(name)
    inputs, seen = inputs_of(encoder, name), []

    def softmax(x, axis=-1):
        seen.append(keras.backend.standardize_dtype(x.dtype))
        return keras.activations.softmax(x, axis=axis)

    with mock.patch.object(keras.ops, "softmax", softmax):
        encoder(inputs)
    assert set(seen) <= {"float32"}
    attends = {"image_blip2", "image_blip2_vit", "image_clip_resnet", "image_clip_vit", "image_swin"}
    assert bool(seen) == (name in attends | {"text_bert", "text_clip"})


def test_norms_bear_what_half_precision_cannot_square(name):
    with policy("mixed_float16"):
        encoder = make(name)
    encoder(inputs_of(encoder, name))
    for layer in encoder._flatten_layers():
        if isinstance(layer, keras.layers.LayerNormalization | BatchNorm):
            layer.gamma.assign(keras.ops.ones(layer.gamma.shape))
            x = 500 * S((64, *layer.gamma.shape), 0.7, 0.3)  # its variance is above the largest number of 16 bits
            axis = 0 if isinstance(layer, BatchNorm) else -1
            expected = (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)
            got = layer(x.astype("float16"), **({"training": True} if axis == 0 else {}))
            np.testing.assert_allclose(np.asarray(got, "float32"), expected, atol=5e-3, err_msg=layer.path)


def test_the_precision_is_that_of_the_construction(name):
    def precisions(when_built):
        with policy("mixed_bfloat16"):
            encoder = make(name)
        with policy(when_built):
            encoder(inputs_of(encoder, name))
        layers = {layer.path: layer.dtype_policy.name for layer in encoder._flatten_layers()}
        return layers, {variable.path: variable.dtype for variable in encoder.weights}

    expected, got = precisions("mixed_bfloat16"), precisions("float32")
    assert len(expected[0]) == len(got[0])
    for kept, found in zip(expected, got, strict=True):
        assert sorted(found.values()) == sorted(kept.values())
