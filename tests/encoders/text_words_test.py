import keras
import numpy as np
import pytest

from cir_tf.encoders.text_words import TextWords
from tests.golden import S, close, policy

ASSETS = {"vocabulary.txt": "a\nb\nc\nd\n"}
TABLE = S((5, 3), 0.6, 0.3)
IDS = np.array([[1, 2, 3], [4, 0, -1], [-1, -1, -1]])


def make(**arguments):
    with policy("float64"):
        encoder = TextWords(ASSETS, width=3, **arguments)
        encoder(IDS)
    encoder.embedding.embeddings.assign(TABLE)
    return encoder


def test_tokens_are_the_embeddings_and_pooled_is_their_mean():
    features = make()(IDS)
    close(features.tokens_BLE[0], TABLE[[1, 2, 3]], atol=1e-12)
    close(features.tokens_BLE[1, :2], TABLE[[4, 0]], atol=1e-12)
    close(features.pooled_BE, [TABLE[1:4].mean(0), (TABLE[4] + TABLE[0]) / 2, np.zeros(3)], atol=1e-12)
    np.testing.assert_array_equal(features.mask_BL, [[1, 1, 1], [1, 1, 0], [0, 0, 0]])


def test_published_empty_text_is_the_unknown_word():
    plain, published = make()(IDS), make(empty_reads_padding=True)(IDS)
    close(published.pooled_BE[2], TABLE[0], atol=1e-12)
    np.testing.assert_array_equal(published.mask_BL, [[1, 1, 1], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(published.pooled_BE[:2], plain.pooled_BE[:2])


def test_words_start_as_unit_normals():
    keras.utils.set_random_seed(1)
    encoder = TextWords({"vocabulary.txt": "\n".join(f"w{i}" for i in range(99))}, width=64)
    encoder(np.array([[1]]))
    assert abs(encoder.embedding.embeddings.numpy().std() - 1) < 0.03


def test_pseudo_words_are_refused():
    with pytest.raises(ValueError, match="insert_BSE"):
        make()(IDS, insert_BSE=np.zeros((1, 1, 3)))
