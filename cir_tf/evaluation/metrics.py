"""Metrics: pure functions of ranks.

Ranks count from 1; 0 stands for an entry that was not found, and -1 pads. Where equal scores stand is for the
ranking to say; all rankings here put them in gallery order.

Dimension key: Q queries, K kept ranks, T accepted targets per query.
"""

import numpy as np


def ranks_in(ranked_QK, target_QT):
    """Where each target first stands in a ranked list.

    Args:
        ranked_QK: int, the code (gallery row, or number of the class) at each rank, best first; negative for none.
        target_QT: int, accepted codes, padded with -1.

    Returns:
        int64 [Q, T], 0 where it is not in the list, -1 for padding.
    """
    ranked_QK1, target_Q1T = np.asarray(ranked_QK)[:, :, None], np.asarray(target_QT)[:, None, :]
    found_QKT = (ranked_QK1 == target_Q1T) & (target_Q1T >= 0)
    rank_QT = np.where(found_QKT.any(axis=1), 1 + found_QKT.argmax(axis=1), 0)
    return np.where(target_Q1T[:, 0] < 0, -1, rank_QT)


def recall_at_k(rank_QT, k):
    """1 where any target is among the first k, else 0; its mean over queries is R@k. float64 [Q]."""
    return ((rank_QT >= 1) & (rank_QT <= _checked(k))).any(axis=1).astype(np.float64)


def average_precision_at_k(rank_QT, k):
    """Average precision of each query, cut at k; its mean over queries is mAP@k.

    AP@k = 1 / min(|G|, k) * sum over r = 1..k of [p_r in G] * |{p_1..p_r} and G| / r, for the set G of accepted images
    and the ranked list p.

    Args:
        rank_QT: int, the ranks of the images of G; -1 pads, 0 is an image of G that was not found.
        k: at least 1.

    Returns:
        float64 [Q]; 0 for a query without accepted images.

    Reference: Baldrati et al., ICCV 2023, section 5 (CIRCO).
    """
    size_Q = (rank_QT >= 0).sum(axis=1)
    rank_QT = np.sort(np.where((rank_QT >= 1) & (rank_QT <= _checked(k)), rank_QT, np.inf), axis=1)
    precision_QT = np.arange(1, rank_QT.shape[1] + 1) / rank_QT  # the n-th image found stands at rank r: n / r
    return precision_QT.sum(axis=1) / np.maximum(np.minimum(size_Q, k), 1)


def _checked(k):
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: k={k}.")
    return k
