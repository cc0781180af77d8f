"""Bootstrap intervals against cases that can be worked by hand."""

import numpy as np
import pytest

from cir_tf.evaluation import intervals
from cir_tf.evaluation.intervals import bootstrap_by_group, bootstrap_interval


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1], (1, 1, 1, 4)),
        ([0, 0], (0, 0, 0, 2)),
        ([1], (1, 1, 1, 1)),
        ([0.25], (0.25, 0.25, 0.25, 1)),
        ([0.4, 0.4, 0.4], (0.4, 0.4, 0.4, 3)),
    ],
)
def test_equal_values_have_no_spread(values, expected):
    assert bootstrap_interval(values) == pytest.approx(expected)


def test_two_values_by_hand():
    """Values 0 and 1: resampled means 0, 1/2, 1 have chances 1/4, 1/2, 1/4; 95 % reach from 0 to 1, 40 % are 1/2."""
    assert bootstrap_interval([0, 1]) == (0.5, 0, 1, 2)
    assert bootstrap_interval([0, 1], level=0.4) == (0.5, 0.5, 0.5, 2)


def test_half_of_thousand_is_near_the_normal_interval():
    """0.5 +- 1.96 * sqrt(0.25 / 1000) = 0.5 +- 0.0310."""
    estimate = bootstrap_interval(np.arange(1000) % 2)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.469, abs=0.0021)
    assert estimate.high == pytest.approx(0.531, abs=0.0021)


def test_real_values_are_near_the_normal_interval():
    values = np.random.default_rng(3).exponential(size=800)
    estimate = bootstrap_interval(values)
    spread = 1.96 * values.std() / np.sqrt(800)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - spread, rel=0.02)
    assert estimate.high == pytest.approx(values.mean() + spread, rel=0.02)


def test_drawing_rows_and_drawing_the_binomial_agree():
    """The same 30 % of hits, once recognised as 0 and 1, once hidden behind 0.5 + x / 2."""
    hit = np.arange(200) % 10 < 3
    direct, drawn = bootstrap_interval(hit), bootstrap_interval(0.5 + hit / 2)
    assert np.multiply(2, drawn[:3]) - 1 == pytest.approx(direct[:3], abs=0.006)


def test_chunks_of_draws_cover_all_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 7)
    estimate = bootstrap_interval([0.1, 0.9, 0.4], resamples=1001)
    assert 0.1 <= estimate.low < estimate.value < estimate.high <= 0.9


def test_seed_decides_the_interval():
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


def test_groups_are_taken_apart():
    groups = bootstrap_by_group([1, 0, 1, 0], ["skin", "hair", "skin", "hair"])
    assert groups == {"hair": (0, 0, 0, 2), "skin": (1, 1, 1, 2)}
    assert list(groups) == ["hair", "skin"]


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [[0, 1]]])
def test_nothing_to_average_is_refused(values):
    with pytest.raises(ValueError, match="one finite number per query"):
        bootstrap_interval(values)
