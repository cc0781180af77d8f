import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from cir_tf.errors import UserError
from scripts import bench
from scripts.benchmarks import encoders, search_million, train
from scripts.benchmarks.base import SMALLEST, compare


def check(row):
    for figures_R in (row.ours_R, row.bare_R, row.ratio_R, row.cpu_ratio_R):
        assert figures_R.shape == (2,)
        assert np.all(np.isfinite(figures_R) & (figures_R > 0))
    assert row.name in bench.line(row)


def test_builds_are_measured():
    found = list(bench.rows("build", SMALLEST, repeat=2))
    assert [row.name for row in found] == ["build JPEG, 80 px", "build PNG, 80 px"]
    for row in found:
        check(row)


def test_a_training_step_is_measured():
    check(train.row(SMALLEST, "sum", repeat=2))


def test_a_recipes_step_is_measured_with_its_memory():
    (row,) = bench.rows("methods", SMALLEST, repeat=2)
    check(row)
    assert re.fullmatch(r"emoji_edits/sum_tiny\.py:runlocal, \d+\.\d GFLOP, \d\.\d GiB", row.name)


def test_a_recipe_that_cannot_be_measured_is_said_and_the_others_go_on(capsys):
    sizes = SMALLEST._replace(recipes=("nowhere/none.py:runlocal", *SMALLEST.recipes))
    assert len(list(bench.rows("methods", sizes, repeat=1))) == 1
    assert "not measured: nowhere/none.py:runlocal: " in capsys.readouterr().err


def test_towers_are_measured():
    for module in ("torch", "transformers"):
        pytest.importorskip(module, reason="the convert extra is not installed")
    found = list(bench.rows("encoders", SMALLEST, repeat=2))
    assert len(found) == len(encoders.TOWERS)
    for row in found:
        check(row)


def test_without_pytorch_towers_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch transformers"):
        list(bench.rows("encoders", SMALLEST, repeat=2))


@pytest.mark.parametrize("what", ["inputs", "search"])
def test_inputs_and_search_are_measured(what):
    found = list(bench.rows(what, SMALLEST, repeat=2))
    for row in found:
        check(row)
    assert len({row.name for row in found}) == {"inputs": 9, "search": 2 * len(registry.available("retrieval"))}[what]


def test_an_evaluation_is_measured():
    (row,) = bench.rows("evaluate", SMALLEST, repeat=2)
    check(row)
    assert row.name == "evaluate FashionIQ, 3 protocols"


def test_a_large_gallery_is_measured():
    (row,) = search_million.rows(SMALLEST, repeat=2, exact_below=100)
    check(row)
    assert row.name.startswith("search 2000 x 128, R@10 ")


def test_ratios_are_those_of_each_round():
    spent = iter([9, 1, 2, 3])  # the warm-up is not counted
    row = compare("work", "items/s", lambda: next(spent), lambda: 5, repeat=3)
    np.testing.assert_allclose(row.ratio_R, row.ours_R / row.bare_R)
    assert len(row.ours_R) == 3


def test_every_product_of_a_step_is_counted():
    import keras

    from cir_tf.layers import TorchConv2D, TorchDense

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = TorchConv2D(7, 3, strides=2), TorchDense(5)
            self.same = keras.layers.Conv2D(2, 5, padding="same", use_bias=False)  # as large as the map

        def call(self, inputs, training=False):
            for image in (inputs["reference_image"], inputs["target_image"]):
                self.same(self.dense(self.conv(image)))

    batch = {
        "reference_image": tf.ones([2, 8, 6, 3]),
        "target_image": tf.ones([2, 8, 6, 3]),
        "text_ids": tf.ones([2, 1]),
    }
    model = Model()
    model(batch)
    calls = train.products(model, batch)
    places = 2 * 4 * 3
    conv = ((2, 10, 8, 3), (3, 3, 3, 7), (2, 4, 3, 7), ((2, 2), "VALID"))  # its padding is in the input
    dense = ((2, 4, 3, 7), (7, 5), (2, 4, 3, 5), ())
    same = ((2, 4, 3, 5), (5, 5, 5, 2), (2, 4, 3, 2), ((1, 1), "SAME"))
    assert [tuple(map(tuple, call)) for call in calls] == [conv, dense, same] * 2
    # No gradient of the pictures.
    expected = [2 * 2 * places * 27 * 7, 2 * 3 * places * 7 * 5, 2 * 3 * places * 125 * 2]
    assert [train.operations(call) for call in calls] == expected * 2
    assert train.bare_products(calls, 4)() == 4


def test_a_new_benchmark_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "quick.py").write_text("def rows(sizes, repeat):\n    yield 'quick', sizes, repeat\n")
    (tmp_path / "vast.py").write_text("BIG = True\n\n\ndef rows(sizes, repeat):\n    yield 'vast', sizes, repeat\n")
    (tmp_path / "_shared.py").write_text("")
    monkeypatch.setattr(bench.benchmarks, "__path__", [str(tmp_path)])
    assert bench.available() == ["quick", "vast"]
    assert list(bench.rows("all", 7, 3)) == [("quick", 7, 3)]
    assert list(bench.rows("all", 7, 3, big=True)) == [("quick", 7, 3), ("vast", 7, 3)]
    assert list(bench.rows("vast", 7, 3)) == [("vast", 7, 3)]


def test_the_command_runs_from_any_folder(tmp_path):
    command = [sys.executable, bench.__file__, "--help"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "{build,encoders,evaluate,inputs,methods,search,search_million,train,all}" in done.stdout


def test_the_command_prints_a_table_and_writes_every_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FULL", SMALLEST)
    assert bench.main(["search", "--repeat=2", f"--json={tmp_path / 'figures.json'}"]) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    printed = capsys.readouterr().out
    assert written["machine"] in printed
    for row in written["rows"]:
        assert row["name"] in printed
        assert len(row["ours_R"]) == 2
        assert math.isclose(row["ours_R"][1] / row["bare_R"][1], row["ratio_R"][1])
