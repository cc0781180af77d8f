import numpy as np
import pytest

from cir_tf.compositors.tirg_lastconv import TIRGLastConv
from cir_tf.types import Features
from tests.golden import S, close, policy

MAP, TEXT = S((2, 3, 3, 2), 0.3, 0.1), S((2, 2), 0.5, 0.3)


def golden_tirg():
    with policy("float64"):
        tirg = TIRGLastConv(width=5)
        tirg.compose(Features(None, maps=(MAP,)), Features(TEXT))
    weights = {
        tirg.residual.conv_1: (0.3 * S((3, 3, 4, 4), 0.11, 0.2), 0.1 * S((4,), 0.3, 0.1)),
        tirg.residual.conv_2: (0.3 * S((3, 3, 4, 2), 0.13, -0.1), 0.1 * S((2,), 0.4, 0.2)),
        tirg.gate.conv_1: (0.3 * S((3, 3, 4, 4), 0.17, 0.3), 0.1 * S((4,), 0.2, 0.3)),
        tirg.gate.conv_2: (0.3 * S((3, 3, 4, 2), 0.19, 0.1), 0.1 * S((2,), 0.6, 0.1)),
    }
    for layer, values in weights.items():
        layer.set_weights(values)
    return tirg


@pytest.mark.parametrize(
    ("training", "means", "corner"),
    [
        (True, [0.192688, 0.543778, 4.853510, 5.030483], [-0.362094, 0.248942]),
        (False, [3.891742, 4.083794, 4.738709, 4.955219], [-11.567632, -10.991557]),
    ],
)
def test_golden_map(training, means, corner):
    changed = golden_tirg().fuse_map(MAP, TEXT, training=training).numpy()
    close(changed.mean((1, 2)).ravel(), means)
    close(changed[0, 0, 0], corner)


def test_query_and_target_share_the_last_dense_layer():
    tirg = golden_tirg()
    tirg.mix.assign([2.0, 0.0])
    tirg.gate.conv_2.set_weights([np.zeros((3, 3, 4, 2)), np.zeros(2)])  # 2 sigmoid(0) = 1: the map passes unchanged
    query = tirg.compose(Features(None, maps=(MAP[:, ::-1], MAP)), Features(TEXT))["main"]
    target = tirg.project_target(Features(MAP.mean((1, 2))))["main"]
    np.testing.assert_allclose(query, target, atol=1e-12)
