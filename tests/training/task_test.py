import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble
from cir_tf.data import triplets
from tests.small import ASSETS, small_config, small_triplets


def trained(strategy, config, steps=1):
    """The task after some steps, and the losses."""
    task = assemble.task(config, ASSETS, strategy)
    data = small_triplets(task.retriever)
    with strategy.scope():
        task.build(
            {key: value[:2] for key, value in next(iter(triplets.batches(data, 8, 0, 0, config.augment))).items()}
        )
    iterator = iter(
        strategy.distribute_datasets_from_function(
            lambda context: triplets.batches(data, config.batch_size, config.seed, 0, config.augment, context)
        )
    )
    return task, task.train_steps(iterator, tf.constant(steps)).numpy()


def check_replicas(config, two_replicas):
    """Compare a step of a config, whose batch has repeated targets, on one replica and on two."""
    one, loss_one = trained(tf.distribute.OneDeviceStrategy("CPU:0"), config)
    two, loss_two = trained(two_replicas, config)
    data = small_triplets(one.retriever)
    drawn = next(iter(triplets.batches(data, 8, config.seed, 0, config.augment)))["target_class"].numpy()
    assert len(set(drawn)) < len(drawn), "the batch is to have repeated targets"
    np.testing.assert_allclose(loss_one, loss_two, rtol=1e-5)
    for left, right in zip(one.retriever.weights, two.retriever.weights, strict=True):
        if "seed_generator" in left.path:
            continue
        np.testing.assert_allclose(left.numpy(), right.numpy(), atol=1e-5, err_msg=left.path)
    for left, right in zip(one.objective.weights, two.objective.weights, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), atol=1e-5, err_msg=left.path)


@pytest.mark.parametrize(
    ("compositor", "objective"),
    [
        ({"name": "sum"}, {"name": "batch_classification"}),
        ({"name": "tirg"}, {"name": "soft_triplet"}),
        ({"name": "tirg_lastconv"}, {"name": "batch_classification"}),
        ({"name": "val", "mix": (0.8, 0.5), "dropout": 0.0}, {"name": "semi_hard", "margin": 4.0}),
    ],
)
def test_a_step_on_two_replicas_equals_one_on_one(compositor, objective, two_replicas):
    config = small_config(batch_size=8, compositor=compositor, objective=objective)
    config.optimizer.name = "sgd"  # Adam's first step is the sign of the gradient, which rounding can turn
    config.augment.shift_pixels = 2
    config.augment.unknown_word_share = 0.3
    check_replicas(config, two_replicas)


def test_vectors_of_learned_lengths_on_two_replicas_equal_those_on_one(two_replicas):
    config = small_config(
        batch_size=8,
        compositor={"name": "comqueryformer", "layers": 2, "heads": 2, "dropout": 0.0},
        objective={"name": "batch_classification", "length": "own"},
        frozen=("text_encoder/dense/",),  # of the pooled text, which is not read
    )
    config.optimizer.name = "sgd"
    check_replicas(config, two_replicas)


def test_training_learns_the_small_problem():
    config = small_config(batch_size=8, total_steps=200)
    config.optimizer.learning_rate = 0.01
    _, losses = trained(tf.distribute.get_strategy(), config, steps=200)
    assert losses[-5:].mean() < losses[:5].mean() / 2


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(precision):
    import keras

    before = keras.config.dtype_policy()
    try:
        config = small_config(batch_size=8, precision=precision)
        task, losses = trained(tf.distribute.get_strategy(), config, steps=5)
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]
        assert {weight.dtype for weight in task.variables} == {"float32"}
    finally:
        keras.config.set_dtype_policy(before)


def test_learning_rate_groups_reach_the_variables():
    config = small_config(batch_size=8, learning_rate_groups=((r"image_encoder", 0.0),))
    task, _ = trained(tf.distribute.get_strategy(), config, steps=0)
    before = {weight.path: weight.numpy() for weight in task.variables}
    assert any("image_encoder" in path for path in before)
    again, _ = trained(tf.distribute.get_strategy(), config, steps=2)
    for weight in again.variables:
        moved = not np.array_equal(weight.numpy(), before[weight.path])
        assert moved != ("image_encoder" in weight.path), weight.path
