"""What the tests of samplers share: galleries without pictures, and counts of what is drawn."""

import collections
import types

import numpy as np


def gallery(classes):
    """A gallery of pictures of these classes; the ids are "0", "1", …"""
    return types.SimpleNamespace(ids=[str(i) for i in range(len(classes))], target_class=list(classes))


def rows_of(sampler, epochs, seed=5):
    """(reference, target, text) of all rows of so many epochs, in order."""
    taken = []
    for epoch in range(epochs):
        rows = sampler.epoch(seed, epoch)
        taken += zip(rows.reference_R.tolist(), rows.target_R.tolist(), rows.texts_R.tolist(), strict=True)
    return taken


def assert_drawn_as(drawn, probability):
    """The drawn values have this distribution: {value: probability}.

    Chi-square has mean f and variance 2 f for f degrees of freedom; five standard deviations are allowed.
    """
    counts = collections.Counter(drawn)
    assert set(counts) <= set(probability), set(counts) - set(probability)
    assert abs(sum(probability.values()) - 1) < 1e-9
    expected = np.array(list(probability.values())) * len(drawn)
    assert expected.min() > 20, "too few draws to tell"
    got = np.array([counts[value] for value in probability])
    freedom = max(len(expected) - 1, 1)
    assert ((got - expected) ** 2 / expected).sum() < freedom + 5 * np.sqrt(2 * freedom)
