"""ScaNN against the oracle: scores first, ids where untied."""

import sys

import numpy as np
import pytest

from cir_tf import registry
from cir_tf.errors import UserError
from cir_tf.retrieval._tuning import Rung, choose
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


def test_lost_cut_off_or_changed_scann_files_are_one_clear_line(tmp_path):
    index = ScannIndex(exact_below=100).build(VECTORS, names(700))
    index.save(tmp_path / "a")
    files = sorted((tmp_path / "a" / "scann").iterdir())
    assert len(files) > 4
    for file in files:
        content = file.read_bytes()
        for harm in (content[: len(content) // 2], content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
            file.write_bytes(harm)
            with pytest.raises(UserError, match=f"damaged .*{file.name} (has|was)") as error:
                ScannIndex.load(tmp_path / "a")
            assert "\n" not in str(error.value)
        file.unlink()
        with pytest.raises(UserError, match=f"{file.name} is missing"):
            ScannIndex.load(tmp_path / "a")
        file.write_bytes(content)
    assert_same(ScannIndex.load(tmp_path / "a").search(QUERIES, 9), index.search(QUERIES, 9))


def test_changed_large_gallery_is_searched_with_its_new_entries():
    index = ScannIndex(exact_below=100).build(VECTORS[40:], names(700)[40:])
    assert "g3" not in index.search(QUERIES[3:4], 5).ids_QK
    assert index.add(VECTORS[:40], names(40)).search(QUERIES[3:4], 5).ids_QK[0, 0] == "g3"
    assert "g3" not in index.delete(["g3"]).search(QUERIES[3:4], 5).ids_QK
    small = index.delete([name for name in names(640) if name != "g3"])
    assert small.is_exact and small.search(QUERIES, 99).ids_QK[0, -1] == ""


def test_tuning_takes_the_fastest_setting_that_finds_enough(tmp_path):
    vectors, queries = clusters(3000), clusters(80)
    index = ScannIndex(exact_below=3000).build(vectors, names(3000))
    tuning = index.tune(queries, 0.9, k=5)
    assert tuning["reached"] and (tuning["k"], tuning["queries"], tuning["count"]) == (5, 80, 3000)
    chosen, curve = tuning["chosen"], tuning["curve"]
    assert chosen in curve and chosen["recall"] >= 0.9
    assert not [rung for rung in curve if rung["recall"] >= 0.9 and rung["milliseconds"] < chosen["milliseconds"]]
    assert min(rung["recall"] for rung in curve) < 0.9 < 0.999 < max(rung["recall"] for rung in curve)
    assert all(rung["milliseconds"] > 0 and rung["single_milliseconds"] > 0 for rung in curve)
    assert (index.searched_share, index.reordered) == (chosen["searched_share"], chosen["reordered"])
    assert index.measured_recall(queries, k=5) == chosen["recall"]
    index.save(tmp_path / "a")
    loaded = ScannIndex.load(tmp_path / "a")
    assert loaded.tuning == tuning
    assert_same(loaded.search(queries, 5), index.search(queries, 5))


def test_choice_by_hand():
    """Recall and time of four settings; the target decides."""
    fast, good, slow, best = (
        Rung(share, 1, 60, recall, milliseconds, 1.0)
        for share, recall, milliseconds in [(0.1, 0.7, 1.0), (0.2, 0.9, 2.0), (0.3, 0.95, 4.0), (0.4, 0.97, 3.0)]
    )
    curve = [fast, good, slow, best]
    assert [choose(curve, target) for target in (0.5, 0.9, 0.95, 0.97)] == [fast, good, best, best]
    assert choose(curve, 0.99) == best  # out of reach: as much as there is
    assert choose([slow, slow._replace(milliseconds=3.5)], 1.0).milliseconds == 3.5


def test_wider_search_finds_more():
    vectors, queries = clusters(3000), clusters(60)
    recalls = []
    for share in (0.02, 0.2, 1.0):
        index = ScannIndex(exact_below=100, searched_share=share, reordered=300).build(vectors, names(3000))
        recalls.append(index.measured_recall(queries))
    assert recalls[0] < recalls[1] < recalls[2]


@pytest.mark.parametrize("wrong", [{"searched_share": 0.0}, {"searched_share": 1.5}, {"reordered": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="searched_share must be above 0"):
        ScannIndex(**wrong)


def test_too_small_a_limit_is_refused():
    with pytest.raises(ValueError, match=r"exact_below must be at least 100.*Received: 5"):
        registry.create("retrieval", "scann", exact_below=5)


def test_missing_scann_names_the_fallback(monkeypatch):
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(ImportError, match="Use the index 'brute_force'"):
        ScannIndex()
