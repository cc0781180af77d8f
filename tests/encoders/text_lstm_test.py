import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf.encoders.text_lstm import TextLSTM
from tests.golden import S, close, policy

ASSETS = {"vocabulary.txt": "a\nb\nc\nd\n"}


def golden_encoder(**arguments):
    """The LSTM of golden T5; its weights are stored [out, in]."""
    encoder = TextLSTM(ASSETS, width=3, **arguments)
    encoder(np.array([[1]]))
    encoder.embedding.embeddings.assign(S((5, 3), 0.6, 0.3))
    encoder.input_gates.kernel.assign(0.5 * S((12, 3), 0.29, 0.1).T)
    encoder.input_gates.bias.assign(0.1 * S((12,), 0.4, 0))
    state_gates = encoder.recurrence.cell.state_gates
    state_gates.kernel.assign(0.5 * S((12, 3), 0.33, -0.2).T)
    state_gates.bias.assign(0.1 * S((12,), 0.25, 0.2))
    encoder.dense.kernel.assign(0.5 * S((3, 3), 0.45, 0.2))
    encoder.dense.bias.assign(0.1 * S((3,), 0.7, 0.1))
    return encoder


def test_golden_state_and_output():
    with policy("float64"):
        features = golden_encoder()(np.array([[1, 2, 3], [4, 0, -1]]))
    close(features.tokens_BLE[0, 2], [0.122619, 0.076467, 0.050968])
    close(features.tokens_BLE[1, 1], [-0.260276, 0.218977, 0.208212])
    close(features.pooled_BE, [[0.066486, 0.138332, 0.163180], [0.118501, 0.070996, -0.010101]])
    np.testing.assert_array_equal(features.mask_BL, [[1, 1, 1], [1, 1, 0]])


def test_empty_text_reads_the_zero_state():
    encoder = golden_encoder()
    features = encoder(np.array([[1, 2], [-1, -1]]))
    np.testing.assert_allclose(features.pooled_BE[1], encoder.dense.bias.numpy(), atol=1e-7)


def test_published_empty_text_reads_the_last_padded_step():
    encoder = golden_encoder(empty_reads_padding=True)
    got = encoder(np.array([[1, 2], [-1, -1], [3, -1]])).pooled_BE
    np.testing.assert_allclose(got, encoder(np.array([[1, 2], [0, 0], [3, -1]])).pooled_BE, atol=1e-7)
    assert np.abs(got[1] - encoder.dense.bias.numpy()).max() > 1e-3


def test_start_values():
    keras.utils.set_random_seed(1)
    encoder = TextLSTM({"vocabulary.txt": "\n".join(f"w{i}" for i in range(99))}, width=64)
    encoder(np.array([[1]]))
    assert abs(encoder.embedding.embeddings.numpy().std() - 1) < 0.03
    gates = [encoder.input_gates, encoder.recurrence.cell.state_gates]
    for variable in [variable for layer in gates for variable in layer.weights]:
        assert 0.95 / 8 < np.abs(variable.numpy()).max() <= 1 / 8
    assert [tuple(variable.shape) for layer in gates for variable in layer.weights] == [(64, 256), (256,)] * 2


def test_dropout_acts_in_training_only():
    encoder = TextLSTM(ASSETS, width=64, dropout=0.5)
    ids = np.array([[1, 2, 3]])
    still, again = encoder(ids).pooled_BE, encoder(ids).pooled_BE
    np.testing.assert_array_equal(still, again)
    assert np.abs(encoder(ids, training=True).pooled_BE - still).max() > 1e-3


def test_pseudo_words_are_refused():
    with pytest.raises(ValueError, match="insert_BSE"):
        TextLSTM(ASSETS, width=3)(np.array([[1]]), insert_BSE=np.zeros((1, 1, 3)))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_saved_model_takes_texts_of_any_number_and_length(tmp_path, dtype):
    with policy(dtype):
        encoder = TextLSTM(ASSETS, width=6)
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
        np.testing.assert_allclose(
            tf.cast(loaded.encode(texts), "float32"),
            tf.cast(live, "float32"),
            atol=1e-6 if dtype == "float32" else 0.02,
        )
