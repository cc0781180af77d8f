"""Every compositor through the whole training step: replicas, half precision, and a stop in the middle."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from cir_tf import assemble, registry
from cir_tf.training import loop
from tests.small import ASSETS, small_config, small_triplets
from tests.training.task_test import check_replicas

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),  # some compositors read no pooled text, or no text
]
# What a compositor needs of the small problem, whose text tower has 8 numbers and whose image tower has two maps; and
# no dropout, which would differ between replicas.
ARGUMENTS = {
    "comqueryformer": {"heads": 2, "layers": 2, "regions": 3, "dropout": 0.0},
    "concat": {"dropout": 0.0},
    "val": {"dropout": 0.0},
}


def config_of(name, **changes):
    made = small_config(compositor={"name": name, **ARGUMENTS.get(name, {})}, **changes)
    made.text_encoder.dropout = 0.0
    return made


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", registry.available("compositors"))
def test_two_hundred_steps_in_half_precision_stay_finite(name, precision, tmp_path):
    before = keras.config.dtype_policy()
    try:
        config = config_of(name, batch_size=8, total_steps=200, precision=precision, log_steps=50, checkpoint_steps=200)
        config.steps_per_call = 10
        task = assemble.task(config, ASSETS, tf.distribute.get_strategy())
        loop.run(task, small_triplets(task.retriever), config, tmp_path)  # refuses a loss that is no number
        assert all(np.isfinite(weight.numpy()).all() for weight in task.variables)
        assert {weight.dtype for weight in task.variables} == {"float32"}
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", registry.available("compositors"))
def test_a_step_on_two_replicas_equals_one(name, two_replicas):
    config = config_of(name, batch_size=8)
    config.optimizer.name = "sgd"
    check_replicas(config, two_replicas)


@pytest.mark.parametrize("name", registry.available("compositors"))
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(name, tmp_path):
    config = config_of(name)
    config.schedule = ConfigDict({"name": "constant"})
    tasks = {}
    for folder, steps in (("whole", (6,)), ("parts", (4, 6))):
        for total in steps:
            config.total_steps = total
            tasks[folder] = assemble.task(config, ASSETS, tf.distribute.get_strategy())
            (tmp_path / folder).mkdir(exist_ok=True)
            loop.run(tasks[folder], small_triplets(tasks[folder].retriever), config, tmp_path / folder)
    for left, right in zip(tasks["whole"].variables, tasks["parts"].variables, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy(), err_msg=left.path)
