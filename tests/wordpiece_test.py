import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from cir_tf.wordpiece import SPECIAL, WordPieceTokenizer

PIECES = """
a long red dress with straps . , ' ? ! - it s knee ##s ##ss length isn t cafe ok kn ##ee naive 2 日 本 红 ##ß stra ##e
istanbul ᄒ ##ᅡ ##ᆫ ο ##δ ##ο ##σ 😀 ½ ² ﬁ ##ne “ ” ’ – … ¡ ¿ [ ] sep mask * क ##षि hello end quote
"""
VOCABULARY = [*SPECIAL, *PIECES.split()]
TEXTS = [
    "a long red dress with 2 straps.",
    "It's KNEE-length, isn't it?",
    "naïve café CAFÉ Straße İstanbul ΟΔΟσ",
    "日本 and 红色",
    "soft\u00adhyphen knee\u200blength long\u00a0red\u3000dress",
    "hello [SEP] [MASK] * !",
    f"{'x' * 101} ok {'kn' * 50} {'knee' + 's' * 96} knees kness",
    "",
    "  \t ",
    "emoji 😀 👩🏽‍🚒 ok",
    "한 ok",
    "isn’t “quote” – dash…",
    "hello\there\nlong\rred\x00\ufffd\x07 end\x1c\x85",
    "ﬁne ½ ²",
    "a\u0301\u0323 क्षि",
    "$5 ^_^ `tick` <b> ~| ¡ok! ¿it?",
    "\ue000ok",
    "knee\u2028ok\u2029red",
]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer(VOCABULARY, 30)


@pytest.fixture(scope="module")
def reference():
    """BERT's own rules as the `tokenizers` library has them."""
    ids = {piece: i for i, piece in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_ids_are_those_of_the_reference(tokenizer, reference, text):
    inner = reference.encode(text, add_special_tokens=False).ids[:28]
    np.testing.assert_array_equal(tokenizer.tokenize([text]), [[2, *inner, 3]])


def test_kerashub_agrees_on_plain_texts(tokenizer):
    from keras_hub.tokenizers import BertTokenizer

    texts = [*TEXTS[:2], "long straps, knees!", "unheard of"]
    theirs = BertTokenizer(vocabulary=VOCABULARY, lowercase=True)
    in_graph = tf.function(lambda text_B: theirs(text_B))(tf.constant(texts)).to_list()
    for text, row, graph in zip(texts, tokenizer.tokenize(texts), in_graph, strict=True):
        assert list(row[row >= 0]) == [2, *theirs(text), 3] == [2, *graph, 3]


def test_padding_is_negative_and_as_long_as_the_longest(tokenizer):
    got = tokenizer.tokenize(["red", "a long dress", ""])
    np.testing.assert_array_equal(got, [[2, 7, 3, -1, -1], [2, 5, 6, 8, 3], [2, 3, -1, -1, -1]])
    assert got.dtype == np.int32
    np.testing.assert_array_equal(tokenizer.tokenize([""]), [[2, 3]])


def test_long_texts_are_cut_and_end_in_sep():
    got = WordPieceTokenizer(VOCABULARY, 5).tokenize(["a long red dress with straps", "red"])
    np.testing.assert_array_equal(got, [[2, 5, 6, 7, 3], [2, 7, 3, -1, -1]])


def test_longest_pieces_first(tokenizer):
    names = [VOCABULARY[i] for i in tokenizer.tokenize(["knees kness knel"])[0]]
    assert names == ["[CLS]", "knee", "##s", "kn", "##e", "##ss", "[UNK]", "[SEP]"]


def test_the_same_in_a_graph_and_a_saved_model(tokenizer, tmp_path):
    module = tf.Module()
    module.ids = tf.function(tokenizer.in_graph, input_signature=[tf.TensorSpec([None], tf.string)])
    expected = tokenizer.tokenize(TEXTS)
    tf.saved_model.save(module, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.ids(tf.constant(TEXTS)), expected)
    np.testing.assert_array_equal(loaded.ids(tf.constant(["red"])), [[2, 7, 3]])
    np.testing.assert_array_equal(tokenizer.in_graph(tf.constant(TEXTS)), expected)


def test_a_dataset_keeps_the_number_of_texts(tokenizer):
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(4, drop_remainder=True).map(tokenizer.in_graph)
    assert dataset.element_spec.shape.as_list() == [4, None]


def test_a_small_vocabulary_knows_its_texts_and_their_letters():
    pieces = WordPieceTokenizer.vocabulary_of(["Red dress, red", "née"])
    assert pieces[: len(SPECIAL)] == list(SPECIAL)
    assert len(pieces) == len(set(pieces))
    made = WordPieceTokenizer(pieces)
    ids = made.tokenize(["a dress née", "RED,", "seen"])
    assert [pieces[i] for i in ids[1] if i >= 0] == ["[CLS]", "red", ",", "[SEP]"]
    assert [pieces[i] for i in ids[2] if i >= 0] == ["[CLS]", "s", "##e", "##e", "##n", "[SEP]"]
    assert made.unknown_id in ids[0]
    assert made.size == len(pieces)


def test_the_last_line_break_of_a_file_is_no_piece():
    made = WordPieceTokenizer("\r\n".join([*VOCABULARY, ""]).split("\n"))
    assert (made.size, made.vocabulary[-1]) == (len(VOCABULARY), "quote")


def test_wrong_vocabularies_are_refused():
    with pytest.raises(ValueError, match=r"without \[CLS\], \[SEP\]"):
        WordPieceTokenizer(["[PAD]", "[UNK]", "red"])
    with pytest.raises(ValueError, match="'red'"):
        WordPieceTokenizer([*SPECIAL, "red", "red"])
    with pytest.raises(ValueError, match="'blue'"):
        WordPieceTokenizer([*SPECIAL, "red"]).id_of("blue")
