"""What every compositor must do."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from cir_tf.encoders.image_tiny import ImageTiny
from cir_tf.encoders.text_lstm import TextLSTM
from cir_tf.models.retriever import Retriever
from cir_tf.types import Features
from tests.golden import S, policy

D = 8
ARGUMENTS = {  # where the published start switches a branch off that the tests look for
    "val": {"mix": (0.8, 0.5)},
}


@pytest.fixture(params=registry.available("compositors"))
def name(request):
    return request.param


def make(name):
    return registry.create("compositors", name, width=D, **ARGUMENTS.get(name, {}))


def features(batch=5):
    """Features of reference, text and target with unequal rows."""

    def image(phase):
        maps = tuple(
            tf.constant(S((batch, side, side, width), 0.31, phase), "float32") for side, width in ((4, 3), (2, 6))
        )
        return Features(pooled_BE=tf.reduce_mean(maps[-1], (1, 2)), maps=maps)

    tokens = tf.constant(S((batch, 4, D), 0.47, 0.2), "float32")
    mask = tf.range(4)[None, :] <= tf.range(batch)[:, None]
    text = Features(pooled_BE=tokens[:, 0], tokens_BLE=tokens, mask_BL=mask)
    return image(0.1), text, image(0.8)


def rows(features, index):
    return tf.nest.map_structure(lambda x: None if x is None else tf.gather(x, index), features)


def compose(compositor, reference, text, **kwargs):
    """All query vectors side by side."""
    named = compositor.compose(reference, text, **kwargs)
    return np.concatenate([named[key] for key in sorted(named)], axis=-1)


def make_retriever(name):
    texts = ["make her a man", "with dark skin"]
    text_encoder = TextLSTM(TextLSTM.make_assets(texts), width=D)
    retriever = Retriever(ImageTiny(image_size=8, widths=(4, 6)), text_encoder, make(name))
    image = (127.5 + 127.5 * S((2, 8, 8, 3), 0.37, 0.2)).astype("float32")
    return retriever, image, text_encoder.tokenizer.tokenize(texts)


def test_query_and_target_have_the_same_names_and_the_declared_width(name):
    reference, text, target = features()
    compositor = make(name)
    for training in (False, True):
        query = compositor.compose(reference, text, training=training)
        projected = compositor.project_target(target, training=training)
        assert set(query) == set(projected)
        for key, vector in query.items():
            assert (
                tuple(vector.shape)
                == tuple(projected[key].shape)
                == (5, vector.shape[1] if compositor.own_widths else D)
            )


@pytest.mark.parametrize("training", [False, True])
def test_the_query_depends_on_what_it_says_it_uses(name, training):
    reference, text, _ = features()
    compositor = make(name)
    compositor.compose(reference, text)
    sources = {
        "image": [reference.pooled_BE, *reference.maps],
        "text": [text.pooled_BE, text.tokens_BLE],
    }
    with tf.GradientTape() as tape:
        tape.watch(sources)
        query = compositor.compose(reference, text, training=training)
        loss = sum(tf.reduce_sum(each * tf.constant(S(each.shape, 0.7, 0.3), "float32")) for each in query.values())
    for role, gradients in tape.gradient(loss, sources, unconnected_gradients="zero").items():
        gradients = np.concatenate([np.ravel(each) for each in gradients])
        assert np.isfinite(gradients).all()
        assert (np.abs(gradients).max() > 1e-6) == (role in compositor.uses), role


def test_text_of_another_width_fits_unless_declared(name):
    reference, text, _ = features()
    compositor = make(name)
    if not compositor.needs_equal_width:
        wider = Features(*(tf.concat([x, x[..., :3]], -1) for x in (text.pooled_BE, text.tokens_BLE)), text.mask_BL)
        assert compose(compositor, reference, wider).shape == compose(make(name), reference, text).shape


def test_only_declared_fields_are_read(name):
    reference, text, _ = features()
    compositor = make(name)

    def keep(features, fields):
        wanted = {"pooled": ("pooled_BE",), "tokens": ("tokens_BLE", "mask_BL"), "maps": ("maps",)}
        return Features(
            **{"pooled_BE": None} | {key: getattr(features, key) for each in fields for key in wanted[each]}
        )

    expected = compose(compositor, reference, text)
    got = compose(compositor, keep(reference, compositor.needs_image), keep(text, compositor.needs_text))
    np.testing.assert_array_equal(got, expected)


def test_every_trainable_weight_of_the_query_gets_a_finite_gradient(name):
    reference, text, target = features()
    compositor = make(name)
    compositor.compose(reference, text)
    compositor.project_target(target)
    with tf.GradientTape() as tape:
        vectors = [*compositor.compose(reference, text, training=True).values()]
        vectors += compositor.project_target(target, training=True).values()
        loss = sum(tf.reduce_sum(each * tf.constant(S(each.shape, 0.7, 0.3), "float32")) for each in vectors)
    variables = compositor.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_permuting_the_batch_permutes_the_query(name):
    reference, text, _ = features()
    compositor = make(name)
    order = [3, 0, 4, 1, 2]
    expected = compose(compositor, reference, text)[order]
    np.testing.assert_allclose(compose(compositor, rows(reference, order), rows(text, order)), expected, atol=1e-6)


def test_batch_of_one_gives_the_same(name):
    reference, text, _ = features()
    compositor = make(name)
    expected = compose(compositor, reference, text)[1:2]
    got = compose(compositor, rows(reference, [1]), rows(text, [1]))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)  # vectors may be longer than 1


def test_training_reaches_the_statistics_and_evaluation_leaves_them(name):
    reference, text, _ = features()
    compositor = make(name)
    compositor.compose(reference, text)
    statistics = [variable for variable in compositor.non_trainable_variables if "seed" not in variable.path]
    before = [variable.numpy() for variable in statistics]
    compositor.compose(reference, text)
    assert all(np.array_equal(old, new) for old, new in zip(before, statistics, strict=True))
    compositor.compose(reference, text, training=True)
    assert all(not np.array_equal(old, new) for old, new in zip(before, statistics, strict=True))


def test_mixed_precision_gives_finite_float32_vectors(name):
    with policy("mixed_bfloat16"):
        retriever, image, ids = make_retriever(name)
    retriever({"reference_image": image, "text_ids": ids, "target_image": image[::-1]}, training=True)
    assert {variable.dtype for variable in retriever.trainable_variables} == {"float32"}
    for vectors in (retriever.query_vectors(image, ids), retriever.gallery_vectors(image)):
        assert vectors.dtype == "float32"
        assert np.isfinite(vectors).all()


def test_saved_weights_come_back(name, tmp_path):
    (first, image, ids), (second, _, _) = make_retriever(name), make_retriever(name)
    inputs = {"reference_image": image, "text_ids": ids, "target_image": image[::-1]}
    first(inputs, training=True)
    second(inputs)
    assert np.abs(first.query_vectors(image, ids) - second.query_vectors(image, ids)).max() > 1e-3
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(first.query_vectors(image, ids), second.query_vectors(image, ids))
    np.testing.assert_array_equal(first.gallery_vectors(image), second.gallery_vectors(image))
