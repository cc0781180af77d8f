"""Bootstrap intervals of means over queries.

Dimension key: Q queries, R resamples.
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
DRAWS = 4_000_000  # indices drawn at a time


class Estimate(NamedTuple):
    """A mean over queries, its percentile interval, and how many queries it is taken over."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_interval(value_Q, seed=0, resamples=RESAMPLES, level=0.95):
    """The mean over queries with its bootstrap percentile interval.

    Resampled means are the means of Q values drawn with replacement. Of values that are all 0 or 1 the sum of such a
    draw has the binomial distribution of Q trials with the observed mean, so it is drawn directly.

    Args:
        value_Q: one finite number for each query, Q at least 1.
        seed: of the resampling.
        resamples: how many means are drawn.
        level: share of the resampled means inside the interval.

    Returns:
        `Estimate`.

    Raises:
        ValueError: there are no values, or one is not finite.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    value_Q = np.asarray(value_Q, np.float64)
    if value_Q.ndim != 1 or not len(value_Q) or not np.isfinite(value_Q).all():
        raise ValueError(f"An interval needs one finite number per query. Received: shape {value_Q.shape}.")
    count, mean = len(value_Q), value_Q.mean()
    generator = np.random.default_rng(seed)
    if np.isin(value_Q, (0.0, 1.0)).all():
        mean_R = generator.binomial(count, mean, resamples) / count
    else:
        step = max(1, DRAWS // count)
        sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
        mean_R = np.concatenate([value_Q[generator.integers(count, size=(n, count))].mean(axis=1) for n in sizes])
    low, high = np.quantile(mean_R, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(mean), float(low), float(high), count)


def bootstrap_by_group(value_Q, group_Q, seed=0, resamples=RESAMPLES, level=0.95):
    """`bootstrap_interval` within each group: a dict group -> `Estimate`, sorted by group.

    Args:
        value_Q: one finite number for each query.
        group_Q: the name of each query's group.
    """
    value_Q, group_Q = np.asarray(value_Q), np.asarray(group_Q)
    return {
        str(group): bootstrap_interval(value_Q[group_Q == group], seed, resamples, level)
        for group in np.unique(group_Q)
    }
