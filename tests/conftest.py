"""What all tests share: two logical CPUs for the replicas, and prepared data and a run, made once."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import pytest
import tensorflow as tf

from cir_tf.config import DEFAULT

ROOT = Path(__file__).parent.parent
DEFAULT_SMALL = f"{DEFAULT}:runlocal"
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        slow = pytest.mark.skip(reason="slow; run with --slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(slow)


def run_module(module, *arguments, data_dir=None, cwd=ROOT, timeout=600):
    """`python -m module arguments…` in a process of its own: the finished process, with its text output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"TFDS_DATA_DIR": str(data_dir)} if data_dir else {})
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(autouse=True)
def fixed_seed():
    """The same weights in every run of a test."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A TFDS folder; what is not in it is prepared by the commands that are tested."""
    folder = tmp_path_factory.mktemp("tfds")
    configs = ("--config=css3d_tiny_index", "--config=css3d_tiny_gallery")
    done = run_module("datasets_tfds.build", "css", *configs, data_dir=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def trained_run(data_dir, tmp_path_factory):
    """The work folder of a finished `:runlocal` run, and what its command printed."""
    workdir = tmp_path_factory.mktemp("runs") / "emoji"
    done = run_module("cir_tf.train", f"--config={DEFAULT_SMALL}", f"--workdir={workdir}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout
