"""The layers of BERT, which the Q-Former shares.

Dimension key: B batch, L text tokens, M tokens that are asked, S pseudo-words, E width.
"""

import keras
from keras import ops

from cir_tf.layers import at_least_float32
from cir_tf.transformer import Attention, gelu

EPSILON = 1e-12
STDDEV = 0.02  # of all first weights
HIDDEN = -10000.0  # what the published models add to the scores of padding


def start():
    """How all weights of a BERT start: N(0, 0.02^2)."""
    return keras.initializers.RandomNormal(stddev=STDDEV)


def mask_bias(mask_BM):
    """What attention adds to its scores so that padding is not seen: float32 [B, 1, 1, M], 0 or -10000.

    Args:
        mask_BM: bool or 0/1, True where a token is real.
    """
    return (1 - ops.cast(mask_BM, "float32"))[:, None, None, :] * HIDDEN


class TextEmbedding(keras.layers.Layer):
    """word + position (+ type 0), before the normalisation that follows it.

    Args:
        vocabulary_size: rows of the table of words.
        length: rows of the table of positions: the longest text.
        width: E.
        use_types: whether there is a table of two types; a lone text is of type 0.
    """

    def __init__(self, vocabulary_size, length, width, use_types, **kwargs):
        super().__init__(**kwargs)
        self.length, self.width, self.use_types, self.types = length, width, use_types, None
        self.words = keras.layers.Embedding(vocabulary_size, width, embeddings_initializer=start(), name="words")

    def build(self, ids_shape):
        self.words.build(ids_shape)
        self.positions = self.add_weight(name="positions", shape=(self.length, self.width), initializer=start())
        if self.use_types:
            self.types = self.add_weight(name="types", shape=(2, self.width), initializer=start())

    def call(self, ids_BL, insert_BSE=None, placeholder=None):
        """The embeddings, [B, L, E].

        Args:
            ids_BL: int32; padding is negative and reads word 0, as published.
            insert_BSE: pseudo-words: the first placeholder of a text becomes the first of them, and so on; further
                placeholders or pseudo-words are left alone. Or None.
            placeholder: id of the word they stand in for.

        Raises:
            ValueError: a text longer than the positions.
        """
        count = ops.shape(ids_BL)[1]
        if isinstance(count, int) and count > self.length:
            raise ValueError(f"A text has at most {self.length} tokens. Received: {count}. Cut the texts.")
        embedding_BLE = self.words(ops.maximum(ids_BL, 0))
        if insert_BSE is not None:
            embedding_BLE = _inserted(embedding_BLE, ids_BL == placeholder, insert_BSE)
        embedding_BLE = embedding_BLE + ops.cast(self.positions[:count], embedding_BLE.dtype)
        return embedding_BLE if self.types is None else embedding_BLE + ops.cast(self.types[0], embedding_BLE.dtype)


def _inserted(embedding_BLE, is_placeholder_BL, insert_BSE):
    place_BL = ops.cumsum(ops.cast(is_placeholder_BL, "int32"), axis=1) - 1
    is_placeholder_BL = is_placeholder_BL & (place_BL < insert_BSE.shape[1])
    slot_BLS = ops.one_hot(place_BL, insert_BSE.shape[1], dtype=embedding_BLE.dtype)
    inserted_BLE = ops.matmul(slot_BLS, ops.cast(insert_BSE, slot_BLS.dtype))
    return ops.where(is_placeholder_BL[:, :, None], inserted_BLE, embedding_BLE)


class PostNormAttention(Attention):
    """norm(x + dropout(Attention(x, memory))).

    Args:
        width: E.
        heads: as in `Attention`.
        dropout: rate, of the attention weights and of the result.
    """

    def __init__(self, width, heads, dropout, **kwargs):
        super().__init__(width, heads, dropout=dropout, stddev=STDDEV, output_stddev=STDDEV, **kwargs)
        self.output_dropout = keras.layers.Dropout(dropout, name="output_dropout")
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm")

    def build(self, query_shape, memory_shape=None):
        super().build(query_shape, memory_shape)
        self.norm.build(query_shape)

    def call(self, query_BLE, memory_BME=None, bias=None, training=False):
        """The tokens after the layer, [B, L, E]; arguments as in `Attention`."""
        bias = None if bias is None else at_least_float32(bias)  # Keras has cast it on its way into the layer
        change_BLE = super().call(query_BLE, memory_BME, bias=bias, training=training)
        return self.norm(query_BLE + self.output_dropout(change_BLE, training=training))


class PostNormMLP(keras.layers.Layer):
    """norm(x + dropout(out(gelu(in(x))))).

    Args:
        width: E.
        hidden_width: of the hidden layer.
        dropout: rate, of the result.
    """

    def __init__(self, width, hidden_width, dropout, **kwargs):
        super().__init__(**kwargs)
        self.hidden_width = hidden_width
        self.dense_in = keras.layers.Dense(hidden_width, kernel_initializer=start(), name="in")
        self.dense_out = keras.layers.Dense(width, kernel_initializer=start(), name="out")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm")

    def build(self, shape):
        self.dense_in.build(shape)
        self.dense_out.build((*shape[:-1], self.hidden_width))
        self.norm.build(shape)

    def call(self, x_BLE, training=False):
        """The tokens after the layer, [B, L, E]."""
        change_BLE = self.dense_out(gelu(self.dense_in(x_BLE)))
        return self.norm(x_BLE + self.dropout(change_BLE, training=training))
