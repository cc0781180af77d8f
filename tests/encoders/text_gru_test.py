import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf.encoders.text_gru import TextGRU
from tests.golden import S, close, policy

ASSETS = {"vocabulary.txt": "a\t3\nb\t1\nc\t2\nd\t1\n"}
SMALL = {"width": 4, "word_width": 3, "state_width": 3}
FIRST = [[0.053374, 0.128069, 0.172202], [-0.009391, 0.050940, 0.098903], [0.028972, 0.056207, 0.069654]]
SECOND = [[0.097596, 0.156646, 0.182626], [0.140976, 0.176996, 0.185255]]


def golden_encoder(**arguments):
    """The LSTM of golden V2, whose gates stand in TensorFlow 1's order i, j, f, o."""
    encoder = TextGRU(ASSETS, **{**SMALL, **arguments})
    encoder(np.array([[1]]))
    encoder.embedding.embeddings.assign(S((5, 3), 0.6, 0.3))
    order = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]
    kernel = (0.5 * S((6, 12), 0.29, 0.1))[:, order]
    bias = (0.1 * S((12,), 0.4, 0) + np.repeat([0, 0, 1, 0], 3))[order]
    encoder.directions[0].network.set_weights([kernel[:3], kernel[3:], bias])
    state, memory = encoder.directions[0].initial
    memory.assign(0.3 * S((3,), 0.5, 0.1))
    state.assign(0.3 * S((3,), 0.8, 0.2))
    return encoder


def test_golden_outputs():
    with policy("float64"):
        features = golden_encoder()(np.array([[1, 2, 3], [4, 0, -1]]))
    close(features.tokens_BLE[0], FIRST)
    close(features.tokens_BLE[1, :2], SECOND)
    np.testing.assert_array_equal(features.tokens_BLE[1, 2], 0)
    np.testing.assert_array_equal(features.mask_BL, [[1, 1, 1], [1, 1, 0]])


def pooled_before_projection(encoder, ids_BL, training=False):
    """The maximum over time: a projection that is the identity, and a normalisation that does nothing."""
    encoder.dense.kernel.assign(np.eye(3, 4))
    encoder.norm.call = lambda inputs, training=False: inputs
    return encoder(ids_BL, training=training).pooled_BE[:, :3]


def test_pooled_is_the_maximum_of_the_real_words():
    ids_BL = np.array([[1, 2, 3], [4, 0, -1]])
    with policy("float64"):
        encoder = golden_encoder(dropout=0.0)
        close(pooled_before_projection(encoder, ids_BL), [FIRST[0], SECOND[1]])
        negative = golden_encoder(dropout=0.0)
        for initial in negative.directions[0].initial:
            initial.assign(-np.ones(3))
        still = pooled_before_projection(negative, ids_BL).numpy()
    assert still[1].min() < 0


def test_published_padding_enters_the_maximum_in_training_only():
    ids_BL = np.array([[1, 2, 3], [4, 0, -1]])
    sane, published = (golden_encoder(dropout=0.0, padding_in_max=flag) for flag in (False, True))
    for encoder in (sane, published):
        for initial in encoder.directions[0].initial:
            initial.assign(-np.ones(3))
    plain = pooled_before_projection(sane, ids_BL).numpy()
    assert plain[1].min() < 0
    np.testing.assert_allclose(pooled_before_projection(published, ids_BL).numpy(), plain, atol=1e-7)
    trained = pooled_before_projection(published, ids_BL, training=True).numpy()
    np.testing.assert_allclose(trained[0], plain[0], atol=1e-7)
    np.testing.assert_allclose(trained[1], np.maximum(plain[1], 0), atol=1e-7)


def test_published_single_words_are_unknown_outside_training():
    encoder = golden_encoder(dropout=0.0, unknown_singles=True)
    ids_BL, read_BL = np.array([[1, 2, 3, 4], [4, 3, -1, -1]]), np.array([[1, 0, 3, 0], [0, 3, -1, -1]])
    plain = golden_encoder(dropout=0.0)
    close(encoder(ids_BL).tokens_BLE, plain(read_BL).tokens_BLE)
    close(encoder(ids_BL, training=True).tokens_BLE, plain(ids_BL).tokens_BLE)


def test_first_weights_of_the_projection_are_those_of_the_backbone():
    for stddev, wanted in ((None, (2 / 300) ** 0.5), (0.09, 0.09 * 0.8796)):  # truncation at two standard deviations
        encoder = TextGRU(ASSETS, width=200, state_width=300, stddev=stddev)
        encoder(np.array([[1]]))
        assert abs(encoder.dense.kernel.numpy().std() / wanted - 1) < 0.02


def gru(word_LW, state_H, network):
    """TensorFlow 1's GRU in NumPy, on Keras' arrangement of its weights: update, reset, candidate."""
    kernel, recurrent, bias = (each.numpy() for each in network.weights)
    h = len(state_H)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    states = []
    for word_W in word_LW:
        u, r = np.split(sigmoid(word_W @ kernel[:, : 2 * h] + state_H @ recurrent[:, : 2 * h] + bias[: 2 * h]), 2)
        c = np.tanh(word_W @ kernel[:, 2 * h :] + (r * state_H) @ recurrent[:, 2 * h :] + bias[2 * h :])
        state_H = u * state_H + (1 - u) * c
        states.append(state_H)
    return np.array(states)


def test_gru_is_that_of_tensorflow_1_and_backward_starts_at_the_last_word():
    with policy("float64"):
        encoder = TextGRU(ASSETS, width=4, cell="gru", word_width=3, state_width=4, bidirectional=True)
        ids_BL = np.array([[1, 2, 3], [4, 1, -1]])
        features = encoder(ids_BL)
    table = encoder.embedding.embeddings.numpy()
    forward, backward = encoder.directions
    np.testing.assert_array_equal(forward.network.cell.bias.numpy(), [1, 1, 1, 1, 0, 0])
    for row, ids in enumerate(([1, 2, 3], [4, 1])):
        there = gru(table[ids], forward.initial[0].numpy(), forward.network)
        back = gru(table[ids[::-1]], backward.initial[0].numpy(), backward.network)[::-1]
        np.testing.assert_allclose(features.tokens_BLE[row, : len(ids)], np.concatenate([there, back], 1), atol=1e-9)


def test_start_values():
    keras.utils.set_random_seed(1)
    words = {"vocabulary.txt": "".join(f"w{i}\t1\n" for i in range(99))}
    encoder = TextGRU(words, width=32, word_width=50, state_width=64)
    encoder(np.array([[1]]))
    network = encoder.directions[0].network
    limit = (6 / (50 + 64 + 256)) ** 0.5  # of TensorFlow's one matrix [W + H, 4 H]
    for kernel in network.weights[:2]:
        assert 0.98 * limit < np.abs(kernel.numpy()).max() <= limit
    np.testing.assert_array_equal(network.cell.bias.numpy(), np.repeat([0, 1, 0, 0], 64))
    for initial in encoder.directions[0].initial:
        assert 0.9 * (6 / 128) ** 0.5 < np.abs(initial.numpy()).max() <= (6 / 128) ** 0.5
    limit = (6 / (100 + 50)) ** 0.5
    assert 0.98 * limit < np.abs(encoder.embedding.embeddings.numpy()).max() <= limit


def test_published_sizes():
    encoder = TextGRU(ASSETS)
    encoder(np.array([[1]]))
    shapes = {variable.path.partition("/")[2]: tuple(variable.shape) for variable in encoder.trainable_variables}
    assert shapes["embedding/embeddings"] == (5, 512)
    assert shapes["forward/network/lstm_cell/recurrent_kernel"] == (1024, 4096)
    assert shapes["dense/kernel"] == (1024, 512)
    assert (encoder.norm.momentum, encoder.norm.epsilon) == (0.997, 1e-5)


def test_empty_text_has_outputs_of_zero():
    features = golden_encoder()(np.array([[1, 2], [-1, -1]]))
    np.testing.assert_array_equal(features.tokens_BLE[1], 0)
    np.testing.assert_array_equal(features.pooled_BE[1], 0)


def test_vectors_of_glove_take_the_place_of_known_words(tmp_path):
    encoder = TextGRU({"vocabulary.txt": "".join(f"w{i}\t1\n" for i in range(4000))}, **SMALL)
    (tmp_path / "glove.txt").write_text("w3 1 -2 0.5\nother 9 9 9\nw0 0.25 4 8\n")
    assert encoder.start_from_glove(tmp_path / "glove.txt") == 2
    table = encoder.embedding.embeddings.numpy()
    np.testing.assert_array_equal(table[[1, 4]], [[0.25, 4, 8], [1, -2, 0.5]])
    rest = np.delete(table, [1, 4], axis=0)
    assert abs(rest.std() - 0.09) < 0.002
    assert len(np.unique(rest)) > 10000
    encoder.start_from_glove(tmp_path / "glove.txt")
    np.testing.assert_array_equal(encoder.embedding.embeddings.numpy(), table)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="lstm and gru"):
        TextGRU(ASSETS, cell="rnn")
    with pytest.raises(ValueError, match="share the state"):
        TextGRU(ASSETS, state_width=5, bidirectional=True)
    with pytest.raises(ValueError, match="insert_BSE"):
        TextGRU(ASSETS, **SMALL)(np.array([[1]]), insert_BSE=np.zeros((1, 1, 3)))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_saved_model_takes_texts_of_any_number_and_length(tmp_path, cell):
    encoder = TextGRU(ASSETS, **{**SMALL, "state_width": 6}, cell=cell, bidirectional=True)
    encoder(np.array([[1]]))
    module = tf.Module()
    module.encoder = encoder
    module.encode = tf.function(
        lambda text_B: encoder(encoder.tokenizer.in_graph(text_B)).pooled_BE,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    for texts in (["a b c d e"], ["b", "", "d c"]):
        live = encoder(encoder.tokenizer.tokenize(texts)).pooled_BE
        np.testing.assert_allclose(loaded.encode(texts), live, atol=1e-6)
