import numpy as np

from cir_tf.compositors.relationship import Relationship
from cir_tf.types import Features
from tests.golden import S, close, policy


def make(map_BHWC, text_BE, dtype="float64", **arguments):
    with policy(dtype):
        relationship = Relationship(**arguments)
        relationship.compose(Features(None, maps=(map_BHWC,)), Features(text_BE))
    return relationship


def padded(values, shape):
    return np.pad(values, [(0, more - had) for had, more in zip(values.shape, shape, strict=True)])


def test_golden_sum_and_query():
    map_BHWC, text_BE = S((4, 2), 0.4, 0.1).reshape(1, 2, 2, 2), S((1, 2), 0.7, 0.2)
    relationship = make(map_BHWC, text_BE, width=3, hidden=5)
    relations = relationship.relations
    relations.dense_1.set_weights([0.5 * S((6, 5), 0.21, 0.1), np.zeros(5)])
    relations.dense_2.set_weights([padded(0.5 * S((5, 3), 0.31, 0.2), (5, 5)), np.zeros(5)])
    close(relations(map_BHWC, text_BE)[0], [1.960559, 1.384593, 0.878143, 0, 0])
    relationship.dense_1.set_weights([np.eye(5), np.zeros(5)])  # the golden numbers have a ReLU here and no layer
    relationship.dense_2.set_weights([padded(0.5 * S((3, 3), 0.41, 0.3), (5, 3)), np.zeros(3)])
    query = relationship.compose(Features(None, maps=(map_BHWC,)), Features(text_BE))["main"]
    close(query[0], [1.144923, 1.272154, 1.188516])


def test_all_ordered_pairs_of_the_last_map_as_written():
    map_BHWC, text_BE = S((2, 2, 3, 4), 1.3, 0.1), S((2, 5), 0.7, 0.2)
    relationship = make(map_BHWC, text_BE, width=3, hidden=6)

    def dense(x, layer):
        kernel, bias = (weight.numpy() for weight in layer.weights)
        return x @ kernel + bias

    def relu(x):
        return np.maximum(x, 0)

    relations = relationship.relations
    places_BPC = map_BHWC.reshape(2, 6, 4)
    sum_BF = np.zeros((2, 6))
    for i in range(6):
        for j in range(6):
            pair = np.concatenate([places_BPC[:, i], places_BPC[:, j], text_BE], axis=-1)
            sum_BF += relu(dense(relu(dense(pair, relations.dense_1)), relations.dense_2))
    expected = dense(relu(dense(sum_BF, relationship.dense_1)), relationship.dense_2)
    maps = (S((2, 4, 6, 4), 0.9, 0.3), map_BHWC)
    query = relationship.compose(Features(None, maps=maps), Features(text_BE))["main"]
    close(query, expected, atol=1e-12)
    assert (expected < 0).any()  # the last layer is linear


def test_half_precision_keeps_the_digits_of_the_sum():
    map_BHWC, text_BE = S((2, 7, 7, 4), 1.3, 0.1), S((2, 5), 0.7, 0.2)
    exact, half = (make(map_BHWC, text_BE, dtype=dtype, width=8) for dtype in ("float64", "mixed_bfloat16"))
    for layer in (exact, half):
        layer.relations.dense_1.set_weights([np.full((13, 8), 0.25), np.full(8, 0.5)])
        layer.relations.dense_2.set_weights([np.eye(8), np.full(8, 0.5)])
    expected, got = (layer.relations(map_BHWC, text_BE) for layer in (exact, half))
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, expected, rtol=3e-3)


def test_hidden_width_is_that_of_the_query_unless_given():
    map_BHWC, text_BE = S((2, 2, 3, 4), 1.3, 0.1), S((2, 5), 0.7, 0.2)
    for arguments, hidden in (({}, 8), ({"hidden": 3}, 3)):
        relationship = make(map_BHWC, text_BE, width=8, **arguments)
        assert relationship.relations.dense_1.kernel.shape == (13, hidden)
        assert relationship.dense_2.kernel.shape == (hidden, 8)
