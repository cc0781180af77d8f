"""Bootstrap intervals against cases that can be worked by hand, and how often they cover the truth."""

import numpy as np
import pytest

from cir_tf.evaluation import intervals
from cir_tf.evaluation.intervals import bootstrap_interval, mean_of_parts, resampled_means

DRAWN = 1000  # data sets, each with an interval of its own


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


def test_drawing_rows_and_drawing_their_numbers_agree(monkeypatch):
    """30 % of hits, by numbers of draws of 0 and of 1, and by drawing rows."""
    hit = np.arange(200) % 10 < 3
    numbers = bootstrap_interval(hit)
    monkeypatch.setattr(intervals, "FEW", 0)
    assert bootstrap_interval(hit)[:3] == pytest.approx(numbers[:3], abs=0.006)


def test_chunks_of_draws_cover_all_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 7)
    monkeypatch.setattr(intervals, "FEW", 0)
    assert resampled_means([0.1, 0.9, 0.4], resamples=1001).shape == (1001,)
    estimate = bootstrap_interval([0.1, 0.9, 0.4], resamples=1001)
    assert 0.1 <= estimate.low < estimate.value < estimate.high <= 0.9


@pytest.mark.parametrize("few", [0, 100])
def test_queries_of_a_row_are_drawn_together(monkeypatch, few):
    """Rows with values (0, 0) and (1, 1): resampled means 0, 1/2, 1 only. As four rows 1/4 and 3/4 come up, too."""
    monkeypatch.setattr(intervals, "FEW", few)
    assert set(resampled_means([0, 0, 1, 1], row_Q=[7, 7, 9, 9])) == {0, 0.5, 1}
    assert set(resampled_means([0, 0, 1, 1])) == {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize("few", [0, 100])
def test_rows_of_unequal_size_weigh_by_their_queries(monkeypatch, few):
    """Rows (1), (0, 0, 0): drawn means are 1, 0, or 1/4, with one query of value 1 and three of 0."""
    monkeypatch.setattr(intervals, "FEW", few)
    means = resampled_means([1, 0, 0, 0], row_Q=[0, 1, 1, 1])
    assert set(means) == {0, 0.25, 1}
    assert np.mean(means == 0.25) == pytest.approx(0.5, abs=0.03)


def test_two_captions_of_equal_worth_say_no_more_than_one():
    once = np.random.default_rng(0).random(300) < 0.4
    alone, twice = bootstrap_interval(once), bootstrap_interval(np.repeat(once, 2), row_Q=np.repeat(np.arange(300), 2))
    assert twice[:3] == pytest.approx(alone[:3], abs=0.004)
    assert twice.n == 600


def test_mean_of_parts_by_hand():
    """Parts with means 1/2 (two values) and 1 (four equal ones): 3/4, not 5/6; its draws 1/2, 3/4, 1."""
    parts = [[0, 1], [1, 1, 1, 1]]
    assert mean_of_parts(parts, [resampled_means(part) for part in parts]) == (0.75, 0.5, 1, 6)


def test_seed_decides_the_interval():
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=[4, 0]) != bootstrap_interval(values, seed=[4, 1])


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [[0, 1]]])
def test_nothing_to_average_is_refused(values):
    with pytest.raises(ValueError, match="one finite number per query"):
        bootstrap_interval(values)


def covered(estimates, truth):
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


def correlated_hits(rng, rows):
    """Two hits of each row, bool [rows, 2], each with chance 0.3: three rows of four have twice the same."""
    hit = rng.random((rows, 2)) < 0.3
    return np.where(rng.random((rows, 1)) < 0.75, hit[:, :1], hit)


def test_intervals_of_recall_cover_the_truth():
    rng = np.random.default_rng(11)
    estimates = [bootstrap_interval(rng.random(400) < 0.3, seed, 2000) for seed in range(DRAWN)]
    assert 0.93 <= covered(estimates, 0.3) <= 0.97


def test_intervals_of_average_precision_cover_the_truth():
    """Values between 0 and 1, all different: squares of uniform numbers, mean 1/3."""
    rng = np.random.default_rng(12)
    estimates = [bootstrap_interval(rng.random(150) ** 2, seed, 1000) for seed in range(DRAWN)]
    assert 0.93 <= covered(estimates, 1 / 3) <= 0.97


def test_intervals_of_two_queries_a_row_cover_the_truth_only_by_rows():
    rng = np.random.default_rng(13)
    row_Q = np.repeat(np.arange(300), 2)
    data = [correlated_hits(rng, 300).ravel() for _ in range(DRAWN)]
    by_row = [bootstrap_interval(hit_Q, seed, 2000, row_Q=row_Q) for seed, hit_Q in enumerate(data)]
    by_query = [bootstrap_interval(hit_Q, seed, 2000) for seed, hit_Q in enumerate(data)]
    assert 0.93 <= covered(by_row, 0.3) <= 0.97
    assert covered(by_query, 0.3) < 0.90


def test_intervals_of_a_mean_over_kinds_cover_the_truth():
    """Three kinds of 350, 200 and 120 rows, two queries each, with their own chances; the truth is their plain mean."""
    rng = np.random.default_rng(14)
    estimates = []
    for seed in range(DRAWN):
        parts = [(correlated_hits(rng, rows) & (rng.random((rows, 1)) < keep)).ravel() for rows, keep in KINDS]
        means = [
            resampled_means(part, [seed, number], 2000, np.repeat(np.arange(len(part) // 2), 2))
            for number, part in enumerate(parts)
        ]
        estimates.append(mean_of_parts(parts, means))
    assert 0.93 <= covered(estimates, 0.3 * (1 + 0.8 + 0.6) / 3) <= 0.97


KINDS = ((350, 1.0), (200, 0.8), (120, 0.6))
