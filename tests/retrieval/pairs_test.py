"""Rankings by pairwise scores against one sorted in Python."""

import numpy as np
import pytest

from cir_tf.retrieval import rank_pairs, rerank, scorer_of
from cir_tf.retrieval.base import Ranking
from cir_tf.retrieval.brute_force import BruteForceIndex

RNG = np.random.default_rng(5)
QUERY = {"text": RNG.integers(-2, 3, (11, 4)).astype(np.float32), "image": RNG.integers(0, 3, (11, 3))}
GALLERY = {"vector": RNG.integers(-2, 3, (53, 4)).astype(np.float32), "pooled": RNG.integers(0, 3, (53, 3))}
IDS = [f"g{row}" for row in range(53)]


def ratio(query, gallery):
    """As ARTEMIS: explicit match over a norm that depends on both, plus implicit similarity; no inner product."""
    norm_qn = 1 + (query["text"] ** 2) @ (gallery["vector"] ** 2).T
    return query["text"] @ gallery["vector"].T / norm_qn + query["image"] @ gallery["pooled"].T


def slow(query, rows, k, excluded=None):
    """Rows of the best k, one pair at a time."""

    def score(row):
        one = {key: array[query : query + 1] for key, array in QUERY.items()}
        return ratio(one, {key: array[row : row + 1] for key, array in GALLERY.items()}).astype(np.float32).item()

    return sorted((row for row in rows if row != excluded), key=lambda row: (-score(row), row))[:k]


@pytest.mark.parametrize("query_chunk", [1, 4, 100])
@pytest.mark.parametrize("gallery_chunk", [1, 7, 100])
def test_chunks_do_not_change_the_ranking(query_chunk, gallery_chunk):
    exclude = [IDS[row] if row % 3 else None for row in range(11)]
    for k in (1, 9, 60):
        ranking = rank_pairs(ratio, QUERY, GALLERY, IDS, k, exclude, query_chunk, gallery_chunk)
        assert ranking.positions_QK.shape == (11, k)
        for row in range(11):
            best = slow(row, range(53), k, row if row % 3 else None)
            assert ranking.positions_QK[row].tolist() == best + [-1] * (k - len(best))
            assert ranking.ids_QK[row].tolist() == [IDS[place] for place in best] + [""] * (k - len(best))
    plain = rank_pairs(ratio, QUERY, GALLERY, IDS, 53)
    np.testing.assert_array_equal(
        plain.scores_QK, -np.sort(-ratio(QUERY, GALLERY).astype(np.float32), axis=1), strict=True
    )


def test_an_inner_product_gives_the_ranking_of_the_index():
    index = BruteForceIndex().build(GALLERY["vector"], IDS)
    pairs = rank_pairs(lambda a, b: a @ b.T, QUERY["text"], GALLERY["vector"], IDS, 20)
    for found, expected in zip(pairs, index.search(QUERY["text"], 20), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_memory_is_bounded_by_the_chunks():
    seen = []

    def score(query, gallery):
        seen.append((len(query), len(gallery)))
        return query @ gallery.T

    rank_pairs(score, QUERY["text"], GALLERY["vector"], IDS, 5, query_chunk=4, gallery_chunk=20)
    assert set(seen) == {(4, 20), (4, 13), (3, 20), (3, 13)}


@pytest.mark.parametrize("k", [1, 6, 20, 30])
@pytest.mark.parametrize("query_chunk", [1, 4, 100])
def test_candidates_are_ranked_again_by_another_score(k, query_chunk):
    index = BruteForceIndex().build(GALLERY["vector"], IDS)
    candidates = index.search(QUERY["text"], 20, [IDS[3]] * 11)
    ranking = rerank(candidates, scorer_of(ratio, QUERY, GALLERY), k, query_chunk)
    for row in range(11):
        best = slow(row, candidates.positions_QK[row].tolist(), k)
        assert ranking.positions_QK[row].tolist() == best + [-1] * (k - len(best))
        assert ranking.ids_QK[row].tolist() == [IDS[place] for place in best] + [""] * (k - len(best))


def test_all_entries_as_candidates_give_the_full_ranking():
    candidates = BruteForceIndex().build(GALLERY["vector"], IDS).search(QUERY["text"], 53)
    again = rerank(candidates, scorer_of(ratio, QUERY, GALLERY), 9)
    for found, expected in zip(again, rank_pairs(ratio, QUERY, GALLERY, IDS, 9), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_places_without_a_candidate_stay_at_the_end():
    """Scores -4 and -1 of rows 2 and 1; row 0 would have 9, and is no candidate."""
    candidates = Ranking(
        np.array([["c", "", "b"]], object), np.array([[2, -1, 1]]), np.array([[5, -np.inf, 4]], np.float32)
    )
    ranking = rerank(candidates, lambda rows, positions: np.array([9.0, -1.0, -4.0])[positions], 4)
    assert ranking.ids_QK.tolist() == [["b", "c", "", ""]]
    assert ranking.positions_QK.tolist() == [[1, 2, -1, -1]]
    assert ranking.scores_QK.tolist() == [[-1, -4, -np.inf, -np.inf]]


def test_empty_sides():
    nothing = np.zeros((0, 4), np.float32)
    assert rank_pairs(None, nothing, GALLERY["vector"], IDS, 3).ids_QK.shape == (0, 3)
    assert rank_pairs(None, QUERY["text"], nothing, [], 3).ids_QK.tolist() == [[""] * 3] * 11
    none = BruteForceIndex().build(nothing, []).search(QUERY["text"], 2)
    scorer = lambda rows, positions: np.ones(positions.shape)  # noqa: E731
    assert (rerank(none, scorer, 2).positions_QK == -1).all()


def test_wrong_scores_and_counts_are_refused():
    def rank(score, k=3, **others):
        return rank_pairs(score, QUERY["text"], GALLERY["vector"], others.pop("ids", IDS), k, **others)

    with pytest.raises(ValueError, match=r"finite, of shape \(11, 53\).*not finite"):
        rank(lambda a, b: np.full((len(a), len(b)), np.nan))
    with pytest.raises(ValueError, match=r"Received: shape \(53, 11\)"):
        rank(lambda a, b: b @ a.T)
    with pytest.raises(ValueError, match="k=0"):
        rank(None, k=0)
    with pytest.raises(ValueError, match="2 ids of 53 entries"):
        rank(None, ids=IDS[:2])
    with pytest.raises(ValueError, match="1 to exclude of 11 queries"):
        rank(None, exclude=["g1"])
    candidates = BruteForceIndex().build(GALLERY["vector"], IDS).search(QUERY["text"], 2)
    with pytest.raises(ValueError, match="not finite"):
        rerank(candidates, lambda rows, positions: positions * np.nan, 2)
    with pytest.raises(ValueError, match="k=0"):
        rerank(candidates, None, 0)
