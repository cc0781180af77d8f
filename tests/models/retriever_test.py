import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from cir_tf.compositors.base import VectorCompositor
from cir_tf.encoders.base import TextEncoder
from cir_tf.encoders.image_tiny import ImageTiny
from cir_tf.encoders.text_lstm import TextLSTM
from cir_tf.models.retriever import Retriever
from cir_tf.types import Features
from tests.golden import S

TEXTS = ["make her a man", "with dark skin", "red"]
HEADS = {"comqueryformer": {"heads": 2}}  # which share the six numbers of a token


def make_image(phase=0.2, batch=3):
    return (127.5 + 127.5 * S((batch, 8, 8, 3), 0.37, phase)).astype("float32")


def make(compositor="tirg", text_width=6, **arguments):
    if isinstance(compositor, str):
        compositor = registry.create("compositors", compositor, width=6, **arguments)
    text_encoder = TextLSTM(TextLSTM.make_assets(TEXTS), width=text_width)
    return Retriever(ImageTiny(image_size=8, widths=(4, 5)), text_encoder, compositor)


def make_inputs(retriever):
    ids = retriever.text_encoder.tokenizer.tokenize(TEXTS)
    return {"reference_image": make_image(), "text_ids": ids, "target_image": make_image(0.9)}


class Levels(VectorCompositor):
    """Two names, to see their order."""

    def compose(self, reference, text, training=False):
        return {"low": 2 * self.image_dense(reference.pooled_BE), "high": text.pooled_BE}

    def project_target(self, target, training=False):
        return {"low": self.image_dense(target.pooled_BE), "high": 3 * self.image_dense(target.pooled_BE)}


def test_paths_tell_the_parts_apart():
    for order in ("whole", "gallery first"):
        retriever = make()
        if order == "gallery first":
            retriever.gallery_vectors(make_image())
        retriever(make_inputs(retriever))
        paths = [variable.path for variable in retriever.weights]
        assert len(set(paths)) == len(paths)
        parts = [re.findall(r"(?:^|/)(image_encoder|text_encoder|compositor)/", path) for path in paths]
        assert all(len(part) == 1 for part in parts), paths
        assert {part[0] for part in parts} == {"image_encoder", "text_encoder", "compositor"}
        assert any(path.endswith("image_encoder/conv_0/kernel") for path in paths)
        assert any(path.endswith("compositor/gate/kernel") for path in paths)
        assert any(path.endswith("compositor/mix") for path in paths)


def test_call_gives_queries_and_targets():
    retriever = make()
    inputs = make_inputs(retriever)
    query, target = retriever(inputs)
    np.testing.assert_allclose(query["main"], retriever.encode_query(make_image(), inputs["text_ids"])["main"])
    np.testing.assert_allclose(target["main"], retriever.encode_target(make_image(0.9))["main"])


def test_reference_and_target_are_normalised_apart_in_that_order():
    retriever = make("sum")
    inputs = make_inputs(retriever)
    retriever(inputs)
    alone = ImageTiny(image_size=8, widths=(4, 5))
    alone(make_image())
    alone.set_weights(retriever.image_encoder.get_weights())
    retriever(inputs, training=True)
    alone(make_image(), training=True)
    alone(make_image(0.9), training=True)
    for ours, theirs in zip(retriever.image_encoder.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_vectors_are_unit_length_and_side_by_side_in_the_order_of_names():
    retriever = make(Levels(6))
    ids = retriever.text_encoder.tokenizer.tokenize(TEXTS)
    named = retriever.encode_query(make_image(), ids)
    vectors = retriever.query_vectors(make_image(), ids).numpy()
    expected = np.concatenate([named["high"], named["low"]], axis=1)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)

    retriever.compositor.normalized = True
    np.testing.assert_allclose(retriever.query_vectors(make_image(), ids), expected, atol=1e-6)
    target = retriever.encode_target(make_image())
    np.testing.assert_allclose(
        retriever.gallery_vectors(make_image()), np.concatenate([target["high"], target["low"]], axis=1), atol=1e-6
    )


def test_baselines_are_the_trained_parts_alone():
    retriever = make("tirg")
    ids = retriever.text_encoder.tokenizer.tokenize(TEXTS)
    baselines = retriever.baselines(make_image(), ids)

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    image, text = unit(retriever.encode_target(make_image())["main"]), unit(retriever.text_encoder(ids).pooled_BE)
    expected = {"image only": image, "text only": text, "sum of features": unit(image + text)}
    assert list(baselines) == list(expected)
    for name, vectors in expected.items():
        np.testing.assert_allclose(baselines[name], vectors, atol=1e-6)


def test_text_of_another_width_has_no_baseline():
    retriever = make("tirg", text_width=4)
    ids = retriever.text_encoder.tokenizer.tokenize(TEXTS)
    assert list(retriever.baselines(make_image(), ids)) == ["image only"]


def test_compositor_that_fuses_tokens_feeds_the_text_encoder():
    class Words(TextEncoder):
        def call(self, ids_BL, insert_BSE=None, training=False):
            return Features(keras.ops.cast(ids_BL[:, :1], "float32") + keras.ops.sum(insert_BSE, axis=1))

    class Inversion(VectorCompositor):
        fuses = "tokens"

        def pseudo_words(self, reference):
            return self.image_dense(reference.pooled_BE)[:, None, :]

        def compose(self, reference, text, training=False):
            return {"main": text.pooled_BE}

    retriever = Retriever(ImageTiny(image_size=8, widths=(4,)), Words(), Inversion(6))
    ids = np.array([[3], [4], [5]])
    query = retriever.encode_query(make_image(), ids)["main"]
    np.testing.assert_allclose(query, ids + retriever.encode_target(make_image())["main"], atol=1e-6)


@pytest.mark.parametrize("compositor", registry.available("compositors"))
def test_graph_with_unknown_batch_and_length_equals_eager(compositor):
    retriever = make(compositor, **HEADS.get(compositor, {}))
    images = tf.TensorSpec([None, 8, 8, 3], "float32")
    in_graph = tf.function(
        lambda image, ids: retriever.query_vectors(image, ids),
        input_signature=[images, tf.TensorSpec([None, None], "int32")],
    )
    for texts in (TEXTS, ["red man skin dark a her"]):
        image, ids = make_image(batch=len(texts)), retriever.text_encoder.tokenizer.tokenize(texts)
        retriever.query_vectors(image, ids)
        np.testing.assert_allclose(in_graph(image, ids), retriever.query_vectors(image, ids), atol=1e-5)
