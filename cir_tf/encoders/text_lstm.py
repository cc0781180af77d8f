"""TIRG's text encoder: words, one LSTM, one dense layer.

Dimension key: B batch, E width of embedding, state and output, L text tokens, G the four gates (4 E).
"""

import keras
from keras import ops

from cir_tf.encoders.base import TextEncoder
from cir_tf.layers import TorchDense
from cir_tf.tokenizers import WordTokenizer
from cir_tf.types import Features


class TextLSTM(TextEncoder):
    """The state of an LSTM at the last word, through dropout and a dense layer.

    i, f, g, o = split(W_ih e_t + b_ih + W_hh h + b_hh);  c = sigmoid(f) c + sigmoid(i) tanh(g);
    h = sigmoid(o) tanh(c);  phi_t = dense(dropout(h at the last true word)).

    Both biases are variables, as in PyTorch: with one, their sum would learn at half the speed.

    Args:
        assets: {"vocabulary.txt": one word per line}, see `make_assets`.
        width: E.
        dropout: rate, of the state before the dense layer.
        empty_reads_padding: how a text without words is read: False, as the zero state; True, as published, at the
            last padded step (the published code indexes with length - 1 = -1, and padding is word 0).

    Reference: Vo et al., CVPR 2019, section 3, and the released text encoder.
    """

    def __init__(self, assets, width=512, dropout=0.1, empty_reads_padding=False, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = WordTokenizer(assets["vocabulary.txt"].split())
        self.width = width
        self.empty_reads_padding = empty_reads_padding
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.embedding = keras.layers.Embedding(
            self.tokenizer.size, width, embeddings_initializer=normal, name="embedding"
        )
        self.input_gates = TorchDense(4 * width, name="input_gates")
        self.recurrence = keras.layers.RNN(_Cell(width, name="cell"), return_sequences=True, name="lstm")
        self.dropout = keras.layers.Dropout(dropout)
        self.dense = TorchDense(width, name="dense")

    @classmethod
    def make_assets(cls, texts):
        return {"vocabulary.txt": "".join(f"{word}\n" for word in WordTokenizer.from_texts(texts).vocabulary)}

    def call(self, ids_BL, insert_BSE=None, training=False):
        if insert_BSE is not None:
            raise ValueError(
                "This encoder has no placeholder for pseudo-words. Received: insert_BSE. "
                "Use a text encoder of a CLIP kind with a compositor that fuses tokens."
            )
        mask_BL = ids_BL >= 0
        gates_BLG = self.input_gates(self.embedding(ops.maximum(ids_BL, 0)))
        state_BLE = self.recurrence(gates_BLG)
        last_BE = self.dropout(self._last(state_BLE, mask_BL), training=training)
        return Features(pooled_BE=self.dense(last_BE), tokens_BLE=state_BLE, mask_BL=mask_BL)

    def _last(self, state_BLE, mask_BL):
        steps = ops.shape(mask_BL)[1]
        last_B = ops.sum(ops.cast(mask_BL, "int32"), axis=1) - 1
        if self.empty_reads_padding:
            last_B = last_B % steps
        is_last_BL = ops.arange(steps, dtype="int32") == last_B[:, None]  # nowhere in an empty text: the zero state
        return ops.sum(state_BLE * ops.cast(is_last_BL, state_BLE.dtype)[:, :, None], axis=1)


class _Cell(keras.layers.Layer):
    """One LSTM step whose input is the input's share of the gates, computed for all words at once before."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [width, width]
        self.output_size = width
        self.state_gates = TorchDense(4 * width, name="state_gates")

    def build(self, input_shape):
        self.state_gates.build((None, self.output_size))

    def call(self, gates_BG, states):
        state_BE, cell_BE = states
        i, f, g, o = ops.split(gates_BG + self.state_gates(state_BE), 4, axis=-1)
        cell_BE = ops.sigmoid(f) * cell_BE + ops.sigmoid(i) * ops.tanh(g)
        state_BE = ops.sigmoid(o) * ops.tanh(cell_BE)
        return state_BE, [state_BE, cell_BE]


build = TextLSTM
