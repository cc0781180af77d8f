"""Exact ranks of the accepted entries, at the price of one float32 matrix product.

A score counts as the inner product in float64, rounded to float32; equal scores stand in gallery order. The float32
product only decides what it can decide within its own rounding error; the few pairs in doubt are scored in float64.

Dimension key: Q queries, N gallery, K kept ranks, T accepted targets per query, G group, D shared embedding, P pairs;
S strips, M entries of a strip; lower-case q: one block of Q.
"""

import concurrent.futures
from typing import Any, NamedTuple

import numpy as np

from cir_tf.retrieval.brute_force import NO_ENTRY, pair_keys, sort_keys, split_keys

BLOCK_NUMBERS = 2**23  # scores held at a time: half of them are ranked while the others are computed
HALF_STEP = 2.0**-24  # relative rounding error of float32
# |computed - true| <= 8 sqrt(D) u |query| |entry|, but for a chance of 3e-14 for each addition: Higham and Mary, "A New
# Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41 (2019), theorem 3.1.
SAFETY = 8
STRIPS = 32  # that a row of scores is cut into
LOWEST = np.finfo(np.float32).min


class Ranks(NamedTuple):
    """Where the accepted entries of each query stand.

    Attributes:
        rank_QT: int64 [Q, T], from 1, in the order of the targets; 0 where there is none. Of a class only the best
            entry is ranked, T = 1.
        best_QK: int64 [Q, K], the gallery rows of the first K ranks, -1 where there is none.
    """

    rank_QT: Any
    best_QK: Any


def rank_targets(query_QD, vectors_ND, target_QT, exclude_Q, keep):
    """Exact ranks of every query's targets: rank = 1 + number of gallery entries before it.

    Args:
        query_QD: floats [Q, D].
        vectors_ND: floats [N, D].
        target_QT: int [Q, T], gallery rows, padded with -1.
        exclude_Q: int [Q], a gallery row that takes no part, not even as a target; -1 for none.
        keep: K, how many of the best entries are listed.

    Returns:
        `Ranks`.
    """
    target_QT = np.where(target_QT == exclude_Q[:, None], -1, target_QT)

    def rank(block):
        key_qT = pair_keys(block.query_qD, block.vectors_ND, target_QT[block.row_q])
        return np.stack([block.ranks_of(key_q) for key_q in key_qT.T], axis=1)

    return _over_blocks(query_QD, vectors_ND, exclude_Q, keep, rank)


def rank_classes(query_QD, vectors_ND, class_N, class_Q, exclude_Q, keep):
    """Exact ranks of the best entry of every query's class.

    Args:
        query_QD, vectors_ND, exclude_Q, keep: as for `rank_targets`.
        class_N, class_Q: int, the class of each gallery row and the one each query wants.

    Returns:
        `Ranks`, T = 1.
    """

    def rank(block):
        accepted_qN = class_N == class_Q[block.row_q, None]
        best_q = np.max(block.score_qN, axis=1, where=accepted_qN, initial=-np.inf)
        row_P, column_P = _places(accepted_qN & block.at_least(best_q))
        key_q = np.full(len(best_q), NO_ENTRY)
        np.minimum.at(key_q, row_P, block.keys(row_P, column_P))
        return block.ranks_of(key_q)[:, None]

    return _over_blocks(query_QD, vectors_ND, exclude_Q, keep, rank)


def rank_in_groups(query_QD, vectors_ND, target_Q, group_QG, exclude_Q):
    """The rank of each query's target among the members of its group alone, the excluded one left out: int64 [Q].

    Args:
        query_QD, vectors_ND, exclude_Q: as for `rank_targets`.
        target_Q: int [Q], a gallery row; its rank is 0 where it is not in the group.
        group_QG: int [Q, G], gallery rows, padded with -1.
    """
    group_QG = np.where(group_QG == exclude_Q[:, None], -1, group_QG)
    key_QG = pair_keys(query_QD, vectors_ND, group_QG)
    key_Q = np.where(group_QG == target_Q[:, None], key_QG, NO_ENTRY).min(axis=1)
    return np.where(key_Q == NO_ENTRY, 0, 1 + (key_QG < key_Q[:, None]).sum(axis=1))


def best(query_QD, vectors_ND, exclude_Q, keep):
    """The gallery rows of every query's first ranks: int64 [Q, keep], -1 where there is none.

    Args:
        query_QD, vectors_ND, exclude_Q, keep: as for `rank_targets`.
    """
    no_targets = lambda block: np.zeros((len(block.query_qD), 0), np.int64)  # noqa: E731
    return _over_blocks(query_QD, vectors_ND, exclude_Q, keep, no_targets).best_QK


def best_in_groups(query_QD, vectors_ND, group_QG, exclude_Q, keep):
    """The same among the members of each query's group alone: int64 [Q, keep].

    Args:
        query_QD, vectors_ND, exclude_Q, keep: as for `rank_targets`; keep is at most G.
        group_QG: int [Q, G], gallery rows, padded with -1.
    """
    group_QG = np.where(group_QG == exclude_Q[:, None], -1, group_QG)
    return split_keys(np.sort(pair_keys(query_QD, vectors_ND, group_QG), axis=1)[:, :keep])[0]


class _Block:
    """Some queries and their scores with the whole gallery, which become -inf for the excluded entries."""

    def __init__(self, row_q, score_qN, query_QD, vectors_ND, exclude_Q, largest):
        self.row_q, self.score_qN, self.query_qD, self.vectors_ND = row_q, score_qN, query_QD[row_q], vectors_ND
        left_out = np.flatnonzero(exclude_Q[row_q] >= 0)
        self.score_qN[left_out, exclude_Q[row_q][left_out]] = -np.inf
        # Rounding the true score adds one half step to the error of the sum.
        steps = HALF_STEP * (SAFETY * np.sqrt(query_QD.shape[1]) + 1)
        self.error_q = (steps * largest * np.linalg.norm(self.query_qD, axis=1)).astype(np.float32)

    def keys(self, row_P, column_P):
        """Exact sort keys of pairs."""
        return pair_keys(self.query_qD, self.vectors_ND, column_P[:, None], row_P)[:, 0]

    def at_least(self, least_q):
        """Which entries may have a score of at least `least_q`, bool [q, N]; never the excluded ones."""
        return self.score_qN >= np.maximum(least_q - 2 * self.error_q, LOWEST)[:, None]

    def ranks_of(self, key_q):
        """1 + the number of entries with smaller keys; 0 for `NO_ENTRY`."""
        _, exact_q = split_keys(key_q)
        surely_qN = self.score_qN > (exact_q + self.error_q)[:, None]
        perhaps_qN = self.score_qN >= (exact_q - self.error_q)[:, None]
        before_q, most_q = _counts(surely_qN), _counts(perhaps_qN)
        doubtful = np.flatnonzero(most_q > before_q + 1)  # where it is one more, that is the target
        row_P, column_P = _places(surely_qN[doubtful] ^ perhaps_qN[doubtful])
        row_P = doubtful[row_P]
        first_P = self.keys(row_P, column_P) < key_q[row_P]
        before_q += np.bincount(row_P, weights=first_P, minlength=len(key_q)).astype(np.int64)
        return np.where(key_q == NO_ENTRY, 0, 1 + before_q)

    def best(self, keep):
        """The gallery rows of the first `keep` ranks, [q, keep]."""
        row_P, column_P = _places(self.at_least(self._reached(keep)))
        score_P = self.score_qN[row_P, column_P]
        key_P = sort_keys(score_P, row_P)
        order_P = np.argsort(key_P << np.uint64(32) | key_P >> np.uint64(32))  # the row before the score
        row_P, column_P, score_P = row_P[order_P], column_P[order_P], score_P[order_P]
        # Neighbours that are too close to be told apart form a run, and runs are sorted by their exact scores.
        is_close_P = (row_P[1:] == row_P[:-1]) & (score_P[:-1] - score_P[1:] <= 2 * self.error_q[row_P[1:]])
        run_P = np.cumsum(np.append(True, ~is_close_P))[: len(row_P)]
        doubtful = np.flatnonzero(np.append(is_close_P, False) | np.append(False, is_close_P)[: len(row_P)])
        key_P = self.keys(row_P[doubtful], column_P[doubtful])
        column_P[doubtful] = column_P[doubtful[np.lexsort((key_P, run_P[doubtful]))]]
        place_P = np.arange(len(row_P)) - np.searchsorted(row_P, row_P)
        best_qK = np.full((len(self.score_qN), keep), -1)
        kept_P = place_P < keep
        best_qK[row_P[kept_P], place_P[kept_P]] = column_P[kept_P]
        return best_qK

    def _reached(self, keep):
        """What `keep` scores of each query reach: as many maxima of strips do, and these are few to choose from."""
        count = self.score_qN.shape[1]
        strips = max(1, min(STRIPS, count // keep))
        strips_qSM = self.score_qN[:, : count - count % strips].reshape(len(self.score_qN), strips, -1)
        top_qM = strips_qSM.max(axis=1)
        from_end = -min(keep, count)
        return np.partition(top_qM, from_end, axis=1)[:, from_end]


def _over_blocks(query_QD, vectors_ND, exclude_Q, keep, rank):
    query_QD, vectors_ND = (np.ascontiguousarray(array, np.float32) for array in (query_QD, vectors_ND))
    largest = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND).max())
    step = min(max(1, BLOCK_NUMBERS // (2 * len(vectors_ND))), len(query_QD))
    memory_2qN = np.empty((2, step, len(vectors_ND)), np.float32)
    jobs = []

    def work(row_q, score_qN):
        block = _Block(row_q, score_qN, query_QD, vectors_ND, exclude_Q, largest)
        return rank(block), block.best(keep)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for number, start in enumerate(range(0, len(query_QD), step)):
            if number > 1:
                jobs[number - 2].result()  # its scores' place is taken again
            row_q = np.arange(start, min(start + step, len(query_QD)))
            score_qN = np.matmul(query_QD[row_q], vectors_ND.T, out=memory_2qN[number % 2, : len(row_q)])
            jobs.append(pool.submit(work, row_q, score_qN))
        return Ranks(*map(np.concatenate, zip(*(job.result() for job in jobs), strict=True)))


def _counts(mask_qN):
    """How many are True in each row, int64; faster than a sum."""
    return np.bitwise_count(np.packbits(mask_qN, axis=1)).sum(axis=1, dtype=np.int64)


def _places(mask_qN):
    """Rows and columns of what is True, in their order; faster than `nonzero` where that is little."""
    return np.divmod(np.flatnonzero(mask_qN), mask_qN.shape[1])
