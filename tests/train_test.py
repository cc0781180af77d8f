import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import config as configs
from cir_tf import train
from tests.conftest import DEFAULT_SMALL, ROOT, run_module

SMALL = ("--config=css/tirg_tiny.py:runlocal", "--no_export")


def last_weights(workdir):
    """Every saved array of the newest checkpoint."""
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def test_the_default_run_prints_the_table_and_keeps_everything(trained_run):
    workdir, printed = trained_run
    for row in ("model", "image only", "text only", "sum of features", "· gender", "· skin"):
        assert row in printed
    assert "queries emoji_edits/people validation; gallery people; reference removed" in printed
    kept = {path.name for path in workdir.iterdir()}
    assert {"config.json", "assets", "checkpoints", "metrics.jsonl", "tensorboard", "results.json"} <= kept
    steps = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [2, 4]
    assert {"loss", "learning_rate", "examples_per_second"} <= steps[0].keys()


def test_the_same_command_on_a_finished_run_trains_nothing(trained_run, data_dir):
    workdir, _ = trained_run
    before = last_weights(workdir)
    done = run_module(
        "cir_tf.train",
        f"--config={DEFAULT_SMALL}",
        f"--workdir={workdir}",
        "--no_export",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    assert "already trained" in done.stdout
    for name, value in last_weights(workdir).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_work_folder_alone_goes_on_with_its_run(trained_run):
    workdir, _ = trained_run
    config, place, _ = train.parse([f"--workdir={workdir}"], "train", "")
    assert place == workdir
    assert config.to_dict() == configs.read(workdir).to_dict()
    config, _, _ = train.parse([f"--workdir={workdir}", "--config.seed=77"], "train", "")
    assert config.to_dict() == configs.load("", ["seed=77"]).to_dict() != configs.read(workdir).to_dict()


def test_evaluate_gives_the_numbers_of_training_again(trained_run, data_dir, tmp_path):
    workdir, _ = trained_run
    before = json.loads((workdir / "results.json").read_text())
    done = run_module("cir_tf.evaluate", f"--workdir={workdir}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    after = json.loads((workdir / "results.json").read_text())
    for name, result in before.items():
        assert result["metrics"] == after[name]["metrics"]
        assert result["queries"]["rank"] == after[name]["queries"]["rank"]


def test_a_run_killed_in_the_middle_ends_like_an_undisturbed_one(data_dir, tmp_path):
    longer = (*SMALL, "--config.total_steps=40", "--config.checkpoint_steps=4", "--config.steps_per_call=4")
    done = run_module("cir_tf.train", *longer, f"--workdir={tmp_path / 'whole'}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    environment = os.environ | {"TFDS_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cir_tf.train", *longer, f"--workdir={tmp_path / 'killed'}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed/checkpoints/checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    reached = int(tf.train.latest_checkpoint(str(tmp_path / "killed/checkpoints")).rpartition("-")[2])
    assert 0 < reached < 40
    done = run_module("cir_tf.train", *longer, f"--workdir={tmp_path / 'killed'}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stdout
    killed = last_weights(tmp_path / "killed")
    for name, value in last_weights(tmp_path / "whole").items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=nowhere.py",), "there is no config nowhere.py"),
        (("--config.sead=1",), "the config has no key 'sead'"),
        (("--speed=1",), "unknown argument --speed=1"),
        (("--config.dataset=nothing",), "there is no dataset 'nothing'"),
        (("--config.train_split=tran",), "has no split 'tran'; it has train, validation"),
        (
            ("--config.compositor.name=magic",),
            "There is no 'magic' among the compositors. Choose from: attribute_as_operator, ",
        ),
        (("--config.optimizer.name=magic",), "'magic' is none of torch_sgd"),
        (("--config.evals=('magic',)",), "magic"),
        (("--config.strategy=magic",), "there is no strategy 'magic'"),
        (("--config.text_encoder.width=8",), "width"),
        (("--config.batch_size=100000",), "batch_size=100000"),
        (("--config.log_steps=0",), "log_steps must be at least 1, not 0"),
        (("--config.seed=-1",), "seed must be from 0 to"),
        (("--config.precision=float63",), "precision is one of float32, mixed_bfloat16"),
        (("--config.augment.reference=magic",), "'magic'"),
        (("--config.frozen=('[',)",), 'frozen must be like ("regular expression",)'),
        (("--config.learning_rate_groups=('image', 0.1)",), "learning_rate_groups must be like (("),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, data_dir, trained_run, tmp_path, capfd, monkeypatch):
    from cir_tf.errors import run_command

    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    configs = () if any(word.startswith("--config=") for word in arguments) else (f"--config={DEFAULT_SMALL}",)
    with pytest.raises(SystemExit) as stopped:
        run_command(train.main, [*configs, *arguments, f"--workdir={tmp_path / 'run'}"])
    assert stopped.value.code == 2
    error = capfd.readouterr().err.strip().splitlines()
    assert message in error[-2 if "see the line above" in error[-1] else -1]
    assert "Traceback" not in "\n".join(error)


def test_a_dataset_that_needs_the_user_gives_the_command(tmp_path):
    done = run_module(
        "cir_tf.train", "--config=css/tirg_tiny.py", "--config.subset=css3d", f"--workdir={tmp_path}", data_dir=tmp_path
    )
    assert done.returncode == 2
    assert "python -m datasets_tfds.build css --config=css3d_index --manual_dir=FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unwritable_work_folder_is_one_line(data_dir):
    done = run_module("cir_tf.train", *SMALL, "--workdir=/proc/nowhere", data_dir=data_dir)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: cannot write to /proc/nowhere")


@pytest.mark.slow
def test_two_workers_train_like_one_process(data_dir, tmp_path):
    plain = (*SMALL, "--config.text_encoder.dropout=0.0", "--config.optimizer.name=sgd")
    done = run_module("cir_tf.train", *plain, f"--workdir={tmp_path / 'one'}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    command = [sys.executable, "-m", "cir_tf.train", *plain, "--config.strategy=multi_worker"]
    environment = os.environ | {"TFDS_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [*command, f"--workdir={tmp_path / 'two'}"],
            env=environment | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})},
        )
        for i in range(2)
    ]
    assert [worker.wait(timeout=240) for worker in workers] == [0, 0]
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    one, two = (last_weights(tmp_path / run) for run in ("one", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-4, err_msg=name)
