"""Strings to numbers in the graph, without a lookup table: a table is a resource that every export would have to track.

Dimension key: T strings.
"""

import functools

import numpy as np

_BUCKETS = 2**62


class Lookup:
    """The position of a string in a list.

    Args:
        strings: sequence of str, each once and none of them empty.

    Raises:
        ValueError: a string that is empty or appears twice.
    """

    def __init__(self, strings):
        self.strings = tuple(strings)
        if len(set(self.strings)) != len(self.strings) or "" in self.strings:
            wrong = sorted({each for each in self.strings if not each or self.strings.count(each) > 1})
            raise ValueError(f"Every string must appear once and be one. Received: {wrong[:3]}. Remove the copies.")

    def find(self, strings):
        """Where each string stands, -1 where it stands nowhere; int32, shaped like `strings`; core TensorFlow only."""
        import tensorflow as tf

        hashes, positions = self._sorted_hashes
        string_T = tf.reshape(strings, [-1])
        place_T = tf.searchsorted(hashes, tf.strings.to_hash_bucket_fast(string_T, _BUCKETS))
        found_T = tf.gather(positions, tf.minimum(place_T, len(self.strings)))
        known_T = (tf.gather([*self.strings, ""], found_T) == string_T) & (string_T != "")
        return tf.reshape(tf.where(known_T, found_T, -1), tf.shape(strings))

    @functools.cached_property
    def _sorted_hashes(self):
        import tensorflow as tf

        with tf.init_scope():
            hashes = tf.strings.to_hash_bucket_fast([*self.strings, ""], _BUCKETS).numpy()
        positions = np.argsort(hashes).astype(np.int32)
        return hashes[positions], positions
