"""CLIP's text tower: a causal transformer read at the end of the text.

Dimension key: B batch, L text tokens, S pseudo-words, E width of the tokens, D of the shared embedding.
"""

import keras
import numpy as np
from keras import ops

from cir_tf.bpe import BytePairTokenizer, read_merges
from cir_tf.encoders._clip import activation as activation_of
from cir_tf.encoders._images import fields
from cir_tf.encoders.base import TextEncoder
from cir_tf.transformer import PreNormBlock
from cir_tf.types import Features

SMALL = {"token_width": 512, "heads": 8, "layers": 12, "context": 77}
VARIANTS = {
    "RN50": {**SMALL, "width": 1024},
    "RN50x4": {**SMALL, "token_width": 640, "heads": 10, "width": 640},
    "ViT-B/32": {**SMALL, "width": 512},
    "ViT-B/16": {**SMALL, "width": 512},
    "ViT-L/14": {**SMALL, "token_width": 768, "heads": 12, "width": 768},
}


class TextCLIP(TextEncoder):
    """Token and position embeddings, L pre-norm blocks with a causal mask, the projected token of the end of the text.

    The end is the first of the largest ids; what stands behind it has no influence. `pooled_BE` is [B, D] and not of
    unit length; `tokens_BLE` [B, L, E] are those after the last layer normalisation; `mask_BL` ends with the end.
    Pseudo-words `insert_BSE` are of the width of the tokens; the first of a row replaces the embedding of the row's
    first placeholder (the word `*`), and so on; further placeholders or pseudo-words are left alone.

    Args:
        assets: files of the tokenizer, see `make_assets` and `cir_tf.bpe`.
        variant: a name of `VARIANTS`.
        vocabulary: rows of the token table; None: as many as the tokenizer has ids.
        activation: "quick_gelu", as in OpenAI's models, or "gelu".
        sizes: other values for the fields of the variant: token_width (E), heads, layers, context (the largest L),
            width (D).

    Raises:
        ValueError: no such variant, size or activation, or a table that is not this tokenizer's; in a call, more tokens
            than the context has.

    Reference: Radford et al., ICML 2021, and the released code.
    """

    def __init__(
        self,
        assets,
        variant="ViT-B/32",
        vocabulary=None,
        activation="quick_gelu",
        name="text_encoder",
        **sizes,
    ):
        super().__init__(name=name)
        sizes = fields(VARIANTS, variant, **sizes)
        self.width, self.token_width, self.context = sizes["width"], sizes["token_width"], sizes["context"]
        self.tokenizer = BytePairTokenizer(assets, self.context)
        if vocabulary and vocabulary > self.tokenizer.size:
            raise ValueError(
                f"Every row of the table is an id of the tokenizer. Received: vocabulary={vocabulary}, a tokenizer of "
                f"{self.tokenizer.size} ids. Name the merges that came with the weights: tokenizer_file of the config."
            )
        self.placeholder_id = self.tokenizer.placeholder_id
        self.embedding = keras.layers.Embedding(
            vocabulary or self.tokenizer.size,
            self.token_width,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="embedding",
        )
        self.blocks = [
            PreNormBlock(
                self.token_width,
                sizes["heads"],
                4 * self.token_width,
                activation_of(activation),
                depth=sizes["layers"],
                name=f"block_{i}",
            )
            for i in range(sizes["layers"])
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        normal = keras.initializers.RandomNormal(stddev=self.token_width**-0.5)
        self.projection = keras.layers.Dense(self.width, use_bias=False, kernel_initializer=normal, name="projection")

    @classmethod
    def make_assets(cls, texts):
        """A tokenizer without merges, one token for each byte: what needs no published file."""
        return {"merges.txt": ""}

    @classmethod
    def read_assets(cls, path):
        return read_merges(path)

    def build(self, ids_shape):
        self.positional_embedding = self.add_weight(
            shape=(self.context, self.token_width),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            name="positional_embedding",
        )
        self.embedding.build((None, None))
        for layer in (*self.blocks, self.norm, self.projection):
            layer.build((None, None, self.token_width))

    def call(self, ids_BL, insert_BSE=None, training=False):
        length = ops.shape(ids_BL)[1]
        if isinstance(length, int) and length > self.context:
            raise ValueError(f"A text has at most {self.context} tokens. Received: {length}. Cut the texts.")
        tokens_BLE = self.embedding(ops.maximum(ids_BL, 0))
        if insert_BSE is not None:
            tokens_BLE = _replaced(tokens_BLE, ids_BL == self.placeholder_id, insert_BSE)
        tokens_BLE = tokens_BLE + ops.cast(self.positional_embedding[:length], tokens_BLE.dtype)
        place_L = ops.arange(length)
        bias_LL = ops.where(place_L[:, None] >= place_L, 0.0, -np.inf)
        for block in self.blocks:
            tokens_BLE = block(tokens_BLE, bias=bias_LL)
        tokens_BLE = self.norm(tokens_BLE)
        is_end_BL = ids_BL == ops.max(ids_BL, axis=1, keepdims=True)
        end_B1 = ops.sum(
            ops.cast(ops.cumsum(ops.cast(is_end_BL, "int32"), axis=1) == 0, "int32"), axis=1, keepdims=True
        )
        pooled_BE = ops.take_along_axis(tokens_BLE, end_B1[:, :, None], axis=1)[:, 0]
        return Features(self.projection(pooled_BE), tokens_BLE, mask_BL=place_L <= end_B1)


def _replaced(tokens_BLE, is_placeholder_BL, insert_BSE):
    """The tokens, the first placeholder of a row replaced by the row's first pseudo-word, and so on."""
    nth_BL = ops.cumsum(ops.cast(is_placeholder_BL, "int32"), axis=1) - 1
    count = insert_BSE.shape[1]
    chosen_BLE = ops.take_along_axis(insert_BSE, ops.clip(nth_BL, 0, count - 1)[:, :, None], axis=1)
    replace_BL = is_placeholder_BL & (nth_BL < count)
    return ops.where(replace_BL[:, :, None], ops.cast(chosen_BLE, tokens_BLE.dtype), tokens_BLE)


build = TextCLIP
