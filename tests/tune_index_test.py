"""The command that tunes a run's index, on a run small enough to be exact and on one told to be approximate."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from cir_tf import assemble, evaluate, tune_index
from cir_tf.errors import UserError
from cir_tf.retrieval.scann import ScannIndex
from tests.conftest import run_module


def tuning(**changes):
    rungs = [
        {
            "searched_share": share,
            "leaves": leaves,
            "reordered": reordered,
            "recall": recall,
            "milliseconds": milliseconds,
            "single_milliseconds": 0.5,
        }
        for share, leaves, reordered, recall, milliseconds in [
            (0.01, 3, 60, 0.8125, 0.02),
            (0.01, 3, 200, 0.875, 0.03),
            (0.1, 25, 60, 0.9375, 0.04),
            (0.1, 25, 200, 0.975, 0.08),
        ]
    ]
    made = {
        "protocol": "letters",
        "target_recall": 0.95,
        "reached": True,
        "k": 10,
        "queries": 40,
        "count": 62_500,
        "chosen": rungs[3],
        "exact_milliseconds": 1.0,
        "exact_single_milliseconds": 2.0,
        "curve": rungs,
    }
    return made | changes


def test_table_marks_the_chosen_setting():
    lines = tune_index.to_text(tuning()).splitlines()
    assert [line.split() for line in lines[1:6]] == [
        ["3", "(1.0", "%)", "60", "0.8125", "0.020", "0.500"],
        ["3", "(1.0", "%)", "200", "0.8750", "0.030", "0.500"],
        ["25", "(10.0", "%)", "60", "0.9375", "0.040", "0.500"],
        ["25", "(10.0", "%)", "200", "0.9750", "0.080", "0.500", "<-"],
        ["exact", "1.0000", "1.000", "2.000"],
    ]
    assert "recall 0.9750 on 40 queries, 12.5 times as fast as exact" in lines[-1]
    assert lines[-1].endswith("searched_share=0.1, reordered=200")
    assert "no setting reaches 0.99; the best one is marked" in tune_index.to_text(
        tuning(target_recall=0.99, reached=False)
    )


def test_plot_is_a_picture(tmp_path):
    tune_index.draw(tuning(), tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG" and image.width > 600
        assert len(image.convert("RGB").getcolors(100_000)) > 20
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_small_gallery_has_nothing_to_tune(trained_run, data_dir):
    workdir, _ = trained_run
    before = {path.name for path in workdir.iterdir()}
    done = run_module("cir_tf.tune_index", f"--workdir={workdir}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert "exact: there is nothing to tune" in done.stdout
    assert "index scann" in done.stdout
    assert {path.name for path in workdir.iterdir()} == before


def test_large_gallery_is_tuned_on_its_composed_queries(trained_run, data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    config, model = assemble.trained(trained_run[0])
    with config.unlocked():
        config.index.exact_below = 100
    found = tune_index.tune_run(config, model, tmp_path, target_recall=0.5)
    printed = capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tuning.json", "tuning.png"]
    assert json.loads((tmp_path / "tuning.json").read_text()) == found
    assert found["reached"] and found["chosen"]["recall"] >= 0.5
    assert found["protocol"] == config.evals[0] and found["encoder"] == assemble.weights_hash(model)
    assert found["curve"][-1]["recall"] > 0.99, "all leaves, many candidates"
    assert f"searched_share={found['chosen']['searched_share']}" in printed and tune_index.HEAD in printed
    ScannIndex(searched_share=found["chosen"]["searched_share"], reordered=found["chosen"]["reordered"])


def test_mistakes_are_told_in_one_line(trained_run, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    workdir = trained_run[0]
    for arguments, message in [
        ([f"--workdir={tmp_path}"], "holds no run"),
        ([f"--workdir={workdir}", "--protocol=nobodys"], "nobodys"),
        ([f"--workdir={workdir}", "--target_recall=95"], "--target_recall must be above 0 and at most 1, not 95"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            tune_index.main(arguments)
        assert "\n" not in str(error.value)


def test_what_cannot_be_searched_is_told_in_one_line(trained_run, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    config, model = assemble.trained(trained_run[0])
    with config.unlocked():
        config.index = {"name": "scann", "exact_below": 100}
    with (
        monkeypatch.context() as patch,
        pytest.raises(UserError, match="cannot be searched: The vectors must be finite"),
    ):
        part = evaluate.runner.Part({}, {"ids": ["a"]}, {"model": np.ones((1, 2))}, np.full((1, 2), np.nan))
        patch.setattr(evaluate.Scorer, "part", lambda self, protocol, subset: part)
        tune_index.tune_run(config, model, tmp_path)
    with config.unlocked():
        config.evals = ()
    with pytest.raises(UserError, match="names no protocol; give one with --protocol"):
        tune_index.tune_run(config, model, tmp_path)


def test_missing_matplotlib_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="install matplotlib"):
        tune_index.draw(tuning(), tmp_path / "plot.png")
