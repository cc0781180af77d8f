"""Paired intervals and the sign test against cases worked by hand, full enumeration, a slow oracle and simulation."""

import itertools
import math

import numpy as np
import pytest

from cir_tf.evaluation.comparison import compare, leaves_out_zero, sign_test, signs
from cir_tf.evaluation.intervals import resampled_means


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),  # nothing differs
        (1, 0, 1.0),  # 2 * 1/2
        (5, 0, 0.0625),  # 2 * 1/32
        (0, 6, 0.03125),  # 2 * 1/64
        (8, 2, 0.109375),  # 2 * (1 + 10 + 45) / 1024
        (3, 3, 1.0),  # 2 * 42/64 is more than 1
        (40, 60, 0.05688793364098079),  # the textbook's 100 throws of a coin
    ],
)
def test_sign_test_has_binomial_values(wins, losses, p):
    assert sign_test(wins, losses) == pytest.approx(p, rel=1e-12)
    assert sign_test(losses, wins) == sign_test(wins, losses)


def test_sign_test_of_many_queries_neither_overflows_nor_is_slow():
    """30,000 and 30,500: by the normal distribution z = (500 - 1) / sqrt(60,500) = 2.029, p = erfc(z / sqrt 2)."""
    assert sign_test(30_000, 30_500) == pytest.approx(math.erfc(499 / math.sqrt(2 * 60_500)), rel=1e-3)
    assert sign_test(0, 50_000) == 0.0


def test_one_query_per_row_by_hand():
    """B - A is +1 +1 +1 -1 0 0 0 0: mean 2/8; three wins, one loss, p = 2 * (1 + 4) / 16."""
    change = compare([0, 0, 0, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 1, 0, 0])
    assert (change.a, change.b) == (0.375, 0.625)
    assert change.difference.value == 0.25
    assert change.difference.n == 8
    assert (change.wins, change.losses, change.rows_won, change.rows_lost) == (3, 1, 3, 1)
    assert change.p == 0.625


def test_queries_of_a_row_count_as_one():
    """Rows 7, 9, 4 with sums +1-1 = 0, +1+0 = 1 and -1-1+1 = -1: three wins and three losses, but one row of each."""
    change = compare([0, 1, 0, 0, 1, 1, 0], [1, 0, 1, 0, 0, 0, 1], row_Q=[7, 7, 9, 9, 4, 4, 4])
    assert (change.wins, change.losses) == (3, 3)
    assert (change.rows_won, change.rows_lost, change.p) == (1, 1, 1.0)


def test_parts_are_averaged_plainly():
    """Part x: 4 queries, +1/4; part y: 2 queries, +1/2: the mean is 3/8 and not 2/6."""
    change = compare([0, 0, 1, 0, 0, 0], [1, 0, 1, 0, 1, 0], part_Q=list("xxxxyy"))
    assert change.difference.value == 0.375
    assert (change.a, change.b) == ((1 / 4 + 0) / 2, (2 / 4 + 1 / 2) / 2)
    assert (change.wins, change.losses) == (2, 0)


def test_equal_runs_have_no_difference():
    value_Q = np.random.default_rng(1).random(40)
    change = compare(value_Q, value_Q)
    assert change.difference[:3] == (0, 0, 0)
    assert (change.wide, change.p, change.wins, change.losses) == ((0, 0), 1.0, 0, 0)
    assert not leaves_out_zero(*change.wide)


def test_everywhere_better_by_the_same_leaves_out_zero():
    change = compare([0.25, 0.5, 0.125], [0.5, 0.75, 0.375])
    assert change.difference[:3] == pytest.approx((0.25, 0.25, 0.25))
    assert leaves_out_zero(*change.difference[1:3])
    assert leaves_out_zero(-0.5, -0.25)
    assert not leaves_out_zero(-0.5, 1e-17)
    assert not leaves_out_zero(1e-17, 0.5)


def test_interval_equals_all_resamples_of_rows_and_parts():
    """Part 0 has the rows (+1, 0), (-1), (+1, +1, 0), part 1 the rows (+1), (0, 0): 27 * 4 equally likely resamples."""
    rows = [[[1, 0], [-1], [1, 1, 0]], [[1], [0, 0]]]
    each = [
        np.mean([np.mean([v for row in drawn for v in row]) for drawn in both])
        for both in itertools.product(*(itertools.product(part, repeat=len(part)) for part in rows))
    ]
    flat = [(v, number, part) for part, some in enumerate(rows) for number, row in enumerate(some) for v in row]
    value_Q, row_Q, part_Q = np.array([(v, 10 * part + number, part) for v, number, part in flat]).T
    resamples = np.array(each)
    for comparisons in (1, 3):
        change = compare(0 * value_Q, value_Q, row_Q, part_Q, comparisons=comparisons)
        for end, share in zip(change.wide, (0.025 / comparisons, 1 - 0.025 / comparisons), strict=True):
            below, up_to = np.mean(resamples < end - 1e-6), np.mean(resamples < end + 1e-6)
            assert below - 0.006 <= share <= up_to + 0.006
        assert change.difference.value == pytest.approx((2 / 6 + 1 / 3) / 2)
    drawn = np.mean([resampled_means(value_Q[part_Q == p], [0, p], row_Q=row_Q[part_Q == p]) for p in (0, 1)], axis=0)
    for level in np.unique(np.round(resamples, 9)):
        assert np.mean(drawn < level + 1e-6) == pytest.approx(np.mean(resamples < level + 1e-6), abs=0.02)


def slow(a_Q, b_Q, row_Q, part_Q):
    """(a, b, wins, losses, rows won, rows lost, p), one query after the other."""
    means = []
    for values in (a_Q, b_Q):
        of_part = {}
        for value, part in zip(values, part_Q, strict=True):
            of_part.setdefault(part, []).append(value)
        means.append(sum(sum(some) / len(some) for some in of_part.values()) / len(of_part))
    rows, wins, losses = {}, 0, 0
    for a, b, row in zip(a_Q, b_Q, row_Q, strict=True):
        wins, losses = wins + (b > a), losses + (b < a)
        rows[row] = rows.get(row, 0) + b - a
    won, lost = sum(d > 0 for d in rows.values()), sum(d < 0 for d in rows.values())
    tail = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1))
    return *means, wins, losses, won, lost, min(1.0, 2 * tail / 2 ** (won + lost))


@pytest.mark.parametrize("seed", range(20))
def test_figures_equal_a_slow_oracle(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 40)
    row_Q = rng.permutation(np.repeat(np.arange(rows), rng.integers(1, 4, rows)))
    a_Q, b_Q = rng.integers(0, 3, (2, len(row_Q))) / 2
    part_Q = row_Q % rng.integers(1, 4)
    change = compare(a_Q, b_Q, row_Q, part_Q)
    found = change.a, change.b, change.wins, change.losses, change.rows_won, change.rows_lost, change.p
    assert found == pytest.approx(slow(a_Q, b_Q, row_Q, part_Q))
    assert change.difference.value == pytest.approx(change.b - change.a, abs=1e-6)
    assert change.difference.low <= change.difference.value <= change.difference.high


def test_interval_covers_the_true_difference():
    """150 rows of two captions each, both runs helped by easy rows; 500 draws of the queries, 95 % intervals."""
    rng = np.random.default_rng(5)
    rows, chance_a, chance_b = 150, 0.45, 0.52
    row_Q = np.repeat(np.arange(rows), 2)
    covered = 0
    for draw in range(500):
        easy_W = rng.random(rows) < 0.4
        base_Q = np.repeat(np.where(easy_W, 0.9, 0.0), 2)
        hits = [rng.random(2 * rows) < base_Q + (1 - base_Q) * chance for chance in (chance_a, chance_b)]
        change = compare(*hits, row_Q, seed=draw)
        covered += change.difference.low <= (chance_b - chance_a) * (0.6 + 0.4 * 0.1) <= change.difference.high
    assert 0.93 <= covered / 500 <= 0.97


def test_parts_are_resampled_apart():
    """The mean of two equal parts is known better by the root of two than either."""
    runs = np.random.default_rng(3).random((2, 300)) < [[0.3], [0.4]]
    one, two = compare(*runs), compare(*np.tile(runs, 2), part_Q=np.arange(600) // 300)
    assert two.difference.value == pytest.approx(one.difference.value)
    widths = [change.difference.high - change.difference.low for change in (one, two)]
    assert widths[0] / widths[1] == pytest.approx(2**0.5, rel=0.06)


def test_sign_test_finds_nothing_in_equal_runs_too_seldom_rather_than_too_often():
    rng = np.random.default_rng(6)
    hit_D2Q = (rng.random((2000, 2, 200)) < 0.3).astype(int)
    counts = [((b > a).sum(), (b < a).sum()) for a, b in hit_D2Q]
    assert 0.02 <= np.mean([sign_test(wins, losses) < 0.05 for wins, losses in counts]) <= 0.05


def test_pairing_makes_the_interval_narrow():
    """400 queries that both runs answer alike but for 12: each figure is known to +- 5 points, the difference to 2."""
    a_Q = (np.arange(400) % 2).astype(float)
    b_Q = a_Q.copy()
    b_Q[:24:2] = 1
    difference = compare(a_Q, b_Q).difference
    assert difference.high - difference.low < 0.04
    alone = np.quantile(resampled_means(b_Q, 1) - resampled_means(a_Q, 2), [0.025, 0.975])
    assert np.diff(alone) > 0.1
    assert leaves_out_zero(difference.low, difference.high)
    assert not leaves_out_zero(*alone)


def test_more_comparisons_widen_the_interval_and_nothing_else():
    rng = np.random.default_rng(2)
    runs = rng.random((2, 300)) < [[0.4], [0.5]]
    one, five = compare(*runs), compare(*runs, comparisons=5)
    assert one.wide == one.difference[1:3]
    assert five.wide[0] < one.wide[0]
    assert five.wide[1] > one.wide[1]
    assert five.difference == one.difference


def test_rounding_of_stored_values_is_no_difference():
    """1/3 + 1/3 + 1/3 in six decimals against 1 + 0 + 0; then means over three seeds in another order."""
    change = compare([0.333333] * 3, [1, 0, 0], row_Q=[5, 5, 5])
    assert (change.rows_won, change.rows_lost) == (0, 0)
    assert signs(np.array([2e-6, -2e-6, 1e-6]), np.arange(3)).tolist() == [1, -1, 0]
    one, other = np.mean([0.1, 0.2, 0.3]), np.mean([0.3, 0.2, 0.1])
    assert one != other
    change = compare([one], [other])
    assert change.wins == change.losses == change.difference.value == 0


def test_seed_decides_the_interval():
    runs = np.random.default_rng(0).random((2, 60))
    assert compare(*runs, seed=4) == compare(*runs, seed=4)
    assert compare(*runs, seed=4).difference != compare(*runs, seed=5).difference


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([], [], "one finite number"), ([0.1, np.nan], [0, 1], "finite"), ([1, 0], [1], "Both runs")],
)
def test_values_that_cannot_be_compared_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        compare(a, b)
