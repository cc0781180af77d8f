import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble
from cir_tf.errors import UserError
from cir_tf.training import checkpoints, loop
from cir_tf.training.checkpoints import Checkpoints
from tests.small import ASSETS, small_config, small_triplets


def go(config, workdir):
    """Run the loop on the small problem; the task."""
    workdir.mkdir(exist_ok=True)
    task = assemble.task(config, ASSETS, tf.distribute.get_strategy())
    loop.run(task, small_triplets(task.retriever), config, workdir)
    return task


def weights(task):
    return [weight.numpy() for weight in task.retriever.weights + task.objective.weights + task.optimizer.variables]


def assert_same(left, right):
    for a, b in zip(weights(left), weights(right), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stopped_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch):
    config = small_config(text_encoder={"name": "text_lstm", "width": 8, "dropout": 0.3})
    whole = go(config, tmp_path / "whole")
    saves = []
    original = Checkpoints.save

    def save_and_interrupt(self):
        saves.append(original(self))
        if len(saves) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return saves[-1]

    monkeypatch.setattr(Checkpoints, "save", save_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        go(config, tmp_path / "parts")
    stopped = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert stopped[-1] < config.total_steps
    assert_same(whole, go(config, tmp_path / "parts"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_steps_after_the_checkpoint_are_logged_once(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": 1}\n{"step": 4, "loss": 2}\n{"step": 6, "lo')
    loop.Log(tmp_path, start=2, batch_size=4).write(4, 0.5, 0.1)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[1]["loss"] == 0.5


def test_a_finished_run_is_not_trained_again(tmp_path, capsys):
    config = small_config()
    first = go(config, tmp_path)
    second = go(config, tmp_path)
    assert "already trained" in capsys.readouterr().out
    for left, right in zip(first.retriever.weights, second.retriever.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_a_loss_that_is_no_number_stops_with_step_and_checkpoint(tmp_path, monkeypatch):
    config = small_config(steps_per_call=1)
    task = assemble.task(config, ASSETS, tf.distribute.get_strategy())
    loss = type(task.objective).loss
    monkeypatch.setattr(
        type(task.objective),
        "loss",
        lambda self, views, seed: tf.where(seed[1] == 4, np.nan, 1.0) * loss(self, views, seed),
    )
    with pytest.raises(UserError, match=r"loss is nan at step 5; the last good checkpoint is .*ckpt-4"):
        loop.run(task, small_triplets(task.retriever), config, tmp_path)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    config = small_config()
    go(config, tmp_path)
    for file in (tmp_path / "checkpoints").glob("ckpt-6.data*"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    go(config, tmp_path)
    assert "ckpt-6 cannot be read" in caplog.text


@pytest.mark.parametrize("content", [b"", b"nonsense {"])
def test_a_damaged_list_of_checkpoints_loses_none(tmp_path, capsys, content):
    config = small_config()
    first = go(config, tmp_path)
    (tmp_path / "checkpoints" / "checkpoint").write_bytes(content)
    assert checkpoints.exist(tmp_path / "checkpoints")
    again = go(config, tmp_path)
    assert "already trained" in capsys.readouterr().out
    for left, right in zip(first.retriever.weights, again.retriever.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_replicas_log_a_constant_learning_rate(tmp_path, two_replicas):
    config = small_config()
    config.schedule = {"name": "constant"}
    task = assemble.task(config, ASSETS, two_replicas)
    loop.run(task, small_triplets(task.retriever), config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([line["learning_rate"] for line in lines], config.optimizer.learning_rate)


@pytest.mark.parametrize("key", ["use_ema", "gradient_accumulation_steps"])
def test_options_without_effect_are_refused(key):
    config = small_config()
    config.optimizer[key] = 2
    with pytest.raises(UserError, match=f"optimizer.{key} has no effect here"):
        assemble.optimizer(config)


def test_no_readable_checkpoint_is_an_error(tmp_path):
    config = small_config()
    go(config, tmp_path)
    for file in (tmp_path / "checkpoints").glob("ckpt-*.index"):
        file.write_bytes(b"")
    with pytest.raises(UserError, match=r"no checkpoint in .* can be read"):
        go(config, tmp_path)


def test_an_unwritable_folder_is_one_line(tmp_path, monkeypatch):
    config = small_config()
    task = assemble.task(config, ASSETS, tf.distribute.get_strategy())

    def full(self, *args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nand a long trace")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(UserError, match=r"cannot save a checkpoint to .*: No space left on device$"):
        loop.run(task, small_triplets(task.retriever), config, tmp_path)
