"""Plain word embeddings: no network reads the order of the words.

Dimension key: B batch, E width of a word, L text tokens.
"""

import keras
from keras import ops

from cir_tf.encoders.base import TextEncoder, read_text, refuse_pseudo_words
from cir_tf.tokenizers import WordTokenizer
from cir_tf.types import Features


class TextWords(TextEncoder):
    """The embeddings of the words, N(0, 1) at the start, and their mean.

    For compositors that read the words themselves, and for texts of one word, where pooled is one vector per word of
    the vocabulary. The mean does not know the order of the words.

    Args:
        assets: {"vocabulary.txt": one word per line}, see `make_assets`.
        width: E.
        empty_reads_padding: how a text without words is read: False, as the zero vector and no word; True, as
            `text_lstm` has it in published recipes, as the padding, which is the unknown word.

    Raises:
        ValueError: pseudo-words.
    """

    def __init__(self, assets, width=512, empty_reads_padding=False, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = WordTokenizer(assets["vocabulary.txt"].split())
        self.width = width
        self.empty_reads_padding = empty_reads_padding
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.embedding = keras.layers.Embedding(
            self.tokenizer.size, width, embeddings_initializer=normal, name="embedding"
        )

    @classmethod
    def make_assets(cls, texts):
        return {"vocabulary.txt": "".join(f"{word}\n" for word in WordTokenizer.from_texts(texts).vocabulary)}

    @classmethod
    def read_assets(cls, path):
        return {"vocabulary.txt": read_text(path, "vocabulary.txt")}

    def call(self, ids_BL, insert_BSE=None, training=False):
        refuse_pseudo_words(insert_BSE)
        if self.empty_reads_padding:
            is_first_L = ops.arange(ops.shape(ids_BL)[1]) == 0
            is_empty_B1 = ops.all(ids_BL < 0, axis=1, keepdims=True)
            ids_BL = ops.where(ops.logical_and(is_empty_B1, is_first_L), self.tokenizer.unknown_id, ids_BL)
        mask_BL = ids_BL >= 0
        word_BLE = self.embedding(ops.maximum(ids_BL, 0))
        is_word_BL1 = ops.cast(mask_BL, word_BLE.dtype)[:, :, None]
        count_B1 = ops.maximum(ops.sum(is_word_BL1, axis=1), 1)
        pooled_BE = ops.sum(word_BLE * is_word_BL1, axis=1) / count_B1
        return Features(pooled_BE=pooled_BE, tokens_BLE=word_BLE, mask_BL=mask_BL)


build = TextWords
