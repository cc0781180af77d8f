"""BERT, and the text mode of BLIP-2's Q-Former, which is a BERT without types.

Dimension key: B batch, L text tokens, S pseudo-words, E width.
"""

import keras

from cir_tf.bert import EPSILON, PostNormAttention, PostNormMLP, TextEmbedding, mask_bias
from cir_tf.encoders._images import fields
from cir_tf.encoders.base import TextEncoder, read_text
from cir_tf.types import Features
from cir_tf.wordpiece import WordPieceTokenizer

_BASE = {"width": 768, "heads": 12, "layers": 12, "mlp_width": 3072, "positions": 512}
VARIANTS = {
    "bert_base": {**_BASE, "use_types": True, "spare_words": 0},
    "blip2": {**_BASE, "use_types": False, "spare_words": 1},  # the [DEC] of its pre-training stands in no text
}


class TextBert(TextEncoder):
    """Post-norm transformer over word pieces; pooled is [CLS], `maps` are the taps [B, L, E], from shallow to deep.

    x_0 = dropout(norm(word + position + type)); x_k = mlp_k(attention_k(x_{k-1})), each norm(x + dropout(change)).

    Args:
        assets: {"vocabulary.txt": one word piece per line}; a published vocabulary, or see `make_assets`.
        variant: a key of `VARIANTS`.
        taps: layers whose outputs are returned too, counted from 1; ComqueryFormer: (10, 11, 12).
        max_length: longest text in word pieces with [CLS] and [SEP], the rest is cut; 0: as many as positions.
        dropout: rate.
        sizes: other values for the fields of the variant.

    Raises:
        ValueError: no such variant, field or layer, or a vocabulary without the special pieces.

    Reference: Devlin et al., NAACL 2019 (arXiv 1810.04805). KerasHub's BERT has the approximate GELU and no taps.
    """

    def __init__(self, assets, variant="bert_base", taps=(), max_length=0, dropout=0.1, name="text_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        if not all(1 <= tap <= size["layers"] for tap in taps) or max_length > size["positions"]:
            raise ValueError(
                f"Taps are layers, and a text fits the positions. Received: taps={taps}, max_length={max_length}. "
                f"Use 1..{size['layers']}, and at most {size['positions']}."
            )
        self.tokenizer = WordPieceTokenizer(assets["vocabulary.txt"].split("\n"), max_length or size["positions"])
        self.width, self.taps = size["width"], tuple(taps)
        rows = self.tokenizer.size + size["spare_words"]
        self.embedding = TextEmbedding(rows, size["positions"], self.width, size["use_types"], name="embedding")
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="norm")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.blocks = [
            _Block(self.width, size["heads"], size["mlp_width"], dropout, name=f"block_{i}")
            for i in range(size["layers"])
        ]

    @classmethod
    def make_assets(cls, texts):
        return {"vocabulary.txt": "\n".join(WordPieceTokenizer.vocabulary_of(texts))}

    @classmethod
    def read_assets(cls, path):
        return {"vocabulary.txt": read_text(path, "vocab.txt", "vocabulary.txt")}

    def build(self, ids_shape):
        self.embedding.build((None, None))
        for layer in (self.norm, *self.blocks):
            layer.build((None, None, self.width))

    def call(self, ids_BL, insert_BSE=None, training=False):
        placeholder = None if insert_BSE is None else self.tokenizer.id_of("*")
        x_BLE = self.embedding(ids_BL, insert_BSE=insert_BSE, placeholder=placeholder)
        x_BLE = self.dropout(self.norm(x_BLE), training=training)
        mask_BL = ids_BL >= 0
        bias, states = mask_bias(mask_BL), [x_BLE]
        for block in self.blocks:
            states.append(block(states[-1], bias, training=training))
        maps = tuple(states[tap] for tap in self.taps)
        return Features(states[-1][:, 0], states[-1], mask_BL, maps, ids_BL)


class _Block(keras.layers.Layer):
    def __init__(self, width, heads, mlp_width, dropout, **kwargs):
        super().__init__(**kwargs)
        self.attention = PostNormAttention(width, heads, dropout, name="attention")
        self.mlp = PostNormMLP(width, mlp_width, dropout, name="mlp")

    def build(self, shape):
        self.attention.build(shape)
        self.mlp.build(shape)

    def call(self, x_BLE, bias, training=False):
        return self.mlp(self.attention(x_BLE, bias=bias, training=training), training=training)


build = TextBert
