import numpy as np
import pytest
import tensorflow as tf

from cir_tf.objectives.soft_triplet import SoftTriplet, draw_negatives, soft_triplet_loss
from tests.golden import S, close, policy

SEED = np.array([1, 2], "int32")


def rows():
    """Golden T2: queries and targets of norm 4, [8, 5]."""
    stacked = np.concatenate([S((4, 5), 0.7, 0.1), S((4, 5), 0.9, 0.5)])
    return tf.constant(4 * stacked / np.linalg.norm(stacked, axis=1, keepdims=True))


POSITIVE = (np.arange(8) + 4) % 8
NEGATIVES = np.array([[k for k in range(8) if k % 4 != i % 4] for i in range(8)])


def test_golden_distances():
    x = rows().numpy()
    close(
        ((x[0] - x) ** 2).sum(1),
        [0, 61.502753, 9.210698, 45.604797, 14.740999, 17.917355, 58.150727, 36.590785],
    )


@pytest.mark.parametrize(
    ("count", "expected", "half_gradient"),
    [
        (3, 16.497316396355, [-0.095004, -0.466732, -0.542040, -0.298898, 0.086879]),
        (6, 16.009472533068, [-0.070400, -0.248814, -0.255914, -0.099352, 0.103478]),
    ],
)
def test_golden_loss_and_gradient(count, expected, half_gradient):
    x = rows()
    for half, factor in ((True, 1), (False, 2)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = soft_triplet_loss(x, POSITIVE, NEGATIVES[:, :count], half_gradient=half)
        close(loss, expected, atol=6e-13)
        close(tape.gradient(loss, x)[0], factor * np.array(half_gradient), atol=factor * 5.1e-7)


def objective(**arguments):
    with policy("float64"):
        return SoftTriplet(**arguments)


def loss_of(objective, target_class_B, seed=SEED):
    x = rows()
    return objective.loss(objective.views({"main": x[:4]}, {"main": x[4:]}, np.array(target_class_B, "int32")), seed)


def test_all_negatives_give_the_golden_loss():
    close(loss_of(objective(negatives="all"), [0, 1, 2, 3]), 16.009472533068, atol=6e-13)


def test_published_gradient_is_half_the_true_one():
    gradients = []
    for half in (False, True):
        part = objective(negatives="all", half_gradient=half)
        with tf.GradientTape() as tape:
            loss = loss_of(part, [0, 1, 2, 3])
        gradients.append(tape.gradient(loss, part.scale).numpy())
    np.testing.assert_allclose(gradients[1], gradients[0] / 2)
    assert gradients[0] > 0.1


def test_equally_right_rows_are_no_negatives():
    # Rows 0 and 2 share a class.
    x = rows().numpy()
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    triplets = [
        np.log1p(np.exp(distance[i, (i + 4) % 8] - distance[i, k]))
        for i in range(8)
        for k in range(8)
        if k % 4 != i % 4 and {k % 4, i % 4} != {0, 2}
    ]
    assert len(triplets) == 4 * 6 + 4 * 4
    close(loss_of(objective(negatives="all"), [5, 1, 5, 3]), np.mean(triplets), atol=1e-12)


def test_published_form_excludes_by_position_only():
    part = objective(negatives="all", negatives_by_position=True)
    close(loss_of(part, [5, 5, 5, 5]), 16.009472533068, atol=6e-13)


def test_draws_are_without_replacement_and_uniform():
    valid = np.ones((8, 8), bool)
    valid[np.arange(8), np.arange(8)] = False
    valid[2, 3:] = False  # two left: columns 0 and 1
    valid[5] = False
    counts = np.zeros((8, 8))
    for seed in range(400):
        column, weight = (each.numpy() for each in draw_negatives(valid, 3, np.array([seed, 9], "int32")))
        assert all(len(set(each)) == 3 for each in column)
        np.testing.assert_array_equal(weight.sum(1), [3, 3, 2, 3, 3, 0, 3, 3])
        for row in range(8):
            counts[row, column[row][weight[row]]] += 1
    np.testing.assert_array_equal(counts[~valid], 0)
    assert np.abs(counts[0, 1:] - 400 * 3 / 7).max() < 45
    np.testing.assert_array_equal(counts[2, :2], 400)


def test_the_seed_decides_the_draw():
    part = objective()
    first, again, other = (loss_of(part, [0, 1, 2, 3], np.array(seed, "int32")) for seed in ([3, 4], [3, 4], [3, 5]))
    assert first == again != other


def test_far_apart_rows_stay_finite():
    x = tf.constant([[40.0, 0.0], [0.0, 40.0], [-40.0, 0.0], [39.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = soft_triplet_loss(x, np.array([2, 3, 0, 1]), np.array([[3], [0], [1], [0]]))
    assert loss > 1000
    assert np.isfinite(tape.gradient(loss, x)).all()


@pytest.mark.parametrize("negatives", [0, -1, "some", 2.5])
def test_wrong_number_of_negatives_is_refused(negatives):
    with pytest.raises(ValueError, match="negatives="):
        SoftTriplet(negatives=negatives)
