import numpy as np

from cir_tf.compositors.show_and_tell import ShowAndTell
from cir_tf.types import Features
from tests.golden import S, close, policy

TABLE = S((5, 3), 0.6, 0.3)


def golden_query(words, mask, dtype="float64"):
    """Two queries of the LSTM of golden T5; its weights are stored [out, in]. The images become words 1 and 4."""
    image, text = Features(np.eye(2)), Features(None, words, mask)
    with policy(dtype):
        compositor = ShowAndTell(width=3)
        compositor.compose(image, text)
    reader = compositor.reader
    reader.first_word.set_weights([TABLE[[1, 4]] - 0.3, np.full(3, 0.3)])
    reader.input_gates.set_weights([0.5 * S((12, 3), 0.29, 0.1).T, 0.1 * S((12,), 0.4, 0)])
    state_gates = reader.recurrence.cell.state_gates
    state_gates.set_weights([0.5 * S((12, 3), 0.33, -0.2).T, 0.1 * S((12,), 0.25, 0.2)])
    return compositor.compose(image, text)["main"]


def test_golden_states_with_the_image_as_the_first_step():
    words = np.stack([TABLE[[2, 3]], TABLE[[0, 4]]])
    query = golden_query(words, np.array([[True, True], [True, False]]))
    close(query, [[0.122619, 0.076467, 0.050968], [-0.260276, 0.218977, 0.208212]])


def test_without_words_the_image_alone_is_read():
    words = np.stack([TABLE[[2, 3]], TABLE[[0, 4]]])
    full = golden_query(words, np.array([[True, True], [False, False]]))
    one = golden_query(words[:, :1] + 9, np.array([[False], [False]]))
    np.testing.assert_allclose(full[1], one[1], atol=1e-12)
    assert np.abs(full[0] - one[0]).max() > 1e-3
    assert np.abs(one[0] - one[1]).max() > 1e-3
