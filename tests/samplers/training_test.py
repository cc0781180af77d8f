"""Training on rows that are drawn at run time: as with stored rows, a run goes on exactly where it was stopped."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests import toy_copies
from tests.conftest import run_module

RECIPES = ("fashion200k/tirg_tiny.py", "mit_states/tirg_tiny.py", "css/tirg_published.py")


def weights(workdir):
    """{name: array} of the newest checkpoint."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(workdir / "checkpoints")))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT" not in name}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_ends_as_one_that_was_not(recipe, data_dir, tmp_path):
    toy_copies.prepare(recipe.split("/")[0], data_dir, tmp_path)
    for name, steps in (("whole", [7]), ("stopped", [3, 7])):
        for total in steps:
            config = tmp_path / name / "config.json"
            if config.exists():  # another number of steps would be another run
                text = json.loads(config.read_text()) | {"total_steps": total}
                config.write_text(json.dumps(text))
            options = [f"--config={recipe}:runlocal", f"--config.total_steps={total}"]
            done = run_module(
                "cir_tf.train", *options, f"--workdir={tmp_path / name}", "--no_export", data_dir=data_dir
            )
            assert done.returncode == 0, done.stderr
    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert whole.keys() == stopped.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], stopped[name], err_msg=name)
