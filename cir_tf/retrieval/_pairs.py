"""Scores that are no inner products: rank by any function of query and gallery entry, or re-rank candidates by it.

The gallery side of such a score cannot be reduced to one vector that is searched, as in ARTEMIS (Delmas et al.,
ICLR 2022), whose score weighs the target's dimensions by the query's text. Small galleries are ranked in full, in
chunks; large ones by the candidates of an index, scored again.

Dimension key: Q queries, N gallery, K kept ranks; lower-case q and n: one chunk of Q and N.
"""

import numpy as np

from cir_tf.retrieval.base import Ranking
from cir_tf.retrieval.brute_force import NO_ENTRY, cross_out, smallest_keys, sort_keys, split_keys

QUERY_CHUNK, GALLERY_CHUNK = 256, 4_096
RERANK_CHUNK = 8  # queries; `scorer_of` scores all their candidates with all of them


def rank_pairs(
    pairwise_scores, query, gallery, ids, k, exclude=None, query_chunk=QUERY_CHUNK, gallery_chunk=GALLERY_CHUNK
):
    """The exact best k of a gallery by a pairwise score; equal scores stand in gallery order.

    Never more than `query_chunk` x (`gallery_chunk` + k) scores are held.

    Args:
        pairwise_scores: function (query, gallery) -> float array [q, n], of chunks of the next two.
        query: array [Q, ...], or a dict of such arrays.
        gallery: array [N, ...], or a dict of such arrays.
        ids: N different strings.
        k: at least 1; places beyond the gallery's size are padded (see `Ranking`).
        exclude: None, or Q ids (None or "" for none): that entry is never returned for that query.
        query_chunk, gallery_chunk: how many rows are scored at a time.

    Returns:
        `Ranking` with k columns.

    Raises:
        ValueError: a bad k, scores that are not finite or of another shape, or counts that do not match.
    """
    count, queries = _count(gallery), _count(query)
    exclude = [None] * queries if exclude is None else exclude
    if k < 1 or len(ids) != count or len(exclude) != queries:
        raise ValueError(
            "k must be at least 1, with one id per entry and one to exclude per query. "
            f"Received: k={k}, {len(ids)} ids of {count} entries, {len(exclude)} to exclude of {queries} queries."
        )
    position = {name: row for row, name in enumerate(ids)}
    exclude_Q = np.array([position.get(name, -1) for name in exclude], np.int64)
    key_QK = np.full((queries, k), NO_ENTRY)
    for start in range(0, queries if count else 0, query_chunk):
        rows = slice(start, start + query_chunk)
        chunks = _pair_keys(pairwise_scores, _take(query, rows), gallery, exclude_Q[rows], gallery_chunk)
        kept_qK = smallest_keys(chunks, k)
        key_QK[rows, : kept_qK.shape[1]] = kept_qK
    position_QK, score_QK = split_keys(key_QK)
    return Ranking(np.array([*ids, ""], dtype=object)[position_QK], position_QK, score_QK)


def _pair_keys(pairwise_scores, query_q, gallery, exclude_q, gallery_chunk):
    """Yield the sort keys uint64 [q, n] of one chunk of the gallery after the other."""
    count = _count(gallery)
    for start in range(0, count, gallery_chunk):
        position_n = np.arange(start, min(start + gallery_chunk, count))
        score_qn = pairwise_scores(query_q, _take(gallery, slice(start, start + gallery_chunk)))
        score_qn = _checked(score_qn, (len(exclude_q), len(position_n)))
        yield cross_out(sort_keys(score_qn, position_n), position_n, exclude_q)


def rerank(ranking, scorer, k, query_chunk=RERANK_CHUNK):
    """Candidates scored again: the best k of a ranking's entries by another score, equal ones in gallery order.

    Args:
        ranking: `Ranking` with C candidates of each query, as `search` gives.
        scorer: function (rows_q, position_qC) -> float array [q, C]: the scores of gallery rows `position_qC` for the
            queries of these rows; see `scorer_of`. Places without an entry are asked for as row 0 and not looked at.
        k: at least 1; places beyond the candidates are padded.
        query_chunk: how many queries are scored at a time.

    Returns:
        `Ranking` with k columns.

    Raises:
        ValueError: a bad k, or scores that are not finite or of another shape.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: k={k}.")
    position_QC = ranking.positions_QK
    queries, candidates = position_QC.shape
    key_QK = np.full((queries, max(k, candidates)), NO_ENTRY)
    for start in range(0, queries if candidates else 0, query_chunk):
        rows_q = np.arange(start, min(start + query_chunk, queries))
        position_qC = position_QC[rows_q]
        asked_qC = np.maximum(position_qC, 0)
        score_qC = np.asarray(scorer(rows_q, asked_qC))
        score_qC = _checked(np.where(position_qC < 0, 0, score_qC), position_qC.shape)
        key_QK[rows_q, :candidates] = np.where(position_qC < 0, NO_ENTRY, sort_keys(score_qC, asked_qC))
    order_QK = np.argsort(key_QK, axis=1)[:, :k]
    found_QK, score_QK = split_keys(np.take_along_axis(key_QK, order_QK, axis=1))
    padded_QK = np.pad(ranking.ids_QK, ((0, 0), (0, key_QK.shape[1] - candidates)), constant_values="")
    return Ranking(np.take_along_axis(padded_QK, order_QK, axis=1), found_QK, score_QK)


def scorer_of(pairwise_scores, query, gallery):
    """A pairwise score as a scorer for `rerank`.

    Args:
        pairwise_scores, query, gallery: as for `rank_pairs`.
    """

    def score(rows_q, position_qC):
        asked_n, place_qC = np.unique(position_qC, return_inverse=True)
        score_qn = np.asarray(pairwise_scores(_take(query, rows_q), _take(gallery, asked_n)))
        return np.take_along_axis(score_qn, place_qC.reshape(position_qC.shape), axis=1)

    return score


def _take(arrays, rows):
    return {key: array[rows] for key, array in arrays.items()} if isinstance(arrays, dict) else arrays[rows]


def _count(arrays):
    return len(next(iter(arrays.values())) if isinstance(arrays, dict) else arrays)


def _checked(scores, shape):
    scores = np.asarray(scores, np.float32)
    if scores.shape != shape or not np.isfinite(scores).all():
        what = f"shape {scores.shape}" if scores.shape != shape else "scores that are not finite"
        raise ValueError(f"Pairwise scores must be finite, of shape {shape}. Received: {what}.")
    return scores
