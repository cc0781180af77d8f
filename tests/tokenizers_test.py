import string

import numpy as np
import pytest
import tensorflow as tf

from cir_tf.tokenizers import WordTokenizer

CAPTIONS = ["Black mini-dress", "red Dress", "black top"]


def python_words(text):
    """The published tokenizer's four steps, in plain Python."""
    text = text.encode("ascii", "ignore").decode().lower()
    return text.translate(str.maketrans("", "", string.punctuation)).split()


def test_golden_vocabulary_and_ids():
    tokenizer = WordTokenizer.from_texts(CAPTIONS)
    assert tokenizer.vocabulary == ("black", "dress", "minidress", "red", "top")
    assert tokenizer.size == 6
    ids = tokenizer.tokenize(["replace black with red", *CAPTIONS])
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [[0, 1, 0, 4], [1, 3, -1, -1], [4, 2, -1, -1], [1, 5, -1, -1]])


HARD = [
    "",
    "   \t\n ",
    "?!... --- ''",
    "日本語 👩🏽‍🚒 é",
    "Café naïve — “quoted” dress’s",
    "emoji👩dress 👩 top",
    "tab\tbetween\nlines\r\nform\x0cfeed\x0bvertical",
    "unit\x1fseparator\x1cfile\x1dgroup\x1erecord",
    "no\u00a0break and\u2003em",
    "a\x00zero",
    string.punctuation.join("xyz"),
    "[a-z]^ \\d (b|c) $5",
    "ÀB İstanbul ẞ",
    "  leading and trailing  ",
    "word " * 300,
]


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_are_split_as_python_splits_them(text):
    words = python_words(text)
    tokenizer = WordTokenizer.from_texts([text])
    assert tokenizer.vocabulary == tuple(sorted(set(words)))
    expected = [tokenizer.vocabulary.index(word) + 1 for word in words] or [-1]
    assert tokenizer.tokenize([text]).tolist() == [expected]


def test_every_ascii_character():
    texts = [f"a{chr(code)}b" for code in range(128)]
    tokenizer = WordTokenizer.from_texts(texts)
    for text, ids in zip(texts, tokenizer.tokenize(texts), strict=True):
        assert [tokenizer.vocabulary[i - 1] for i in ids if i >= 0] == python_words(text)


def test_bytes_that_are_no_text_are_dropped():
    ids = WordTokenizer(["red", "top"]).in_graph(tf.constant([b"red\xff \xfe top\xc3"]))
    np.testing.assert_array_equal(ids, [[1, 2]])


def test_empty_vocabulary_and_empty_batches():
    np.testing.assert_array_equal(WordTokenizer(()).tokenize(["red dress", ""]), [[0, 0], [-1, -1]])
    assert WordTokenizer(["red"]).tokenize([]).shape == (0, 1)
    assert WordTokenizer(["red"]).tokenize(["", "!"]).tolist() == [[-1], [-1]]


def test_large_vocabulary_in_any_order():
    words = [f"w{i * 7919 % 5003}" for i in range(5003)]
    ids = WordTokenizer(words).tokenize([" ".join(words), "w5003 w0"])
    assert ids[0].tolist() == list(range(1, 5004))
    assert ids[1, :3].tolist() == [0, words.index("w0") + 1, -1]


def test_repeated_word_is_refused():
    with pytest.raises(ValueError, match=r"\['red'\]"):
        WordTokenizer(["red", "blue", "red"])


def test_same_ids_in_a_dataset_and_in_a_saved_model(tmp_path):
    tokenizer = WordTokenizer.from_texts(CAPTIONS)
    texts = ["replace black with red", "", "TOP, dress!"]
    expected = tokenizer.tokenize(texts)
    mapped = next(iter(tf.data.Dataset.from_tensor_slices(texts).batch(3).map(tokenizer.in_graph)))
    np.testing.assert_array_equal(mapped, expected)

    module = tf.Module()
    module.ids = tf.function(
        WordTokenizer.from_texts(CAPTIONS).in_graph, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.ids(tf.constant(texts)), expected)
    np.testing.assert_array_equal(loaded.ids(tf.constant(["red"])), [[4]])
