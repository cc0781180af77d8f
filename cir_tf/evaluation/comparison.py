"""What differs between two runs that answered the same queries: paired intervals and the sign test.

Both runs rank the same queries, and most queries are hard or easy for both, so that the difference is known far better
than either figure. Queries made of one row of a dataset are resampled, and counted by the sign test, as one.

Dimension key: Q queries, W rows of the dataset, P parts, R resamples.
"""

import math
from typing import NamedTuple

import numpy as np

from cir_tf.evaluation.intervals import Estimate, mean_of_parts, resampled_means

LEVEL = 0.95
DECIMALS = 6  # of the values that a result keeps


class Change(NamedTuple):
    """What one metric says about runs A and B.

    Attributes:
        a, b: the metric of either run.
        difference: of B - A, `Estimate`.
        wide: (low, high) of the difference when the share outside the interval is divided by the number of comparisons.
        p: of the sign test over rows.
        wins, losses: queries that B answers better, and worse.
        rows_won, rows_lost: the same by row, all queries of a row together.
    """

    a: float
    b: float
    difference: Estimate
    wide: tuple[float, float]
    p: float
    wins: int
    losses: int
    rows_won: int
    rows_lost: int


def compare(a_Q, b_Q, row_Q=None, part_Q=None, seed=0, comparisons=1):
    """Means of two runs over the same queries, their difference with a paired bootstrap interval, and the sign test.

    Args:
        a_Q, b_Q: a finite value for each query; the means over seeds where a side has several.
        row_Q: the row each query was made of, int; None: every query is a row of its own.
        part_Q: the part each query belongs to; figures are plain means over the parts. None: one part. A row lies in
            one part.
        seed: of the resampling.
        comparisons: how many metrics are looked at, for `wide`.

    Returns:
        `Change`.

    Raises:
        ValueError: different numbers of values, none, or one that is not finite.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3; Conover, Practical
    Nonparametric Statistics, 1999, section 3.4.
    """
    a_Q, b_Q = np.asarray(a_Q, np.float64), np.asarray(b_Q, np.float64)
    if a_Q.shape != b_Q.shape:
        raise ValueError(f"Both runs need a value of every query. Received: {a_Q.shape} and {b_Q.shape}.")
    row_Q = np.arange(len(a_Q)) if row_Q is None else np.asarray(row_Q)
    part_Q = np.zeros(len(a_Q), np.int64) if part_Q is None else np.asarray(part_Q)
    members_PQ = [part_Q == part for part in np.unique(part_Q)] or [slice(None)]
    # Equal means over seeds may differ in their last bit; and few different values are resampled fast.
    difference_Q = (b_Q - a_Q).round(DECIMALS)
    drawn_PR = [
        resampled_means(difference_Q[member_Q], [seed, number], row_Q=row_Q[member_Q])
        for number, member_Q in enumerate(members_PQ)
    ]
    values = [difference_Q[member_Q] for member_Q in members_PQ]
    wide = mean_of_parts(values, drawn_PR, 1 - (1 - LEVEL) / comparisons)
    sign_Q, sign_W = signs(difference_Q, np.arange(len(difference_Q))), signs(difference_Q, row_Q)
    won, lost = int((sign_W > 0).sum()), int((sign_W < 0).sum())
    return Change(
        a=float(np.mean([a_Q[member_Q].mean() for member_Q in members_PQ])),
        b=float(np.mean([b_Q[member_Q].mean() for member_Q in members_PQ])),
        difference=mean_of_parts(values, drawn_PR, LEVEL),
        wide=(wide.low, wide.high),
        p=sign_test(won, lost),
        wins=int((sign_Q > 0).sum()),
        losses=int((sign_Q < 0).sum()),
        rows_won=won,
        rows_lost=lost,
    )


def signs(difference_Q, row_Q):
    """1, -1 or 0 of each row: whether the sum over its queries rose, fell or stayed; int [W].

    A sum within the rounding of its values counts as 0.
    """
    row_Q = np.unique(row_Q, return_inverse=True)[1]
    sum_W, count_W = np.bincount(row_Q, difference_Q), np.bincount(row_Q)
    return np.where(np.abs(sum_W) < 1.5 * 10**-DECIMALS * count_W, 0, np.sign(sum_W)).astype(np.int64)


def sign_test(wins, losses):
    """Two-sided p of as uneven a split when either side is as likely: min(1, 2 * sum_{k <= min} C(n, k) / 2^n), n both.

    Ties are left out by the caller; 1.0 where nothing differs.
    """
    n, fewer = wins + losses, min(wins, losses)
    k = np.arange(1, fewer + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])
    return min(1.0, 2 * float(np.exp(log_choose - n * math.log(2)).sum()))


def leaves_out_zero(low, high):
    """Whether an interval of differences is clear of 0; ends may be off in their last bit."""
    return low > 1e-9 or high < -1e-9
