"""Where weights start, which of them are trained, and their moving averages."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble, weights
from cir_tf import config as configs
from cir_tf.errors import UserError
from cir_tf.train import keep_assets
from cir_tf.training import loop
from tests.small import ASSETS, small_config, small_triplets


def go(config, workdir):
    """Train the small problem in a work folder of its own; the task."""
    configs.save(config, workdir)
    keep_assets(workdir, lambda: ASSETS, write=True)
    task = assemble.task(config, ASSETS, tf.distribute.get_strategy())
    loop.run(task, small_triplets(task.retriever), config, workdir)
    return task


def arrays(model):
    return [variable.numpy() for variable in model.trainable_variables]


def equal(left, right):
    return [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]


def test_a_run_with_averages_is_evaluated_with_them(tmp_path):
    config = small_config(averaging={"decay": 0.5, "start": "restored"})
    task = go(config, tmp_path)
    raw = arrays(task.retriever)
    _, model = assemble.trained(tmp_path)
    averages = arrays(model)
    assert not any(equal(raw, averages))
    task.use_averages()
    assert all(equal(arrays(task.retriever), averages))
    again = go(config, tmp_path)  # already trained: restored as it was, the weights are the raw ones
    assert all(equal(arrays(again.retriever), raw))
    again.use_averages()
    assert all(equal(arrays(again.retriever), averages))


def test_averages_start_from_what_was_drawn_or_from_what_was_loaded(tmp_path):
    donor = assemble.task(small_config(seed=3), ASSETS, tf.distribute.get_strategy()).retriever
    weights.save(donor.image_encoder, tmp_path / "tower.safetensors")
    found = {}
    for start in ("initial", "restored"):
        config = small_config(averaging={"decay": 1.0, "start": start}, seed=5)
        config.image_encoder.weights = str(tmp_path / "tower.safetensors")
        task = go(config, tmp_path / start)
        assert not any(equal(arrays(task.retriever.image_encoder), arrays(donor.image_encoder)))
        task.use_averages()
        found[start] = task.retriever
    drawn = assemble.task(small_config(seed=5), ASSETS, tf.distribute.get_strategy()).retriever
    assert all(equal(arrays(found["restored"].image_encoder), arrays(donor.image_encoder)))
    assert all(equal(arrays(found["restored"].text_encoder), arrays(drawn.text_encoder)))
    assert all(equal(arrays(found["initial"]), arrays(drawn)))


def test_averages_of_what_another_run_gave_start_from_it(tmp_path):
    """As VAL's second stage: the first one's file has its averages."""
    go(small_config(), tmp_path / "donor")
    _, donor = assemble.trained(tmp_path / "donor")
    start = {"averaging": {"decay": 1.0, "start": "initial"}, "init_from": str(tmp_path / "donor"), "seed": 5}
    config = small_config(**start)
    config.image_encoder.widths = (4, 7)  # another shape: its average starts from what was drawn
    task = go(config, tmp_path / "second")
    drawn = assemble.task(small_config(**{**config, "init_from": ""}), ASSETS, tf.distribute.get_strategy()).retriever
    theirs = {variable.path: variable.numpy() for variable in donor.variables}
    task.use_averages()
    kinds = set()
    for mine, before in zip(task.retriever.trainable_variables, drawn.trainable_variables, strict=True):
        other = theirs.get(mine.path)
        fits = other is not None and other.shape == tuple(mine.shape)
        kinds.add(fits)
        np.testing.assert_array_equal(mine.numpy(), other if fits else before.numpy(), err_msg=mine.path)
    assert kinds == {True, False}


def test_a_run_without_averages_is_its_weights(tmp_path):
    task = go(small_config(), tmp_path)
    before = arrays(task.retriever)
    task.use_averages()
    assert all(equal(arrays(task.retriever), before))


def test_a_stopped_run_keeps_its_averages(tmp_path):
    config = small_config(averaging={"decay": 0.5, "start": "initial"})
    half = small_config(averaging={"decay": 0.5, "start": "initial"}, total_steps=4)
    half.schedule.name = config.schedule.name = "constant"
    del half.schedule["warmup_percent"], config.schedule["warmup_percent"]
    whole = go(config, tmp_path / "constant")
    go(half, tmp_path / "parts")
    (tmp_path / "parts" / "config.json").unlink()
    parts = go(config, tmp_path / "parts")
    for task in (whole, parts):
        task.use_averages()
    assert all(equal(arrays(whole.retriever), arrays(parts.retriever)))


def test_a_start_that_does_not_exist_is_one_line():
    config = small_config(averaging={"decay": 0.5, "start": "zero"})
    with pytest.raises(UserError, match=r"averaging\.start is one of restored, initial, not 'zero'"):
        assemble.task(config, ASSETS, tf.distribute.get_strategy())


def test_a_run_starts_from_another_ones_weights_of_equal_name_and_shape(tmp_path, capsys):
    go(small_config(), tmp_path / "donor")
    _, donor = assemble.trained(tmp_path / "donor")
    config = small_config(init_from=str(tmp_path / "donor"), compositor={"name": "concat"}, seed=5)
    config.image_encoder.widths = (4, 7)
    model = assemble.task(config, ASSETS, tf.distribute.get_strategy()).retriever
    drawn = assemble.task(small_config(**{**config, "init_from": ""}), ASSETS, tf.distribute.get_strategy()).retriever
    said = capsys.readouterr().out
    assert f"start from {tmp_path / 'donor'}; not " in said
    theirs = {variable.path: variable.numpy() for variable in donor.variables}
    kinds = set()
    for mine, before in zip(model.trainable_variables, drawn.trainable_variables, strict=True):
        other = theirs.get(mine.path)
        fits = other is not None and other.shape == tuple(mine.shape)
        kinds.add(fits)
        np.testing.assert_array_equal(mine.numpy(), other if fits else before.numpy(), err_msg=mine.path)
    assert kinds == {True, False}


def test_a_run_that_starts_from_another_reads_texts_as_it_does(tmp_path):
    go(small_config(), tmp_path)
    assert assemble.make_assets(small_config(init_from=str(tmp_path)), ["new words"]) == ASSETS
    assert assemble.make_assets(small_config(), ["new words"]) != ASSETS


def test_starting_from_a_folder_without_a_run_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        assemble.task(small_config(init_from=str(tmp_path)), ASSETS, tf.distribute.get_strategy())


def test_frozen_variables_stay_and_the_others_move(tmp_path):
    config = small_config(frozen=("text_encoder/.*embedding", "image_encoder/conv_0"))
    task = go(config, tmp_path)
    before = assemble.task(small_config(), ASSETS, tf.distribute.get_strategy()).retriever
    stayed = {
        variable.path
        for variable, start in zip(task.retriever.weights, before.weights, strict=True)
        if np.array_equal(variable.numpy(), start.numpy()) and "seed" not in variable.path
    }
    frozen = {path for path in stayed if "embedding" in path or "conv_0" in path}
    assert stayed == frozen
    assert len(frozen) == 2


def test_fixed_statistics_stay_and_their_gains_are_trained(tmp_path):
    task = go(small_config(fixed_statistics=("norm_0",)), tmp_path)
    before = assemble.task(small_config(), ASSETS, tf.distribute.get_strategy()).retriever
    moved = {
        variable.path.split("image_encoder/")[-1]: not np.array_equal(variable.numpy(), start.numpy())
        for variable, start in zip(task.retriever.image_encoder.weights, before.image_encoder.weights, strict=True)
    }
    assert {name: moved[f"norm_0/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")} == {
        "gamma": True,
        "beta": True,
        "moving_mean": False,
        "moving_variance": False,
    }
    assert moved["norm_1/moving_mean"]


@pytest.mark.parametrize("key", ["frozen", "fixed_statistics"])
def test_a_pattern_that_fits_nothing_is_one_line(key):
    with pytest.raises(UserError, match=f"{key}: no path fits 'nowhere'; there is .*(conv|norm)_0"):
        assemble.task(small_config(**{key: ("nowhere",)}), ASSETS, tf.distribute.get_strategy())


def test_a_run_of_an_earlier_version_lacks_keys(tmp_path):
    config = small_config()
    with config.unlocked():
        del config["frozen"], config["averaging"]
    configs.save(config, tmp_path)
    assert configs.read(tmp_path).to_dict() == small_config().to_dict()
