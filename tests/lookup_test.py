import numpy as np
import pytest
import tensorflow as tf

from cir_tf.lookup import Lookup


def test_positions_of_strings_in_any_shape():
    lookup = Lookup([f"word {i}" for i in range(1000)])
    np.testing.assert_array_equal(lookup.find(tf.constant(["word 999", "word", "word 0"])), [999, -1, 0])
    np.testing.assert_array_equal(lookup.find(tf.constant([["", "word 7"], ["word 8", "Word 8"]])), [[-1, 7], [8, -1]])


def test_an_empty_list_finds_nothing():
    np.testing.assert_array_equal(Lookup([]).find(tf.constant(["a", ""])), [-1, -1])


def test_copies_and_empty_strings_are_refused():
    with pytest.raises(ValueError, match="'red'"):
        Lookup(["red", "blue", "red"])
    with pytest.raises(ValueError, match="''"):
        Lookup(["red", ""])
