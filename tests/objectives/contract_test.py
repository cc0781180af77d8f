"""What every objective must do."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from tests.golden import S

SEED = np.array([11, 5], "int32")
ARGUMENTS = {  # where few rows would have a gradient otherwise, or a rule leaves out what is wrong by far
    "semi_hard": {"margin": 4.0, "mask": "none"},
}


@pytest.fixture(params=registry.available("objectives"))
def objective(request):
    return registry.create("objectives", request.param, **ARGUMENTS.get(request.param, {}))


def pairs(batch=6, phase=0.1, width=5, dtype="float32"):
    query = tf.cast(S((batch, width), 0.7, phase), dtype)
    return query, tf.cast(S((batch, width), 0.9, phase + 0.4), dtype)


def loss_of(objective, query, target, target_class):
    target_class = np.array(target_class, "int32")
    return objective.loss(objective.views({"main": query}, {"main": target}, target_class), SEED)


def gradients(objective, query, target, target_class):
    with tf.GradientTape() as tape:
        tape.watch([query, target])
        loss = loss_of(objective, query, target, target_class)
    return loss.numpy(), *(each.numpy() for each in tape.gradient(loss, [query, target]))


def test_scalar_with_finite_gradients_to_both_sides(objective):
    loss, *both = gradients(objective, *pairs(), range(6))
    assert loss.shape == ()
    assert loss.dtype == "float32"
    assert loss > 0
    for gradient in both:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max(axis=1).min() > 0


def test_right_order_costs_less_than_wrong_order(objective):
    query, _ = pairs()
    assert loss_of(objective, query, query, range(6)) < loss_of(objective, query, query[::-1], range(6))


def test_equal_classes_are_never_negatives(objective):
    loss, *both = gradients(objective, *pairs(), [4] * 6)
    np.testing.assert_allclose(loss, 0, atol=1e-6)
    for gradient in both:
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_batch_of_one_and_of_two(objective):
    for batch in (1, 2):
        loss, *both = gradients(objective, *pairs(batch=batch), range(batch))
        assert np.isfinite([loss, *(each.sum() for each in both)]).all()
    np.testing.assert_allclose(gradients(objective, *pairs(batch=1), [0])[0], 0, atol=1e-6)


def test_loss_is_the_sum_over_names(objective):
    first, second = pairs(), pairs(phase=0.6, width=3)
    target_class = np.array([0, 1, 2, 2, 3, 4], "int32")
    query, target = ({"high": first[side], "low": second[side]} for side in (0, 1))
    together = objective.loss(objective.views(query, target, target_class), SEED)
    np.testing.assert_allclose(
        together, loss_of(objective, *first, target_class) + loss_of(objective, *second, target_class), rtol=1e-6
    )


def test_half_precision_vectors_give_a_float32_loss(objective):
    loss = loss_of(objective, *pairs(dtype="bfloat16"), range(6))
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, loss_of(objective, *pairs(), range(6)), rtol=0.05)


def test_views_are_per_row_and_the_loss_reads_no_variable(objective):
    query, target = pairs()
    target_class = np.array([0, 1, 2, 2, 3, 4], "int32")
    views = objective.views({"main": query}, {"main": target}, target_class)
    halves = [
        objective.views({"main": query[part]}, {"main": target[part]}, target_class[part])
        for part in (slice(None, 3), slice(3, None))
    ]
    gathered = {key: tf.concat([half[key] for half in halves], axis=0) for key in views}
    for key, view in views.items():
        np.testing.assert_allclose(gathered[key], view, rtol=1e-6)
    with tf.GradientTape() as tape:
        first = objective.loss(gathered, SEED)
    assert not tape.watched_variables()
    assert first == objective.loss(gathered, SEED)


def test_works_in_a_graph_with_unknown_shapes(objective):
    query, target = pairs()
    target_class = np.array([0, 1, 2, 2, 3, 4], "int32")
    views = objective.views({"main": query}, {"main": target}, tf.constant(target_class))
    signature = {key: tf.TensorSpec([None] * len(view.shape), view.dtype) for key, view in views.items()}
    in_graph = tf.function(objective.loss, input_signature=[signature, tf.TensorSpec([2], "int32")])
    np.testing.assert_allclose(in_graph(views, SEED), objective.loss(views, SEED), rtol=1e-5)
