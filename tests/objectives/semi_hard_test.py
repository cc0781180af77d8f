"""The published and the intended rule on golden V1, ties, duplicates, and the gradients of plain PyTorch."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf.layers import l2_normalize
from cir_tf.objectives.semi_hard import SemiHard, semi_hard_loss
from tests.golden import S, close, policy

SEED = np.array([1, 2], "int32")
FIRST = S((4, 5), 0.7, 0.1), S((4, 5), 0.9, 0.5)
SECOND = S((6, 4), 0.5, 0), S((6, 4), 0.55, 0.2)
THIRD = S((6, 4), 0.5, 0), S((6, 4), 0.5, 0) + 0.4 * S((6, 4), 1.3, 0.3)


def units(pair):
    return tuple(l2_normalize(each, epsilon=1e-10) for each in pair)


@pytest.mark.parametrize(
    ("pair", "mask", "expected"),
    [
        (FIRST, "column", [0.343593986679, 0.782745966265]),
        (FIRST, "row", [0.000369430608, 0]),
        (FIRST, "none", [2.349736157265, 2.355557733997]),
        (SECOND, "column", [0.428336524592, 0.345446715790]),
        (SECOND, "row", [0.010616466106, 0.017707474016]),
        (THIRD, "column", [0.020239854578, 0.020239854578]),
        (THIRD, "row", [0.020239854578, 0.020239854578]),
    ],
)
def test_golden_directions(pair, mask, expected):
    close(semi_hard_loss(*units(pair), mask=mask), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("pair", "mask", "expected"),
    [
        (FIRST, "column", 1.126339952945),
        (FIRST, "row", 0.000369430608),
        (FIRST, "none", 4.705293891263),
        (SECOND, "column", 0.773783240382),
        (SECOND, "row", 0.028323940122),
        (SECOND, "none", 0.832860210278),
        (THIRD, "column", 0.040479709156),
        (THIRD, "row", 0.040479709156),
        (THIRD, "none", 0.218545995972),
    ],
)
def test_golden_sums(pair, mask, expected):
    """V1, through the objective, which brings the vectors to unit length."""
    objective = SemiHard(mask=mask)
    views = objective.views({"main": pair[0]}, {"main": pair[1]}, np.arange(len(pair[0]), dtype="int32"))
    close(objective.loss(views, SEED), expected, atol=6e-13)


def test_golden_distances():
    query_BD, target_BD = (each.numpy() for each in units(FIRST))
    close(((query_BD[0] - target_BD) ** 2).sum(1), [0.921312, 1.119835, 3.634420, 2.286924])


@pytest.mark.parametrize("mask", ["row", "column", "none"])
def test_what_is_as_near_as_the_positive_counts(mask):
    """All vectors equal: every negative has distance 0, none is nearer than the positive; the margin is left."""
    same = np.tile(S((1, 5), 0.7, 0.1), (4, 1))
    close(semi_hard_loss(*units((same, same)), mask=mask), [0.2, 0.2], atol=1e-15)


def test_without_a_negative_that_counts_there_is_no_loss():
    """Two pairs, crossed: every negative is nearer than both positives."""
    query_BD = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    for mask in ("row", "column"):
        with tf.GradientTape() as tape:
            tape.watch(query_BD)
            loss = sum(semi_hard_loss(query_BD, query_BD[::-1], mask=mask))
        assert loss == 0
        np.testing.assert_array_equal(tape.gradient(loss, query_BD), 0)
    close(sum(semi_hard_loss(query_BD, query_BD[::-1], mask="none")), 2 * (2 + 0.2))


def test_equally_right_targets_are_negatives_as_published_only():
    """Rows 0 and 2 have one class; without them as each other's negatives the nearest ones are further away."""
    query_BD, target_BD = units(FIRST)
    distance = ((query_BD.numpy()[:, None] - target_BD.numpy()[None]) ** 2).sum(-1)
    others = {0: [1, 3], 1: [0, 2, 3], 2: [1, 3], 3: [0, 1, 2]}
    both = [
        np.mean([max(0, matrix[i, i] - matrix[i, js].min() + 0.2) for i, js in others.items()])
        for matrix in (distance, distance.T)
    ]
    target_class_B = np.array([5, 1, 5, 3], "int32")
    for duplicates, expected in ((True, sum(both)), (False, 4.705293891263)):
        objective = SemiHard(mask="none", mask_duplicates=duplicates)
        views = objective.views({"main": FIRST[0]}, {"main": FIRST[1]}, target_class_B)
        close(objective.loss(views, SEED), expected, atol=6e-13)
    assert abs(sum(both) - 4.705293891263) > 0.01


def test_an_unknown_mask_is_refused():
    with pytest.raises(ValueError, match=r"Masks are row, column, none\. Received: mask='rows'"):
        SemiHard(mask="rows")


@pytest.mark.parametrize("mask", ["row", "column", "none"])
def test_gradients_are_those_of_plain_pytorch(mask):
    torch = pytest.importorskip("torch")
    arrays = [S((6, 4), 0.5, 0.0), S((6, 4), 0.55, 0.2)]

    def one_way(distance):
        positive = torch.diag(distance)
        limit = {"row": positive[:, None], "column": positive[None, :], "none": torch.zeros(1)}[mask]
        counts = (distance >= limit) & ~torch.eye(len(positive), dtype=bool)
        nearest = torch.where(counts, distance, torch.tensor(1e8, dtype=torch.float64)).min(dim=1).values
        return torch.clamp(positive - nearest + 0.4, min=0).mean()

    theirs = [torch.tensor(each, requires_grad=True) for each in arrays]
    unit = [each / each.norm(dim=1, keepdim=True) for each in theirs]
    distance = torch.cdist(*unit, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    wanted = one_way(distance) + one_way(distance.T)
    wanted.backward()

    ours = [tf.constant(each) for each in arrays]
    with policy("float64"):
        objective = SemiHard(margin=0.4, mask=mask)
    with tf.GradientTape() as tape:
        tape.watch(ours)
        views = objective.views({"main": ours[0]}, {"main": ours[1]}, np.arange(6, dtype="int32"))
        loss = objective.loss(views, SEED)
    close(loss, wanted.item(), atol=1e-12)
    for gradient, other in zip(tape.gradient(loss, ours), theirs, strict=True):
        assert np.abs(gradient).max() > 0.01
        close(gradient, other.grad.numpy(), atol=1e-12)
