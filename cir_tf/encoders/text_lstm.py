"""TIRG's text encoder: words, one LSTM, one dense layer.

Dimension key: B batch, E width of embedding, state and output, L text tokens, G the four gates (4 E).
"""

import keras
from keras import ops

from cir_tf.encoders.base import TextEncoder, read_text, refuse_pseudo_words
from cir_tf.layers import TorchDense
from cir_tf.recurrent import LSTMCell, state_at
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
        self.recurrence = keras.layers.RNN(LSTMCell(width, name="cell"), return_sequences=True, name="lstm")
        self.dropout = keras.layers.Dropout(dropout)
        self.dense = TorchDense(width, name="dense")

    @classmethod
    def make_assets(cls, texts):
        return {"vocabulary.txt": "".join(f"{word}\n" for word in WordTokenizer.from_texts(texts).vocabulary)}

    @classmethod
    def read_assets(cls, path):
        return {"vocabulary.txt": read_text(path, "vocabulary.txt")}

    def call(self, ids_BL, insert_BSE=None, training=False):
        refuse_pseudo_words(insert_BSE)
        mask_BL = ids_BL >= 0
        gates_BLG = self.input_gates(self.embedding(ops.maximum(ids_BL, 0)))
        state_BLE = self.recurrence(gates_BLG)
        last_BE = self.dropout(self._last(state_BLE, mask_BL), training=training)
        return Features(pooled_BE=self.dense(last_BE), tokens_BLE=state_BLE, mask_BL=mask_BL)

    def _last(self, state_BLE, mask_BL):
        last_B = ops.sum(ops.cast(mask_BL, "int32"), axis=1) - 1  # of an empty text -1: the zero state
        if self.empty_reads_padding:
            last_B = last_B % ops.shape(mask_BL)[1]
        return state_at(state_BLE, last_B)


build = TextLSTM
