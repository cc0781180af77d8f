"""Exact search in NumPy: the oracle, and the fallback where ScaNN has no wheel.

Inner products are taken in float64 and rounded to float32. A float32 matrix product rounds equal vectors differently
according to where they stand in the matrix; rounded from float64 they tie, whatever the chunks.

Dimension key: Q queries, N gallery, K kept ranks, T accepted targets per query, D shared embedding;
lower-case q and n: one chunk of Q and N.
"""

import numpy as np

from cir_tf.retrieval.base import Index

QUERY_CHUNK = 256
GALLERY_CHUNK = 16_384
PAIR_NUMBERS = 2**18  # float64 numbers gathered at a time to score single pairs; more would leave the cache
NO_ENTRY = np.uint64(2**64 - 1)


class BruteForceIndex(Index):
    """Scores every gallery entry, in chunks: memory does not grow with queries x gallery.

    Args:
        query_chunk, gallery_chunk: how many rows are scored at a time.
    """

    kind = "brute_force"

    def __init__(self, query_chunk=QUERY_CHUNK, gallery_chunk=GALLERY_CHUNK):
        super().__init__()
        if query_chunk < 1 or gallery_chunk < 1:
            raise ValueError(
                f"Chunks must be at least 1. Received: query_chunk={query_chunk}, gallery_chunk={gallery_chunk}."
            )
        self.query_chunk, self.gallery_chunk = query_chunk, gallery_chunk

    def is_exact_at(self, count):
        return True

    def _options(self):
        return {"query_chunk": self.query_chunk, "gallery_chunk": self.gallery_chunk}

    def _top_k(self, query_QD, k, exclude_Q, among_n):
        return top_k(query_QD, self.vectors_ND, k, exclude_Q, among_n, self.query_chunk, self.gallery_chunk)


def top_k(query_QD, vectors_ND, k, exclude_Q, among_n=None, query_chunk=QUERY_CHUNK, gallery_chunk=GALLERY_CHUNK):
    """The exact best k by inner product, equal scores in gallery order.

    Args:
        query_QD: float32 [Q, D].
        vectors_ND: float32 [N, D].
        k: 1 to the number of rows to choose from.
        exclude_Q: int64 [Q], a gallery row that is left out, or -1.
        among_n: int64, the gallery rows to choose from, rising; None for all.
        query_chunk, gallery_chunk: how many rows are scored at a time.

    Returns:
        positions int64 [Q, k] and scores float32 [Q, k]; -1 and -inf where there is no entry.
    """
    key_QK = np.empty((len(query_QD), k), np.uint64)
    for start in range(0, len(query_QD), query_chunk):
        rows = slice(start, start + query_chunk)
        chunks = _gallery_keys(query_QD[rows], vectors_ND, exclude_Q[rows], gallery_chunk, among_n)
        key_QK[rows] = smallest_keys(chunks, k)
    return split_keys(key_QK)


def smallest_keys(chunks, k):
    """The k smallest sort keys of each query over all chunks.

    Args:
        chunks: iterable of uint64 [q, n], at least one.
        k: at least 1.

    Returns:
        uint64 [q, k], rising; fewer columns where the chunks have fewer.
    """
    kept_qK = None
    for key_qn in chunks:
        kept_qK = key_qn if kept_qK is None else np.concatenate([kept_qK, key_qn], axis=1)
        if kept_qK.shape[1] > k:
            kept_qK = np.partition(kept_qK, k - 1, axis=1)[:, :k]
    return np.sort(kept_qK, axis=1)


def pair_keys(query_QD, vectors_ND, position_QK, row_Q=None):
    """Sort keys (see `split_keys`) of single pairs of query and gallery row.

    Args:
        query_QD: float32 [Q, D].
        vectors_ND: float32 [N, D].
        position_QK: int64 [Q, K], gallery rows; -1 gives the key of "no entry", which comes last.
        row_Q: int, the row of `query_QD` that each row of positions belongs to; None: its own. Of millions of pairs the
            queries are never gathered at once.

    Returns:
        uint64 [Q, K], in the order of `position_QK`.
    """
    key_QK = np.full(position_QK.shape, NO_ENTRY)
    if not len(vectors_ND):
        return key_QK
    step = max(1, PAIR_NUMBERS // max(1, position_QK.shape[1] * vectors_ND.shape[1]))
    for start in range(0, len(position_QK), step):
        rows = slice(start, start + step)
        query_qD = query_QD[rows if row_Q is None else row_Q[rows]].astype(np.float64)
        vectors_qKD = vectors_ND[position_QK[rows]].astype(np.float64)
        score_qK = np.einsum("qd,qkd->qk", query_qD, vectors_qKD).astype(np.float32)
        key_QK[rows] = np.where(position_QK[rows] < 0, NO_ENTRY, sort_keys(score_qK, position_QK[rows]))
    return key_QK


def split_keys(key_QK):
    """Positions int64 and scores float32 of sort keys; -1 and -inf for "no entry".

    A key holds a falling score in its upper half and the position in its lower half, so keys are all different and
    their rising order is: best score first, equal scores in gallery order.
    """
    none_QK = key_QK == NO_ENTRY
    rising_QK = ~(key_QK >> np.uint64(32)).astype(np.uint32)
    bits_QK = np.where(rising_QK >> 31, rising_QK ^ np.uint32(2**31), ~rising_QK)
    position_QK = (key_QK & np.uint64(2**32 - 1)).astype(np.int64)
    return np.where(none_QK, -1, position_QK), np.where(none_QK, np.float32(-np.inf), bits_QK.view(np.float32))


def sort_keys(score, position):
    """The sort keys of float32 scores at integer positions, arrays that broadcast; see `split_keys`."""
    bits = (score + np.float32(0)).view(np.uint32)  # -0.0 + 0 is 0.0: the two zeros are one score
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(2**31))  # unsigned integers in the order of the floats
    return (~rising).astype(np.uint64) << np.uint64(32) | position.astype(np.uint64)


def cross_out(key_qn, position_n, exclude_q):
    """Write "no entry" where the row `exclude_q` stands among the rising rows `position_n`; -1 stands nowhere."""
    place_q = np.minimum(np.searchsorted(position_n, exclude_q), len(position_n) - 1)
    excluded = np.flatnonzero(position_n[place_q] == exclude_q)
    key_qn[excluded, place_q[excluded]] = NO_ENTRY
    return key_qn


def _gallery_keys(query_qD, vectors_ND, exclude_q, gallery_chunk, among_n=None):
    """Yield the keys uint64 [q, n] of one chunk of the gallery after the other."""
    query_qD = query_qD.astype(np.float64)
    for start in range(0, len(vectors_ND) if among_n is None else len(among_n), gallery_chunk):
        rows = slice(start, start + gallery_chunk)
        vectors_nD = vectors_ND[rows if among_n is None else among_n[rows]].astype(np.float64)
        position_n = np.arange(start, start + len(vectors_nD)) if among_n is None else among_n[rows]
        score_qn = (query_qD @ vectors_nD.T).astype(np.float32)
        yield cross_out(sort_keys(score_qn, position_n), position_n, exclude_q)


build = BruteForceIndex
