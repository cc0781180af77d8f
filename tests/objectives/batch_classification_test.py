import numpy as np
import pytest
import tensorflow as tf

from cir_tf.objectives.batch_classification import BatchClassification, batch_classification_loss
from tests.golden import S, close, policy

QUERY, TARGET = S((4, 5), 0.7, 0.1), S((4, 5), 0.9, 0.5)
SEED = np.array([1, 2], "int32")


def loss_of(objective, target_class_B, query=QUERY, target=TARGET):
    views = objective.views({"main": query}, {"main": target}, np.array(target_class_B, "int32"))
    return objective.loss(views, SEED)


@pytest.mark.parametrize(("scale", "expected"), [(4.0, 17.668679822829), (1.0, 1.895304261079)])
def test_golden_loss(scale, expected):
    with policy("float64"):
        objective = BatchClassification()
    objective.scale.assign(scale)
    close(loss_of(objective, [0, 1, 2, 3]), expected, atol=6e-13)


def test_golden_logits():
    with policy("float64"):
        objective = BatchClassification()
    views = objective.views({"main": QUERY}, {"main": TARGET}, np.arange(4))
    logits = views["query/main"] @ tf.transpose(views["target/main"])
    close(logits[0], [8.629501, 7.041322, -13.075364, -2.295393])


def test_perfect_matches():
    loss = batch_classification_loss(4 * np.eye(32), 4 * np.eye(32))
    np.testing.assert_allclose(loss, 3.4886e-6, rtol=1e-4)


def test_equally_right_targets_are_no_negatives():
    # Rows 0 and 2 share a class: each softmax runs over the three that are left.
    scaled = [4 * each / np.linalg.norm(each, axis=1, keepdims=True) for each in (QUERY, TARGET)]
    logits = scaled[0] @ scaled[1].T
    logits[0, 2] = logits[2, 0] = -np.inf
    expected = np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits))
    np.testing.assert_allclose(loss_of(BatchClassification(), [7, 1, 7, 3]), expected, rtol=1e-5)


def test_published_form_counts_duplicates_as_negatives():
    np.testing.assert_allclose(loss_of(BatchClassification(mask_duplicates=False), [7] * 4), 17.668680, rtol=1e-6)


def test_scale_starts_at_four_and_learns():
    objective = BatchClassification()
    assert objective.scale.numpy() == 4
    with tf.GradientTape() as tape:
        loss = loss_of(objective, [0, 1, 2, 3])
    slope = (loss_of(_scaled(4.01), [0, 1, 2, 3]) - loss_of(_scaled(3.99), [0, 1, 2, 3])) / 0.02
    np.testing.assert_allclose(tape.gradient(loss, objective.scale), slope, rtol=1e-3)


def _scaled(scale):
    objective = BatchClassification()
    objective.scale.assign(scale)
    return objective
