import numpy as np
import pytest
import tensorflow as tf

from cir_tf.treebank import TreebankTokenizer, words

# What NLTK 3.4.5's word_tokenize gives after VAL's four replacements and in lower case, joined by blanks.
CASES = {
    "Is black, with long SLEEVES": "is black , with long sleeves",
    "Don't & can't": "do n't andmark ca n't",
    " black & white *top* no. 1? ": "black andmark white starmarktopstarmark nodotmark 1questionmark",
    "a 3,5 inch: heel": "a 3,5 inch : heel",
    "the dogs' ball, isn't it": "the dogs ' ball , is n't it",
    "shirt's 'quoted' i'll we've they're you'd i'm": "shirt 's 'quoted ' i 'll we 've they 're you 'd i 'm",
    "'a nice' dress": "' a nice ' dress",
    'say "hello" (now) [x] {y} <z>': "say `` hello '' ( now ) [ x ] { y } < z >",
    '"start" here': "`` start '' here",
    "rock 'n' roll": "rock ' n ' roll",
    "knee--length knee-length": "knee -- length knee-length",
    "w/gotta cannot- lemme^": "w/ got ta can not - lem me ^",
    "red\u2028dress\u2029long": "red dress long",
    "gonna wanna gotta cannot gimme lemme d'ye": "gon na wan na got ta can not gim me lem me d 'ye",
    "'tis 'twas": "'t is 't was",
    "100% cotton #1 @home $5; ok!": "100 % cotton # 1 @ home $ 5 ; ok !",
    "“curly” ‘quotes’ don’t": "“ curly ” ‘ quotes ’ don ’ t",
    "a::b ,, c,": "a : :b , , c ,",
    "no\xa0break, ÉCLAIR": "no break , éclair",
    "": "",
    "  \t ": "",
}


@pytest.mark.parametrize("text", CASES, ids=repr)
def test_words_are_those_of_the_reference(text):
    assert b" ".join(words([text]).to_list()[0]).decode() == CASES[text]


def test_ids_in_the_order_of_first_appearance():
    counts = TreebankTokenizer.count(["long red dress", "red, with sleeves", "red dress"])
    assert list(counts.items()) == [("long", 1), ("red", 3), ("dress", 2), (",", 1), ("with", 1), ("sleeves", 1)]
    tokenizer = TreebankTokenizer(counts)
    assert tokenizer.size == 7
    got = tokenizer.tokenize(["Red sleeves, blue", "", "dress"])
    np.testing.assert_array_equal(got, [[2, 6, 4, 0], [-1, -1, -1, -1], [3, -1, -1, -1]])
    np.testing.assert_array_equal(tokenizer.tokenize([""]), [[-1]])


def test_broken_utf8_is_left_out():
    assert words([b"re\xffd dress"]).to_list() == [[b"red", b"dress"]]


def test_the_same_in_a_graph_and_a_saved_model(tmp_path):
    texts = list(CASES)
    tokenizer = TreebankTokenizer(sorted({word for case in CASES.values() for word in case.split()}))
    module = tf.Module()
    module.ids = tf.function(tokenizer.in_graph, input_signature=[tf.TensorSpec([None], tf.string)])
    expected = tokenizer.tokenize(texts)
    assert (expected != 0).all()
    np.testing.assert_array_equal(module.ids(texts), expected)
    tf.saved_model.save(module, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.ids(tf.constant(texts)), expected)
