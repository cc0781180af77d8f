import numpy as np
import pytest

from cir_tf.compositors.concat import Concat
from tests.golden import S, close, policy


@pytest.mark.parametrize(
    ("training", "first", "total"),
    [
        (True, [0.603331, 0.785059, 0.900893, 0.936498], 5.113096248716),
        (False, [0.054445, 0.113709, 0.155724, 0.171503], 1.505899219548),
    ],
)
def test_golden_query(training, first, total):
    image_BD, text_BD = S((3, 4), 0.5, 0.2), S((3, 4), 0.8, -0.3)
    with policy("float64"):
        concat = Concat(width=4, dropout=0)
        concat.fuse(image_BD, text_BD)
    concat.dense_1.set_weights([0.5 * S((8, 8), 0.31, 0.05), 0.1 * S((8,), 0.2, 0.1)])
    concat.dense_2.set_weights([0.5 * S((8, 4), 0.27, 0.15), 0.1 * S((4,), 0.5, 0.05)])
    query = concat.fuse(image_BD, text_BD, training=training).numpy()
    close(query[0], first)
    close(query.sum(), total, atol=6e-13)


def test_dropout_acts_in_training_only():
    concat = Concat(width=64, dropout=0.5)
    image_BD, text_BD = S((3, 64), 0.5, 0.2).astype("float32"), S((3, 64), 0.8, -0.3).astype("float32")
    np.testing.assert_array_equal(concat.fuse(image_BD, text_BD), concat.fuse(image_BD, text_BD))
    first, second = (concat.fuse(image_BD, text_BD, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
