import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf.training.optimizers import LossScale, StepDecay, TorchSGD, grouped
from cir_tf.training.schedules import SCHEDULES
from tests.golden import S

GOLDEN = [0.949995, 0.864985750025, 0.854334485034, 0.842747919378]
GRADIENTS = [0.5, 0.4, 0.3, 0.2]


def variable(value, path="w", dtype="float32"):
    return keras.Variable(value, name=path, dtype=dtype)


def run(optimizer, weight, gradients):
    history = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient, weight.dtype), weight)])
        history.append(float(weight.numpy()))
    return history


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_steps_across_a_drop_of_the_learning_rate(dtype):
    optimizer = TorchSGD(StepDecay(0.1, 2), momentum=0.9, weight_decay=5e-5)
    np.testing.assert_allclose(run(optimizer, variable(1.0, dtype=dtype), GRADIENTS), GOLDEN, rtol=0, atol=1e-7)


def test_learning_rate_set_by_hand():
    optimizer = TorchSGD(0.1, weight_decay=5e-5)
    weight = variable(1.0)
    run(optimizer, weight, GRADIENTS[:2])
    optimizer.learning_rate = 0.01
    np.testing.assert_allclose(run(optimizer, weight, GRADIENTS[2:]), GOLDEN[2:], rtol=0, atol=1e-7)


def test_a_tenth_after_each_full_period():
    schedule = StepDecay(0.01, 50_000)
    rates = [float(schedule(step)) for step in (0, 49_999, 50_000, 99_999, 100_000, 150_000, 159_999)]
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-5, 1e-5], rtol=1e-5)


def test_rows_without_a_gradient_decay_and_coast_too():
    table = variable(np.array([[1.0], [2.0], [4.0]]))
    optimizer = TorchSGD(0.1, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        gradient = tf.IndexedSlices(tf.constant([[3.0], [1.0]]), tf.constant([1, 1]), tf.constant([3, 1]))
        optimizer.apply_gradients([(gradient, table)])
    weight, velocity = np.array([[1.0], [2.0], [4.0]]), 0
    for _ in range(2):
        velocity = 0.5 * velocity + np.array([[0.0], [4.0], [0.0]]) + 0.1 * weight
        weight = weight - 0.1 * velocity
    np.testing.assert_allclose(table.numpy(), weight, rtol=1e-6)


def test_a_row_that_stands_several_times_in_a_batch_has_the_sum_of_its_gradients():
    sparse, dense = (variable(np.array([[1.0], [2.0], [4.0]])) for _ in range(2))
    for table in (sparse, dense):
        optimizer = grouped(keras.optimizers.Adam)(0.1)
        for first in (3.0, -2.0):
            parts = tf.constant([[first], [1.0], [0.5]])
            summed = tf.constant([[0.0], [first + 1.0], [0.5]])
            gradient = tf.IndexedSlices(parts, tf.constant([1, 1, 2]), tf.constant([3, 1]))
            optimizer.apply_gradients([(gradient if table is sparse else summed, table)])
    np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-6)


def test_first_fitting_group_decides():
    weights = [variable(1.0, path) for path in ("image_encoder_kernel", "image_dense", "text", "image_scale")]
    groups = [("image_dense", 1.0), ("^image_", 0.1), ("text", 0.0), ("image_scale", 7.0)]
    optimizer = grouped(TorchSGD, groups)(0.1, momentum=0.0, weight_decay=0.5)
    optimizer.apply_gradients([(tf.constant(2.0), weight) for weight in weights])
    np.testing.assert_allclose([weight.numpy() for weight in weights], [0.975, 0.75, 1.0, 0.975], rtol=1e-6)


def test_decoupled_decay_follows_the_group():
    weights = [variable(2.0, path) for path in ("frozen", "slow", "full", "bias")]
    plain = [variable(2.0, path) for path in ("half", "full", "bias")]
    grouped_adam = grouped(keras.optimizers.AdamW, [("frozen", 0.0), ("slow", 0.1)])(0.01, weight_decay=0.5)
    slow, full = (keras.optimizers.AdamW(rate, weight_decay=0.5) for rate in (0.001, 0.01))
    for optimizer in (grouped_adam, full):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    for gradient in (0.3, -0.2, 0.7):
        grouped_adam.apply_gradients([(tf.constant(gradient), weight) for weight in weights])
        slow.apply_gradients([(tf.constant(gradient), plain[0])])
        full.apply_gradients([(tf.constant(gradient), weight) for weight in plain[1:]])
    np.testing.assert_allclose(
        [weight.numpy() for weight in weights], [2.0, *(weight.numpy() for weight in plain)], rtol=1e-6
    )


@pytest.mark.parametrize("optimizer_class", [TorchSGD, keras.optimizers.AdamW])
def test_checkpoint_goes_on_as_if_nothing_happened(tmp_path, optimizer_class):
    def start():
        optimizer = grouped(optimizer_class, [("w", 0.5)])(StepDecay(0.1, 3), weight_decay=0.01)
        weight = variable(1.0)
        optimizer.build([weight])
        return optimizer, weight, tf.train.Checkpoint(optimizer=optimizer, weight=weight.value)

    optimizer, weight, checkpoint = start()
    run(optimizer, weight, GRADIENTS[:2])
    path = checkpoint.write(str(tmp_path / "point"))
    expected = run(optimizer, weight, GRADIENTS[2:])

    optimizer, weight, checkpoint = start()
    checkpoint.read(path).assert_consumed()
    assert run(optimizer, weight, GRADIENTS[2:]) == expected


def test_two_replicas_equal_one():
    """In a process of its own, since the number of devices is fixed at the start."""
    script = """
        import json
        import keras, numpy as np, tensorflow as tf
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        from cir_tf.layers import BatchNorm
        from cir_tf.training.optimizers import StepDecay, TorchSGD, grouped

        x = np.sin(np.arange(24).reshape(8, 3) * 0.7).astype("float32")

        def train(replicas):
            strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
            with strategy.scope():
                norm = BatchNorm()
                norm.replicas = replicas
                norm.build((None, 3))
                optimizer = grouped(TorchSGD, [("gamma", 0.1)])(StepDecay(0.5, 2), weight_decay=0.1)
                optimizer.build(norm.trainable_variables)

            def replica_step():
                i = tf.distribute.get_replica_context().replica_id_in_sync_group
                rows = tf.reshape(tf.constant(x), (replicas, -1, 3))[i]
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.sin(norm(rows, training=True) * tf.constant([1.0, 2.0, 3.0]))) / 8
                variables = norm.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

            step = tf.function(lambda: strategy.run(replica_step))
            for _ in range(4):
                step()
            return [variable.numpy().tolist() for variable in norm.variables]

        print(json.dumps([train(1), train(2)]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = json.loads(done.stdout.strip().splitlines()[-1])
    assert np.abs(np.subtract(one[0], 1)).max() > 1e-3
    np.testing.assert_allclose(two, one, atol=1e-6)


def applied(strategy, make, gradients_of):
    """A variable, (1, 2), after a step with the gradients of each replica; a copy of every replica."""
    with strategy.scope():
        weight, optimizer = variable(np.array([1.0, 2.0])), make()
        optimizer.build([weight])

    @tf.function
    def step():
        def replica_step():
            place = tf.distribute.get_replica_context().replica_id_in_sync_group
            optimizer.apply([tf.constant(gradients_of, tf.float32)[place]], [weight])

        strategy.run(replica_step)

    step()
    return [each.numpy() for each in strategy.experimental_local_results(weight.value)], optimizer


@pytest.mark.parametrize("bad", [0, 1])
def test_all_replicas_skip_a_step_that_one_of_them_cannot_take(two_replicas, bad):
    gradients = np.ones((2, 2))
    make = lambda: LossScale(grouped(keras.optimizers.Adam)(0.1), initial_scale=2.0**15)  # noqa: E731
    copies, _ = applied(two_replicas, make, gradients)
    for copy in copies:
        np.testing.assert_allclose(copy, [0.9, 1.9], atol=0.01)
    gradients[bad, 1] = np.inf
    copies, optimizer = applied(two_replicas, make, gradients)
    for copy in copies:
        np.testing.assert_array_equal(copy, [1, 2])
    assert float(keras.ops.convert_to_numpy(optimizer.dynamic_scale)) == 2.0**14


@pytest.mark.parametrize(
    ("clip", "moved"),
    [({"global_clipnorm": 1.0}, [0.28, 0.96]), ({"clipnorm": 1.0}, [0.28, 0.96]), ({"clipvalue": 5.0}, [5.0, 5.0])],
)
def test_gradients_are_clipped_after_the_sum(two_replicas, clip, moved):
    """(3, -6) and (4, 30): together (7, 24), of length 25."""
    make = lambda: grouped(keras.optimizers.SGD)(1.0, **clip)  # noqa: E731
    copies, _ = applied(two_replicas, make, [[3, -6], [4, 30]])
    for copy in copies:
        np.testing.assert_allclose(copy, np.subtract([1, 2], moved), rtol=1e-5)
    table = variable(np.array([[1.0], [2.0]]))
    parts = tf.IndexedSlices(tf.constant([[3.0], [4.0], [24.0]]), tf.constant([0, 0, 1]), tf.constant([2, 1]))
    make().apply_gradients([(parts, table)])
    np.testing.assert_allclose(table.numpy()[:, 0], np.subtract([1, 2], moved), rtol=1e-5)


def test_coupled_decay_is_the_gradient_of_half_the_squares():
    """V7: 4e-5 times half the sum of squares of S((3, 3, 2, 2); 0.3, 0.1) is 3.503310771e-4."""
    kernel, gamma = (variable(S((3, 3, 2, 2), 0.3, 0.1), path, "float64") for path in ("conv_kernel", "norm_gamma"))
    before = kernel.numpy()
    optimizer = grouped(keras.optimizers.SGD, coupled_decays=[("kernel", 4e-5)])(1.0)
    optimizer.apply_gradients([(tf.zeros_like(weight.value), weight) for weight in (kernel, gamma)])
    np.testing.assert_allclose(0.5 * np.sum(before * (before - kernel.numpy())), 3.503310771e-4, rtol=1e-9)
    np.testing.assert_array_equal(gamma.numpy(), before)


def test_coupled_decay_goes_through_adam_with_the_gradient():
    weights = [variable(0.5, path) for path in ("kernel", "other")]
    optimizer = grouped(keras.optimizers.Adam, coupled_decays=[("kernel", 0.2)])(0.01)
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant(-0.1), weights[0]), (tf.constant(0.3), weights[1])])
    # the decay alone, 0.2 * 0.5, makes the first gradient 0: that weight has barely moved, the other by full steps
    np.testing.assert_allclose([weight.numpy() for weight in weights], [0.5, 0.47], atol=1e-4)


def test_averages_lag_by_one_step_and_keep_a_share_of_their_start():
    """V6: after n steps a share of 0.9999^n is still the start: 0.223113 after 15,000, 0.082075 after 25,000."""
    np.testing.assert_allclose(0.9999 ** np.array([15_000, 25_000, 80_000]), [0.223113, 0.082075, 3.3533e-4], atol=5e-7)
    optimizer, weight = grouped(keras.optimizers.SGD, averaging=0.75)(1.0), variable(2.0)
    optimizer.build([weight])
    optimizer.averages[0].assign(-1.0)
    run(optimizer, weight, [0.5, 0.25])  # 2.0, 1.5, 1.25
    np.testing.assert_allclose(optimizer.averages[0].numpy(), 0.75 * (0.75 * -1.0 + 0.25 * 2.0) + 0.25 * 1.5)


def test_golden_linear_schedule():
    """C5: T = 150,000, warm-up 15,000."""
    schedule = SCHEDULES["linear"](1.0, 150_000, 10.0)
    steps = (0, 1, 7_500, 15_000, 15_001, 82_500, 149_999, 150_000)
    expected = (0, 6.6667e-5, 0.5, 1, 0.99999259, 0.5, 7.4074e-6, 0)
    np.testing.assert_allclose([float(schedule(step)) for step in steps], expected, rtol=6e-6, atol=1e-9)
