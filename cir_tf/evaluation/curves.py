"""Curves over ranks.

Dimension key: Q queries, P points.
"""

import numpy as np

from cir_tf.evaluation.intervals import mean_of_parts, resampled_means

POINTS = 48


def recall_curve(rank_Q, part_Q, row_Q, largest, seed=0, points=POINTS):
    """The share of queries with an accepted image among the first k, for k from 1 to the largest, evenly in log k.

    Args:
        rank_Q: exact rank of the best accepted image, from 1; 0 where there is none.
        part_Q: the name of each query's subset; the curve is the plain mean over the subsets.
        row_Q: the row of the dataset that each query was made of; rows are resampled.
        largest: the last k.
        seed: of the bootstrap.
        points: how many different k at most.

    Returns:
        (k_P, estimates): ints and as many `Estimate`s, drawn as those of the results are.
    """
    rank_Q, part_Q, row_Q = np.asarray(rank_Q), np.asarray(part_Q), np.asarray(row_Q)
    members = [part_Q == name for name in dict.fromkeys(part_Q.tolist())]
    k_P = np.unique(np.geomspace(1, largest, points).round().astype(int))
    estimates = []
    for k in k_P:
        hit_Q = ((rank_Q >= 1) & (rank_Q <= k)).astype(np.float64)
        parts = [hit_Q[member_Q] for member_Q in members]
        drawn = [
            resampled_means(part, [seed, number], row_Q=row_Q[member_Q])
            for number, (part, member_Q) in enumerate(zip(parts, members, strict=True))
        ]
        estimates.append(mean_of_parts(parts, drawn))
    return k_P, estimates
