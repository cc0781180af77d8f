"""Metrics of rankings made by hand, and the numbers that the published systems' definitions give."""

import numpy as np
import pytest

from cir_tf.evaluation.metrics import average_precision_at_k, ranks_in, recall_at_k


def test_ranks_and_recall_of_hand_made_rankings():
    """Three queries, four ranks.

    ranked 4 2 0 1, accepted {0, 7} -> 0 at rank 3, 7 not found
    ranked 3 1 3 2, accepted {3}    -> first at rank 1 (two entries of one class)
    ranked 5 6 - -, accepted {0}    -> none: row 0 is not padding
    R@1 = 1/3, R@2 = 1/3, R@3 = 2/3, R@100 = 2/3.
    """
    rank_QT = ranks_in([[4, 2, 0, 1], [3, 1, 3, 2], [5, 6, -1, -1]], [[7, 0], [3, -1], [0, -1]])
    assert rank_QT.tolist() == [[0, 3], [1, -1], [0, -1]]
    assert [recall_at_k(rank_QT, k).tolist() for k in (1, 2, 3, 100)] == [[0, 1, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0]]


def test_padding_never_hits_padding():
    assert ranks_in([[-1, -1]], [[-1]]).tolist() == [[-1]]
    assert recall_at_k(np.array([[-1, 0]]), 5).tolist() == [0]


def test_no_queries_give_no_values():
    rank_QT = ranks_in(np.zeros((0, 5), int), np.zeros((0, 1), int))
    assert recall_at_k(rank_QT, 5).shape == average_precision_at_k(rank_QT, 5).shape == (0,)


def test_average_precision_of_hand_made_rankings():
    """Ranks of the accepted images, in any order; 0 was not found, -1 pads. Sums of n / r for the n-th found at r.

    {2, 5}, both found: AP@1 = 0; AP@2 = (1/2) / 2 = 1/4; AP@5 = (1/2 + 2/5) / 2 = 9/20; AP@50 the same.
    {1, 3, 4} of five: AP@1 = 1/1; AP@3 = (1 + 2/3) / 3 = 5/9; AP@4 = (1 + 2/3 + 3/4) / 4 = 29/48; AP@50 by 5 = 29/60.
    one, at 4: AP@3 = 0; AP@4 = 1/4.
    none found of two: 0. No accepted image at all: 0.
    """
    rank_QT = np.array([[5, 2, -1, -1, -1], [3, 0, 1, 4, 0], [-1, 4, -1, -1, -1], [0, 0, -1, -1, -1], [-1] * 5])
    expected = {
        1: [0, 1, 0, 0, 0],
        2: [1 / 4, 1 / 2, 0, 0, 0],
        3: [1 / 4, 5 / 9, 0, 0, 0],
        4: [1 / 4, 29 / 48, 1 / 4, 0, 0],
        5: [9 / 20, 29 / 60, 1 / 4, 0, 0],
        50: [9 / 20, 29 / 60, 1 / 4, 0, 0],
    }
    for k, values in expected.items():
        np.testing.assert_allclose(average_precision_at_k(rank_QT, k), values, rtol=1e-12)


def test_average_precision_agrees_with_the_formula():
    """The definition, place by place, over random lists: sizes of G below, at and above k."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        size, k = rng.integers(1, 12), rng.integers(1, 12)
        ranked = rng.permutation(20)
        accepted = rng.permutation(30)[:size]
        found = total = 0
        for place, entry in enumerate(ranked[:k], start=1):
            if entry in accepted:
                found += 1
                total += found / place
        rank_QT = ranks_in(ranked[None], accepted[None])
        assert average_precision_at_k(rank_QT, k) == pytest.approx([total / min(size, k)])


def test_golden_average_precision():
    """FTI4CIR (g): predictions 1 to 50; accepted {3, 1, 20, 60}, then {1..7}.

    AP@10 = (1/1 + 2/3) / 4 = 0.416667; AP@25 = (1 + 2/3 + 3/20) / 4 = 0.454167.
    """
    predicted_QK = np.tile(np.arange(1, 51), (2, 1))
    rank_QT = ranks_in(predicted_QK, [[3, 1, 20, 60, -1, -1, -1], [1, 2, 3, 4, 5, 6, 7]])
    values = np.array([average_precision_at_k(rank_QT, k) for k in (5, 10, 25, 50)])
    np.testing.assert_allclose(values[:, 0], [0.416667, 0.416667, 0.454167, 0.454167], atol=5e-7)
    assert values[:, 1].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("function", [recall_at_k, average_precision_at_k])
def test_k_below_one_is_refused(function):
    with pytest.raises(ValueError, match="k=0"):
        function(np.ones((2, 1), int), 0)
