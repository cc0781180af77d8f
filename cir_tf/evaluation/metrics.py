"""Metrics: pure functions of ranked entries.

Gallery entries and targets are compared by integer codes. Where a hit is decided by id, the code of an entry is its
row in the gallery; where it is decided by class, it is the number of its class.

Dimension key: Q queries, K kept ranks, T accepted targets per query.
"""

import numpy as np


def hits(ranked_code_QK, target_code_QT):
    """Which ranks hold an accepted target: hit[q, k] = any over t of ranked[q, k] == target[q, t].

    Args:
        ranked_code_QK: int, the code of the entry at each rank, best first; negative where there is no entry.
        target_code_QT: int, the accepted codes of each query, padded with -1.

    Returns:
        bool [Q, K].
    """
    ranked_code_QK1, target_code_Q1T = np.asarray(ranked_code_QK)[:, :, None], np.asarray(target_code_QT)[:, None, :]
    return ((ranked_code_QK1 == target_code_Q1T) & (target_code_Q1T >= 0)).any(axis=-1)


def recall_at_k(hit_QK, k):
    """Recall at k of each query: 1 where one of the first k ranks is a hit, else 0. Its mean is R@k.

    Args:
        hit_QK: bool, from `hits`.
        k: 1 to K.

    Returns:
        float64 [Q], a fraction.

    Raises:
        ValueError: fewer than k ranks were kept.
    """
    if not 1 <= k <= hit_QK.shape[1]:
        raise ValueError(f"k must be 1 to the number of kept ranks. Received: k={k}, kept: {hit_QK.shape[1]}.")
    return hit_QK[:, :k].any(axis=1).astype(np.float64)


def recalls(hit_QK, ks):
    """`recall_at_k` for several k: a dict recall_at_<k> -> float64 [Q]."""
    return {f"recall_at_{k}": recall_at_k(hit_QK, k) for k in ks}
