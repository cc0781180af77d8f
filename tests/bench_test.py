import json
import math

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry
from scripts import bench


def check(row):
    for figures_R in (row.ours_R, row.bare_R, row.ratio_R, row.cpu_ratio_R):
        assert figures_R.shape == (2,)
        assert np.all(np.isfinite(figures_R) & (figures_R > 0))
    assert row.name in bench.line(row)


def test_builds_are_measured():
    found = list(bench.rows("build", bench.SMALLEST, repeat=2))
    assert [row.name for row in found] == ["build JPEG, 80 px", "build PNG, 80 px"]
    for row in found:
        check(row)


def test_a_training_step_is_measured():
    check(bench.train_row(bench.SMALLEST, "sum", repeat=2))


@pytest.mark.parametrize("what", ["input", "search"])
def test_input_and_search_are_measured(what):
    found = list(bench.rows(what, bench.SMALLEST, repeat=2))
    for row in found:
        check(row)
    assert len({row.name for row in found}) == {"input": 2, "search": 2 * len(registry.available("retrieval"))}[what]


def test_an_evaluation_is_measured():
    (row,) = bench.rows("evaluate", bench.SMALLEST, repeat=2)
    check(row)
    assert row.name == "evaluate FashionIQ, 3 protocols"


def test_a_large_gallery_is_measured():
    row = bench.million_row(bench.SMALLEST, repeat=2, exact_below=100)
    check(row)
    assert row.name.startswith("search 2000 x 128, R@10 ")


def test_ratios_are_those_of_each_round():
    spent = iter([9, 1, 2, 3])  # the warm-up is not counted
    row = bench.compare("work", "items/s", lambda: next(spent), lambda: 5, repeat=3)
    np.testing.assert_allclose(row.ratio_R, row.ours_R / row.bare_R)
    assert len(row.ours_R) == 3


def test_every_product_of_a_step_is_counted():
    import keras

    from cir_tf.layers import TorchConv2D, TorchDense

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = TorchConv2D(7, 3, strides=2), TorchDense(5)

        def call(self, inputs, training=False):
            for image in (inputs["reference_image"], inputs["target_image"]):
                self.dense(self.conv(image))

    batch = {
        "reference_image": tf.ones([2, 8, 6, 3]),
        "target_image": tf.ones([2, 8, 6, 3]),
        "text_ids": tf.ones([2, 1]),
    }
    model = Model()
    model(batch)
    calls = bench.products(model, batch)
    places = 2 * 4 * 3
    conv = ((2, 10, 8, 3), (3, 3, 3, 7), (2, 4, 3, 7), (2, 2))  # with its padding
    dense = ((2, 4, 3, 7), (7, 5), (2, 4, 3, 5), None)
    assert [tuple(part and tuple(part) for part in call) for call in calls] == [conv, dense] * 2
    expected = [2 * 2 * places * 27 * 7, 2 * 3 * places * 7 * 5]  # no gradient of the pictures
    assert [bench.operations(call) for call in calls] == expected * 2
    assert bench.bare_products(calls, 4)() == 4


def test_the_command_prints_a_table_and_writes_every_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "FULL", bench.SMALLEST)
    assert bench.main(["search", "--repeat=2", f"--json={tmp_path / 'figures.json'}"]) == 0
    written = json.loads((tmp_path / "figures.json").read_text())
    printed = capsys.readouterr().out
    assert written["machine"] in printed
    for row in written["rows"]:
        assert row["name"] in printed
        assert len(row["ours_R"]) == 2
        assert math.isclose(row["ours_R"][1] / row["bare_R"][1], row["ratio_R"][1])
