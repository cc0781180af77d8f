"""ScaNN against the oracle: scores first, ids where untied."""

import sys

import numpy as np
import pytest

from cir_tf import registry
from cir_tf.errors import UserError
from cir_tf.retrieval.brute_force import BruteForceIndex
from cir_tf.retrieval.scann import ScannIndex

GENERATOR = np.random.default_rng(11)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters(count, width=24):
    centres = 3 * GENERATOR.normal(size=(20, width))
    return unit(centres[GENERATOR.integers(20, size=count)] + GENERATOR.normal(size=(count, width)))


def names(count):
    return [f"g{row}" for row in range(count)]


VECTORS = clusters(700)
QUERIES = unit(VECTORS[:40] + 0.05 * GENERATOR.normal(size=(40, 24)))


def assert_same(found, expected):
    np.testing.assert_array_equal(found.scores_QK, expected.scores_QK)
    np.testing.assert_array_equal(found.positions_QK, expected.positions_QK)
    np.testing.assert_array_equal(found.ids_QK, expected.ids_QK)


@pytest.mark.parametrize("k", [1, 10, 690, 700, 800])
@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS,
        3 * VECTORS,
        VECTORS[GENERATOR.integers(60, size=700)],  # about twelve copies of each
        np.repeat(VECTORS[:2], 350, axis=0),  # ties beyond any margin at the cut
        np.zeros_like(VECTORS),
    ],
    ids=["different", "not unit", "copies", "two vectors", "zeros"],
)
def test_small_gallery_is_ranked_as_by_the_oracle(vectors, k):
    exclude = [f"g{row}" if row % 2 else None for row in range(40)]
    index, oracle = (part.build(vectors, names(700)) for part in (ScannIndex(), BruteForceIndex()))
    assert index.is_exact
    assert_same(index.search(QUERIES, k, exclude), oracle.search(QUERIES, k, exclude))
    assert index.measured_recall(QUERIES) == 1.0


def test_ties_that_float32_rounds_apart_follow_the_gallery():
    """A constant query has one product with every order of the same numbers; the float32 sums of ScaNN differ."""
    vectors = GENERATOR.permuted(np.tile(VECTORS[:1], (700, 1)), axis=1)
    index = ScannIndex().build(vectors, names(700))
    ranking = index.search(np.full((2, 24), 0.3, np.float32), 10, exclude=[None, "g4"])
    assert ranking.positions_QK.tolist() == [list(range(10)), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]]


def test_large_gallery_reports_its_recall():
    vectors, queries = clusters(3000), clusters(50)
    index = ScannIndex(exact_below=3000).build(vectors, names(3000))
    oracle = BruteForceIndex().build(vectors, names(3000))
    assert not index.is_exact
    found, exact = index.search(queries, 10), oracle.search(queries, 10)
    shared = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found.ids_QK, exact.ids_QK, strict=True)])
    assert index.measured_recall(queries, k=10) == pytest.approx(shared)
    assert 0.3 < shared < 1
    np.testing.assert_allclose(
        found.scores_QK, (queries[:, None] * vectors[found.positions_QK]).sum(axis=-1), atol=1e-6
    )
    assert (np.diff(found.scores_QK) <= 0).all()


def test_large_gallery_excludes_and_pads():
    """With k = 600 of 700 the searched leaves hold fewer entries than asked for."""
    index = ScannIndex(exact_below=100).build(VECTORS, names(700))
    exclude = names(40)  # each query lies near the entry of its own number
    own = np.arange(40)[:, None]
    assert (index.search(QUERIES, 5).positions_QK == own).any(axis=1).mean() > 0.5
    assert (index.search(QUERIES, 5, exclude).positions_QK >= 0).all()
    ranking = index.search(QUERIES, 600, exclude)
    assert not (ranking.positions_QK == own).any()
    padded_QK = ranking.positions_QK < 0
    assert padded_QK.any() and not padded_QK[:, 0].any()
    assert (ranking.ids_QK[padded_QK] == "").all() and (ranking.scores_QK[padded_QK] == -np.inf).all()
    assert (np.diff(padded_QK.astype(int)) >= 0).all()  # padding stands at the end
    for row in ranking.positions_QK:
        assert len(np.unique(row[row >= 0])) == (row >= 0).sum()


def test_large_gallery_survives_saving_and_moving(tmp_path):
    index = ScannIndex(exact_below=100).build(VECTORS, names(700))
    index.save(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    loaded = ScannIndex.load(tmp_path / "b")
    assert not loaded.is_exact
    assert_same(loaded.search(QUERIES, 20), index.search(QUERIES, 20))


def test_pickle_in_the_folder_is_never_opened(tmp_path):
    ScannIndex(exact_below=100).build(VECTORS, names(700)).save(tmp_path / "a")
    (tmp_path / "a" / "scann" / "scann_docids.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"scann_docids\.pkl"):
        ScannIndex.load(tmp_path / "a")


def test_lost_scann_files_are_one_clear_line(tmp_path):
    ScannIndex(exact_below=100).build(VECTORS, names(700)).save(tmp_path / "a")
    (tmp_path / "a" / "scann" / "scann_assets.pbtxt").unlink()
    with pytest.raises(UserError, match="damaged"):
        ScannIndex.load(tmp_path / "a")


def test_too_small_a_limit_is_refused():
    with pytest.raises(ValueError, match=r"exact_below must be at least 100.*Received: 5"):
        registry.create("retrieval", "scann", exact_below=5)


def test_missing_scann_names_the_fallback(monkeypatch):
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(ImportError, match="Use the index 'brute_force'"):
        ScannIndex()
