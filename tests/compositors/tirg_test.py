import numpy as np
import pytest

from cir_tf.compositors.tirg import TIRG
from tests.golden import S, close, policy

IMAGE, TEXT = S((3, 4), 0.5, 0.2), S((3, 4), 0.8, -0.3)


def golden_tirg():
    with policy("float64"):
        tirg = TIRG(width=4)
        tirg.fuse(IMAGE, TEXT)
    weights = {
        tirg.gate: (0.5 * S((8, 4), 0.37, 0.1), 0.1 * S((4,), 0.6, 0)),
        tirg.residual_1: (0.5 * S((8, 8), 0.23, 0.4), 0.1 * S((8,), 0.3, 0.2)),
        tirg.residual_2: (0.5 * S((8, 4), 0.41, -0.2), 0.1 * S((4,), 0.9, 0.3)),
    }
    for layer, values in weights.items():
        layer.set_weights(values)
    return tirg


@pytest.mark.parametrize(
    ("training", "first", "total", "norm"),
    [
        (True, [-0.931004, -0.350379, -0.325970, -0.784375], 8.007025795739, 5.988321437747),
        (False, [-0.939061, -0.323152, -0.269762, -0.710648], -0.693386747160, 3.119118722752),
    ],
)
def test_golden_query(training, first, total, norm):
    query = golden_tirg().fuse(IMAGE, TEXT, training=training).numpy()
    close(query[0], first)
    close([query.sum(), np.linalg.norm(query)], [total, norm], atol=6e-13)


def test_golden_gate_and_residual():
    tirg = golden_tirg()
    tirg.mix.assign([0.0, 1.0])
    close(tirg.fuse(IMAGE, TEXT, training=True)[0], [-0.102552, -0.060722, -0.063912, -0.107526])
    tirg.mix.assign([1.0, 0.0])
    gate = tirg.fuse(IMAGE, TEXT, training=True)[0] / IMAGE[0]
    close(np.log(gate / (1 - gate)), [-0.097141, -0.410970, -0.681259, -0.879286])


def test_starts_with_one_gate_and_ten_residuals():
    np.testing.assert_array_equal(TIRG(width=4).mix.numpy(), [1, 10])


def test_gate_and_residual_are_normalised_apart():
    tirg = golden_tirg()
    tirg.mix.assign([0.0, 1.0])
    before = tirg.fuse(IMAGE, TEXT).numpy()
    tirg.gate_norm.gamma.assign(2 * np.ones(8))
    np.testing.assert_array_equal(tirg.fuse(IMAGE, TEXT), before)
    tirg.residual_norm.gamma.assign(2 * np.ones(8))
    assert np.abs(tirg.fuse(IMAGE, TEXT) - before).max() > 1e-3
