"""The oracle against slower and hand-made answers."""

import numpy as np
import pytest

from cir_tf.retrieval.brute_force import BruteForceIndex

GENERATOR = np.random.default_rng(7)
VECTORS = GENERATOR.normal(size=(137, 13)).astype(np.float32)
VECTORS[90:] = VECTORS[GENERATOR.integers(90, size=47)]  # copies, so that there are ties everywhere
QUERIES = GENERATOR.normal(size=(29, 13)).astype(np.float32)
EXCLUDED = np.where(np.arange(29) % 3 == 0, -1, GENERATOR.integers(137, size=29))


def slow_order(query, excluded):
    """Gallery rows by falling score, then by row, one by one in Python."""
    scores = [np.float32(np.dot(query.astype(np.float64), vector.astype(np.float64))) for vector in VECTORS]
    return sorted((row for row in range(len(VECTORS)) if row != excluded), key=lambda row: (-scores[row], row))


@pytest.mark.parametrize("query_chunk", [1, 3, 1000])
@pytest.mark.parametrize("gallery_chunk", [1, 3, 1000])
def test_chunks_do_not_change_the_ranking(query_chunk, gallery_chunk):
    ids = [str(row) for row in range(137)]
    names = [None if row < 0 else str(row) for row in EXCLUDED]
    ranking = BruteForceIndex(query_chunk, gallery_chunk).build(VECTORS, ids).search(QUERIES, 50, names)
    orders = [slow_order(query, row) for query, row in zip(QUERIES, EXCLUDED, strict=True)]
    np.testing.assert_array_equal(ranking.positions_QK, [order[:50] for order in orders])
    np.testing.assert_allclose(
        ranking.scores_QK, np.take_along_axis(QUERIES @ VECTORS.T, ranking.positions_QK, axis=1), rtol=1e-4, atol=1e-5
    )


def test_copies_of_a_vector_tie_wherever_they_stand():
    """A float32 matrix product rounds some of these pairs apart."""
    vectors = np.concatenate([VECTORS[:61], GENERATOR.normal(size=(840, 13)), VECTORS[:61]]).astype(np.float32)
    ids = [str(row) for row in range(len(vectors))]
    ranking = BruteForceIndex().build(vectors, ids).search(QUERIES, len(vectors))
    place_QN = np.argsort(ranking.positions_QK, axis=1)
    np.testing.assert_array_equal(place_QN[:, -61:], place_QN[:, :61] + 1)


def test_chunks_must_be_positive():
    with pytest.raises(ValueError, match="gallery_chunk=0"):
        BruteForceIndex(gallery_chunk=0)
