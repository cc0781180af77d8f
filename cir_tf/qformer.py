"""BLIP-2's Q-Former: learned queries that read an image, a text, or both together.

Dimension key: B batch, Q queries, L text tokens, M image tokens, E width of queries and text, V width of the image.
"""

import keras
from keras import ops

from cir_tf.bert import EPSILON, PostNormAttention, PostNormMLP, TextEmbedding, mask_bias, start

SIZES = {
    "width": 768,
    "heads": 12,
    "layers": 12,
    "mlp_width": 3072,
    "queries": 32,
    "cross_every": 2,
    "positions": 512,
    "vocabulary_size": 30523,  # BERT's 30522 and the [DEC] of the pre-training
    "dropout": 0.1,
}


class QFormer(keras.layers.Layer):
    """A BERT whose first tokens are learned queries that look at an image in every second layer.

    Queries and text attend to each other; then each has a feed-forward branch of its own.
    Three modes, by what is given: image (queries alone), text (a plain BERT), multimodal (both).

    Args:
        image_width: V.
        sizes: other values for the fields of `SIZES`; `vocabulary_size=0` leaves out all that only texts need.

    Raises:
        ValueError: a field that `SIZES` does not have.

    Reference: Li et al., ICML 2023 (arXiv 2301.12597), section 3.1.
    """

    def __init__(self, image_width, name="qformer", **sizes):
        super().__init__(name=name)
        unknown = set(sizes) - set(SIZES)
        if unknown:
            raise ValueError(f"A size has the fields {', '.join(SIZES)}. Received: {', '.join(sorted(unknown))}.")
        size = {**SIZES, **sizes}
        self.width, self.image_width, self.query_count = size["width"], image_width, size["queries"]
        words = size["vocabulary_size"]
        self.text = TextEmbedding(words, size["positions"], self.width, False, name="text") if words else None
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm")
        self.dropout = keras.layers.Dropout(size["dropout"], name="dropout")
        common = {key: size[key] for key in ("width", "heads", "mlp_width", "dropout")}
        self.blocks = [
            _Block(image_width if i % size["cross_every"] == 0 else 0, bool(words), **common, name=f"block_{i}")
            for i in range(size["layers"])
        ]

    def build(self, *shapes):
        """Build all of it: a call in one mode would leave out what the others need."""
        self.queries = self.add_weight(name="queries", shape=(self.query_count, self.width), initializer=start())
        if self.text:
            self.text.build((None, None))
        for layer in (self.norm, *self.blocks):
            layer.build((None, None, self.width))

    def call(self, image_BMV=None, ids_BL=None, training=False):
        """(queries [B, Q, E], text [B, L, E]) of the last layer; None for what was not asked.

        Args:
            image_BMV: tokens of the image; None: text mode.
            ids_BL: int32, padding is negative; None: image mode.
            training: whether dropout is on.
        """
        query_BQE = text_BLE = None
        batch = ops.shape(image_BMV if ids_BL is None else ids_BL)[0]
        masks = []
        if image_BMV is not None:
            queries_QE = ops.cast(self.queries, self.compute_dtype)
            query_BQE = self._start(ops.broadcast_to(queries_QE, (batch, *self.queries.shape)), training)
            masks.append(ops.ones((batch, self.query_count), "bool"))
        if ids_BL is not None:
            text_BLE = self._start(self.text(ids_BL), training)
            masks.append(ids_BL >= 0)
        bias = None if ids_BL is None else mask_bias(ops.concatenate(masks, axis=1))
        for block in self.blocks:
            query_BQE, text_BLE = block(query_BQE, text_BLE, image_BMV, bias, training=training)
        return query_BQE, text_BLE

    def _start(self, x, training):
        return self.dropout(self.norm(x), training=training)


class _Block(keras.layers.Layer):
    """Attention over queries and text; the queries' look at the image; a feed-forward branch for each."""

    def __init__(self, image_width, use_text, width, heads, mlp_width, dropout, **kwargs):
        super().__init__(**kwargs)
        self.image_width = image_width
        self.attention = PostNormAttention(width, heads, dropout, name="attention")
        self.cross_attention = PostNormAttention(width, heads, dropout, name="cross_attention") if image_width else None
        self.query_mlp = PostNormMLP(width, mlp_width, dropout, name="query_mlp")
        self.text_mlp = PostNormMLP(width, mlp_width, dropout, name="text_mlp") if use_text else None

    def build(self, shape):
        self.attention.build(shape)
        if self.cross_attention:
            self.cross_attention.build(shape, (None, None, self.image_width))
        for mlp in filter(None, (self.query_mlp, self.text_mlp)):
            mlp.build(shape)

    def call(self, query_BQE, text_BLE, image_BMV, bias, training=False):
        if query_BQE is None:
            return None, self.text_mlp(self.attention(text_BLE, bias=bias, training=training), training=training)
        both = query_BQE if text_BLE is None else ops.concatenate([query_BQE, text_BLE], axis=1)
        both = self.attention(both, bias=bias, training=training)
        count = ops.shape(query_BQE)[1]
        query_BQE = both[:, :count]
        if self.cross_attention:
            query_BQE = self.cross_attention(query_BQE, image_BMV, training=training)
        query_BQE = self.query_mlp(query_BQE, training=training)
        return query_BQE, None if text_BLE is None else self.text_mlp(both[:, count:], training=training)
