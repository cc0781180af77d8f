"""Recall from hand-made rankings."""

import numpy as np
import pytest

from cir_tf.evaluation.metrics import hits, recall_at_k, recalls


def test_hits_and_recall_of_hand_made_rankings():
    """Three queries, four ranks.

    ranked 4 2 0 1, accepted {0, 7} -> hit at rank 3
    ranked 3 1 3 2, accepted {3}    -> hits at ranks 1 and 3 (two entries of one class)
    ranked 5 6 - -, accepted {0}    -> none: row 0 is not padding
    R@1 = 1/3, R@2 = 1/3, R@3 = 2/3, R@4 = 2/3.
    """
    hit_QK = hits([[4, 2, 0, 1], [3, 1, 3, 2], [5, 6, -1, -1]], [[7, 0], [3, -1], [0, -1]])
    assert hit_QK.astype(int).tolist() == [[0, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert recall_at_k(hit_QK, 1).tolist() == [0, 1, 0]
    assert recall_at_k(hit_QK, 3).tolist() == [1, 1, 0]
    means = {name: values.mean() for name, values in recalls(hit_QK, (1, 2, 3, 4)).items()}
    assert means == pytest.approx(
        {"recall_at_1": 1 / 3, "recall_at_2": 1 / 3, "recall_at_3": 2 / 3, "recall_at_4": 2 / 3}
    )


def test_padding_never_hits_padding():
    assert not hits([[-1, -1]], [[-1]]).any()


def test_no_queries_give_no_values():
    hit_QK = hits(np.zeros((0, 5), int), np.zeros((0, 1), int))
    assert recall_at_k(hit_QK, 5).shape == (0,)


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_kept_ranks_is_refused(k):
    with pytest.raises(ValueError, match=f"k={k}, kept: 3"):
        recall_at_k(np.zeros((2, 3), bool), k)
