"""TIRG's word tokenizer, in the graph.

Dimension key: B or N texts, L words.
"""

import functools
import string

import numpy as np

_PUNCTUATION = "[" + "".join("\\" + mark for mark in string.punctuation) + "]"
_BUCKETS = 2**62


class WordTokenizer:
    """Words to ids: drop non-ASCII characters, lower, delete punctuation, split on white space.

    Id 0 is any unknown word, id i + 1 is word i of the vocabulary, -1 is padding. Punctuation is deleted, not
    replaced by a space: "knee-length" is the word "kneelength".

    Args:
        vocabulary: the words, each once.

    Raises:
        ValueError: a word appears twice.

    Reference: Vo et al., CVPR 2019, released code. Differs from it in padding: the released code pads with 0, so
    that an unknown word at the end cannot be told from padding without the length.
    """

    unknown_id = 0

    def __init__(self, vocabulary):
        self.vocabulary = tuple(vocabulary)
        self.size = len(self.vocabulary) + 1
        if len(set(self.vocabulary)) + 1 != self.size:
            twice = sorted({word for word in self.vocabulary if self.vocabulary.count(word) > 1})
            raise ValueError(f"Every word must appear once. Received: {twice[:3]} more than once. Remove the copies.")

    @classmethod
    def from_texts(cls, texts):
        """The tokenizer of all words of some texts, in alphabetical order.

        Args:
            texts: iterable of str.
        """
        words = _split(list(texts)).flat_values.numpy()
        return cls(sorted({word.decode("ascii") for word in words}))

    def tokenize(self, texts):
        """Ids of the words, int32 [N, L], L the longest text's number of words (at least 1), padded with -1.

        Args:
            texts: list of str.
        """
        return self.in_graph(list(texts)).numpy()

    def in_graph(self, text_B):
        """The same as `tokenize` for a tensor of strings [B]; core TensorFlow only and free of resources."""
        import tensorflow as tf

        # A lookup table is a resource that every export would have to track; searching sorted hashes is not.
        hashes, ids = self._sorted_hashes
        words = _split(text_B)
        place = tf.searchsorted(hashes, tf.strings.to_hash_bucket_fast(words.flat_values, _BUCKETS))
        found = tf.gather(ids, tf.minimum(place, self.size - 1))
        known = tf.gather(self._table, found) == words.flat_values
        ids_BL = words.with_flat_values(tf.where(known, found, 0)).to_tensor(default_value=-1)
        ids_BL = tf.pad(ids_BL, [[0, 0], [0, tf.maximum(1 - tf.shape(ids_BL)[1], 0)]], constant_values=-1)
        return tf.ensure_shape(ids_BL, [words.shape[0], None])

    @property
    def _table(self):
        return ("", *self.vocabulary)  # no word is empty, so that row 0 is never found

    @functools.cached_property
    def _sorted_hashes(self):
        import tensorflow as tf

        with tf.init_scope():
            hashes = tf.strings.to_hash_bucket_fast(self._table, _BUCKETS).numpy()
        ids = np.argsort(hashes).astype(np.int32)
        return hashes[ids], ids


def _split(texts):
    import tensorflow as tf

    texts = tf.convert_to_tensor(texts, tf.string)
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="ignore")
    texts = tf.strings.lower(tf.strings.regex_replace(texts, r"[^\x00-\x7F]", ""))
    texts = tf.strings.regex_replace(texts, _PUNCTUATION, "")
    # Python's notion of white space, which has four separators more than TensorFlow's.
    return tf.strings.split(tf.strings.regex_replace(texts, r"[\x1c-\x1f]", " "))
