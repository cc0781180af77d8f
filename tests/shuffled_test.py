"""The rows of an evaluation for the model with another query's text, and with another query's reference."""

import types

import numpy as np
import pytest
from keras import ops
from PIL import Image

from cir_tf import config as configs
from cir_tf import evaluate
from cir_tf.data.source import Gallery
from tests.tiny_run import file_of


@pytest.mark.parametrize("size_W", [[1, 1], [1] * 7, [2, 2, 2], [1, 3, 2, 1], [3, 3], [1, 1, 2]])
def test_every_text_gets_one_of_another_row(size_W):
    row_T = np.repeat(np.arange(len(size_W)), size_W)
    for seed in range(20):
        other_T = evaluate.shuffled(row_T, seed)
        assert sorted(other_T) == list(range(len(row_T)))
        assert (row_T[other_T] != row_T).all()


def test_shuffling_depends_on_the_seed_alone():
    first, again, another = (evaluate.shuffled(np.arange(50), seed).tolist() for seed in (3, 3, 4))
    assert first == again != another


class _Model:
    """The vector of a query is the brightness of its picture, then the number its text says."""

    image_encoder = types.SimpleNamespace(image_size=4)
    text_encoder = types.SimpleNamespace(
        tokenizer=types.SimpleNamespace(tokenize=lambda texts: np.array([[int(text)] for text in texts], np.int32))
    )

    @staticmethod
    def query_vectors(image_BHWC, ids_BL):
        return ops.concatenate([ops.mean(image_BHWC, axis=(1, 2, 3))[:, None], ops.cast(ids_BL, "float32")], axis=1)

    @staticmethod
    def baselines(image_BHWC, ids_BL):
        return {}


def _vectors(row_Q, texts, query_T, shuffle=True):
    """Vectors by row name; query q has the reference of brightness 10 q."""
    count = len(row_Q)
    files = [file_of(Image.new("RGB", (4, 4), (10 * q,) * 3)) for q in range(count)]
    references = Gallery([f"r{q}" for q in range(count)], np.array(files, object), [""] * count)
    rows = {"query_id": [f"q{q}" for q in range(count)], "reference_id": references.ids, "row": np.array(row_Q)}
    scorer = evaluate.Scorer(configs.base(eval_batch_size=4), _Model)
    return scorer._query_vectors(rows, texts, np.array(query_T), references, shuffle)


def test_one_half_of_each_query_stays():
    found = _vectors(range(6), list("012345"), range(6))
    own_Q = np.arange(6)
    np.testing.assert_allclose(found["model"], np.stack([10 * own_Q, own_Q], 1), atol=0.01)
    for name, kept, other in (("shuffled texts", 0, 1), ("shuffled references", 1, 0)):
        scale = [10, 1]
        np.testing.assert_allclose(found[name][:, kept], scale[kept] * own_Q, atol=0.01)
        got_Q = (found[name][:, other] / scale[other]).round().astype(int)
        assert sorted(got_Q) == list(own_Q) and (got_Q != own_Q).all()


def test_two_queries_of_one_row_do_not_swap():
    found = _vectors([0, 0, 1, 1, 2, 2], list("012345"), range(6))
    assert (found["shuffled texts"][:, 1] // 2 != np.arange(6) // 2).all()


def test_query_of_several_texts_is_their_mean_with_one_reference():
    query_T, text_T = np.repeat(np.arange(3), 2), np.arange(1, 7)
    found = _vectors([0, 1, 2], list("123456"), query_T)
    other_T = evaluate.shuffled(query_T, 0)
    reference_T = np.empty(6, int)
    reference_T[other_T] = query_T
    pairs = {"shuffled texts": (query_T, text_T[other_T]), "shuffled references": (reference_T, text_T)}
    for name, (q_T, t_T) in pairs.items():
        expected_QD = evaluate.mean_directions(np.stack([10 * q_T, t_T], 1), query_T)
        np.testing.assert_allclose(found[name], expected_QD, atol=1e-3)


def test_nothing_is_shuffled_unless_wanted():
    assert list(_vectors(range(2), ["0", "1"], range(2), shuffle=False)) == ["model"]
