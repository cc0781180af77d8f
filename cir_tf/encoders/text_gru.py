"""VAL's text encoder: words, one LSTM or GRU, the maximum over time, one normalised projection.

Dimension key: B batch, L words, W width of a word, H width of the state, E tower width, G gates, V vocabulary.
"""

import keras
import numpy as np
from keras import ops

from cir_tf import glove
from cir_tf.encoders.base import TextEncoder, read_text, refuse_pseudo_words
from cir_tf.layers import BatchNorm, truncated_normal
from cir_tf.treebank import TreebankTokenizer
from cir_tf.types import Features

CELLS = ("lstm", "gru")


class TextGRU(TextEncoder):
    """max over time of a recurrent network's outputs, through dropout, a dense layer without bias and batch norm.

    The initial states are trained. A text without words has outputs of zero.

    Args:
        assets: {"vocabulary.txt": a word, a tab and its count per line}, see `make_assets`.
        width: E.
        cell: "lstm" or "gru". What TensorFlow 1 adds to the LSTM's forget gate, 1, is where its bias starts here.
        word_width: W; VAL: 300 with GloVe, else 512.
        state_width: H.
        bidirectional: two networks of half the state, of which one reads backwards.
        dropout: rate, of the maximum before the projection.
        norm_momentum, norm_epsilon: of the batch normalisation; VAL: 0.997 and 1e-5, with MobileNet 0.9997 and 1e-3.
        stddev: of the projection's first weights, as in `layers.truncated_normal`; VAL with MobileNet: 0.09.
        padding_in_max: True, as published: in training, a text shorter than the longest of its batch takes the
            maximum with zero as well.
        unknown_singles: True, as published for FashionIQ: outside training, a word that stood once in the
            training texts is the unknown word.
        word_vectors: a GloVe file that the words start from when a run begins, see `start_from_glove`.

    Raises:
        ValueError: no such cell, or a state that two directions cannot share.

    Reference: Chen et al., CVPR 2020 (VAL), and its released code.
    """

    def __init__(
        self,
        assets,
        width=512,
        cell="lstm",
        word_width=512,
        state_width=1024,
        bidirectional=False,
        dropout=0.1,
        norm_momentum=0.997,
        norm_epsilon=1e-5,
        stddev=None,
        padding_in_max=False,
        unknown_singles=False,
        word_vectors="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        directions = ("forward", "backward")[: 1 + bidirectional]
        if cell not in CELLS or state_width % len(directions):
            raise ValueError(
                f"Cells are {' and '.join(CELLS)}, and directions share the state equally. "
                f"Received: cell={cell!r}, state_width={state_width}, bidirectional={bidirectional}."
            )
        lines = [line.split("\t") for line in assets["vocabulary.txt"].split("\n") if line]
        self.tokenizer = TreebankTokenizer([word for word, _ in lines])
        self._is_single_V = np.array([False, *(int(count) < 2 for _, count in lines)])
        self.width, self.word_width = width, word_width
        self.padding_in_max, self.unknown_singles, self.word_vectors = padding_in_max, unknown_singles, word_vectors
        self.embedding = keras.layers.Embedding(
            self.tokenizer.size, word_width, embeddings_initializer="glorot_uniform", name="embedding"
        )
        self.directions = [_Direction(cell, state_width // len(directions), name=name) for name in directions]
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        start = truncated_normal(stddev)
        self.dense = keras.layers.Dense(width, use_bias=False, kernel_initializer=start, name="dense")
        self.norm = BatchNorm(norm_epsilon, norm_momentum, name="norm")

    @classmethod
    def make_assets(cls, texts):
        counts = TreebankTokenizer.count(texts)
        return {"vocabulary.txt": "".join(f"{word}\t{count}\n" for word, count in counts.items())}

    @classmethod
    def read_assets(cls, path):
        """A word per line, with a tab and its count, or without: then it counts as one that stood there often."""
        lines = [line.partition("\t") for line in read_text(path, "vocabulary.txt").splitlines() if line]
        return {"vocabulary.txt": "".join(f"{word}\t{count or 2}\n" for word, _, count in lines)}

    def start(self):
        if self.word_vectors:
            known = self.start_from_glove(self.word_vectors, seed=int(np.random.randint(2**31)))
            print(f"{known} of {len(self.tokenizer.vocabulary)} words start from {self.word_vectors}")

    def start_from_glove(self, path, cache="", seed=0):
        """Word vectors of a GloVe file; those of words it does not have are drawn from N(0, 0.09^2), as published.

        Args:
            path, cache: as in `glove.read`.
            seed: of the drawing.

        Returns:
            How many words of the vocabulary the file has.
        """
        if not self.embedding.built:
            self.embedding.build((None, None))
        vectors_VW, known_V = glove.read(path, self.tokenizer.vocabulary, self.word_width, cache)
        table = np.random.default_rng(seed).normal(0, 0.09, (self.tokenizer.size, self.word_width))
        table[1:][known_V] = vectors_VW[known_V]
        self.embedding.embeddings.assign(table)
        return int(known_V.sum())

    def call(self, ids_BL, insert_BSE=None, training=False):
        refuse_pseudo_words(insert_BSE)
        mask_BL = ids_BL >= 0
        word_BL = ops.maximum(ids_BL, 0)
        if self.unknown_singles and not training:
            word_BL = ops.where(ops.take(self._is_single_V, word_BL), 0, word_BL)
        word_BLW = self.embedding(word_BL)
        backward_BL = _backward(mask_BL)
        outputs = [self.directions[0](word_BLW)]
        if len(self.directions) > 1:
            outputs.append(_reordered(self.directions[1](_reordered(word_BLW, backward_BL)), backward_BL))
        real_BL1 = mask_BL[:, :, None]
        state_BLH = ops.where(real_BL1, ops.concatenate(outputs, axis=-1), 0)
        if self.padding_in_max and training:
            pooled_BH = ops.max(state_BLH, axis=1)
        else:
            pooled_BH = ops.max(ops.where(real_BL1, state_BLH, -np.inf), axis=1)
            pooled_BH = ops.where(ops.any(real_BL1, axis=1), pooled_BH, 0)
        pooled_BE = self.norm(self.dense(self.dropout(pooled_BH, training=training)), training=training)
        return Features(pooled_BE=pooled_BE, tokens_BLE=state_BLH, mask_BL=mask_BL)


class _Direction(keras.layers.Layer):
    """The states of one network over texts, [B, L, W] -> [B, L, H], from initial states that are trained."""

    def __init__(self, cell, width, **kwargs):
        super().__init__(**kwargs)
        self.cell, self.width = cell, width

    def build(self, shape):
        columns = 4 if self.cell == "lstm" else 2  # of the matrix [W + H, columns H] that TensorFlow 1 starts as one
        uniform = keras.initializers.RandomUniform(*(sign * _limit(shape[-1], self.width, columns) for sign in (-1, 1)))
        common = {"return_sequences": True, "kernel_initializer": uniform, "recurrent_initializer": uniform}
        common["dtype"] = self.dtype_policy  # whatever the policy is by now
        if self.cell == "lstm":
            self.network = keras.layers.LSTM(self.width, name="network", **common)
        else:
            self.network = keras.layers.GRU(
                self.width, reset_after=False, bias_initializer=_gate_bias, name="network", **common
            )
        self.network.build(shape)
        names = ("state", "memory") if self.cell == "lstm" else ("state",)
        self.initial = [
            self.add_weight(name=f"initial_{name}", shape=(self.width,), initializer="glorot_uniform") for name in names
        ]

    def call(self, word_BLW):
        shape = (ops.shape(word_BLW)[0], self.width)
        states = [ops.broadcast_to(ops.cast(initial, word_BLW.dtype), shape) for initial in self.initial]
        return self.network(word_BLW, initial_state=states)


def _limit(inputs, width, columns):
    return (6 / (inputs + width + columns * width)) ** 0.5


def _gate_bias(shape, dtype=None):
    """TensorFlow 1 starts the GRU's gates open: 1 for the two gates, 0 for the candidate."""
    width = shape[0] // 3
    return ops.concatenate([ops.ones((2 * width,), dtype), ops.zeros((width,), dtype)])


def _backward(mask_BL):
    """The order in which each text is read from its last word to its first; padding stays behind."""
    place_L = ops.arange(mask_BL.shape[1] or ops.shape(mask_BL)[1], dtype="int32")
    count_B1 = ops.sum(ops.cast(mask_BL, "int32"), axis=1, keepdims=True)
    return ops.where(place_L < count_B1, count_B1 - 1 - place_L, place_L)


def _reordered(x_BLW, order_BL):
    return ops.take_along_axis(x_BLW, order_BL[:, :, None], axis=1)


build = TextGRU
