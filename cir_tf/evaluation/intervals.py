"""Bootstrap intervals of means over queries, and of means of such means.

Queries made of one row of a dataset (its two captions, say) are no two independent observations: rows are resampled.

Dimension key: Q queries, W rows of the dataset, V different pairs of sum and count, R resamples.
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
DRAWS = 4_000_000  # indices drawn at a time
FEW = 100  # different values, up to which their counts are drawn instead of rows


class Estimate(NamedTuple):
    """A mean over queries, its percentile interval, and how many queries it is taken over."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_interval(value_Q, seed=0, resamples=RESAMPLES, level=0.95, row_Q=None):
    """The mean over queries with its bootstrap percentile interval: see `resampled_means`.

    Args:
        value_Q: one finite number for each query, Q at least 1.
        seed: of the resampling; an int, or a list of ints.
        resamples: how many means are drawn.
        level: share of the resampled means inside the interval.
        row_Q: the row each query was made of, int, rising; None: every query is a row of its own.

    Returns:
        `Estimate`.

    Raises:
        ValueError: there are no values, or one is not finite.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    return mean_of_parts([value_Q], [resampled_means(value_Q, seed, resamples, row_Q)], level)


def mean_of_parts(values, means, level=0.95):
    """The plain mean of several parts' means, with its interval.

    Args:
        values: for each part its values, [Q].
        means: for each part its `resampled_means`, drawn with a seed of its own.
        level: share of the resampled means inside the interval.

    Returns:
        `Estimate`, n over all parts.
    """
    low, high = np.quantile(np.mean(means, axis=0), [(1 - level) / 2, (1 + level) / 2])
    value = float(np.mean([np.mean(value_Q) for value_Q in values]))
    return Estimate(value, float(low), float(high), sum(map(len, values)))


def resampled_means(value_Q, seed=0, resamples=RESAMPLES, row_Q=None):
    """Means over as many rows as there are, drawn with replacement, all queries of a row together: float64 [R].

    Of a few different values (0 and 1, say) the numbers of draws follow a multinomial distribution, so they are drawn
    directly.

    Args, raises: as for `bootstrap_interval`.
    """
    value_Q = np.asarray(value_Q, np.float64)
    if value_Q.ndim != 1 or not len(value_Q) or not np.isfinite(value_Q).all():
        raise ValueError(f"An interval needs one finite number per query. Received: shape {value_Q.shape}.")
    row_Q = np.arange(len(value_Q)) if row_Q is None else np.unique(row_Q, return_inverse=True)[1]
    sum_W, count_W = np.bincount(row_Q, value_Q), np.bincount(row_Q)
    rows, generator = len(sum_W), np.random.default_rng(seed)
    pair_V, times_V = np.unique(sum_W + 1j * count_W, return_counts=True)
    if len(pair_V) <= FEW:
        total_R = generator.multinomial(rows, times_V[::-1] / rows, resamples) @ pair_V[::-1]
        return total_R.real / total_R.imag
    step = max(1, DRAWS // rows)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    draws = (generator.integers(rows, size=(size, rows)) for size in sizes)
    return np.concatenate([sum_W[row_RW].sum(axis=1) / count_W[row_RW].sum(axis=1) for row_RW in draws])
