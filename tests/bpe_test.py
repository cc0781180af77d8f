import gzip
import itertools
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import bpe
from cir_tf.bpe import BytePairTokenizer, read_merges
from cir_tf.errors import UserError

# "aa" stands high, so that runs of it overlap; "c ab" stands before "a b", which makes "ab", and must not be lost.
MERGES = "a a\nt h\nth e</w>\nc ab\na b\n' s</w>\naa a</w>\nÃ ©</w>\n"
REAL = {
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "is it's colour 4x4 & RED's!?": [533, 585, 568, 4769, 275, 343, 275, 261, 736, 568, 6004],
    "Café n\u0303andu &eacute;clair &amp;amp; &#39;x&#39;": [15304, 6445, 672, 340, 3459, 14039, 261, 262, 343, 262],
    "don’t “quote” ﬁne ＡＢＣ": [847, 713, 257, 4020, 257, 3797, 5334],
    "😀👍🏽 日本語 straße": [12832, 43722, 39121, 44353, 34002, 508, 1894, 127, 253, 324],
    "x\u00a0y\tz\n 12,345.6": [343, 344, 345, 272, 273, 267, 274, 275, 276, 269, 277],
    "*": [265],
    "a photo of * with * * but is red": [320, 1125, 539, 265, 593, 265, 265, 767, 533, 736],
    "<|startoftext|> hi <|endoftext|> ho": [49406, 1883, 49407, 2971],
    "snake_case -- hello... w/o :-)": [8798, 318, 2068, 2432, 3306, 678, 342, 270, 334, 4223],
    "we'll they've i'd you're I'm o'clock 'tis": [
        *(649, 1342, 889, 1200, 328, 1896, 592, 982, 328, 880, 334, 262, 6716, 713, 533),
    ],
    "": [],
    "dress " * 99: [2595] * 75,
}


def tokenizer(merges="", **arguments):
    return BytePairTokenizer({"merges.txt": merges}, **arguments)


def symbols(made, text):
    """The tokens of a text as symbols, without start and end."""
    table = [*bpe._printable().values()]
    table += [each + "</w>" for each in table]
    table += [line.replace(" ", "") for line in MERGES.splitlines()]
    ids = made.tokenize([text])[0]
    assert (ids[0], ids[-1]) == (made.start_id, made.end_id)
    return [table[number] for number in ids[1:-1]]


def plain_merge(word, ranks):
    """The textbook's loop over one word, a list of symbols: the best pair, everywhere, from the left."""
    while True:
        best = min(itertools.pairwise(word), key=lambda pair: ranks.get(pair, 10**9), default=None)
        if best not in ranks:
            return word
        merged, i = [], 0
        while i < len(word):
            is_best = tuple(word[i : i + 2]) == best
            merged.append("".join(best) if is_best else word[i])
            i += 2 if is_best else 1
        word = merged


def test_without_merges_every_byte_is_a_token():
    made = tokenizer()
    assert (made.size, made.start_id, made.end_id, made.placeholder_id) == (514, 512, 513, 265)
    # "!" is the first character that prints; "é" is the bytes C3 A9, "…" is E2 80 A6, of which 80 does not print.
    np.testing.assert_array_equal(
        made.tokenize(["ab !", "é…"]), [[512, 64, 321, 256, 513, -1, -1], [512, 127, 358, 158, 222, 355, 513]]
    )


def test_placeholder_is_the_word_of_one_star():
    assert tokenizer(MERGES).tokenize(["a *"])[0, 2] == tokenizer().placeholder_id


@pytest.mark.parametrize(
    "text, expected",
    [
        ("the th", ["the</w>", "t", "h</w>"]),  # the last letter is another symbol
        ("thethe", ["th", "e", "the</w>"]),
        ("aaa aaaa aaaaa aaaaaa", ["aaa</w>", "aa", "a", "a</w>", "aa", "aaa</w>", "aa", "aa", "a", "a</w>"]),
        ("cabb", ["cab", "b</w>"]),
        ("it's 's S'S", ["i", "t</w>", "'s</w>", "'s</w>", "s</w>", "'s</w>"]),
        ("é cé", ["Ã©</w>", "c", "Ã©</w>"]),
        ("12 3", ["1</w>", "2</w>", "3</w>"]),
        ("a-b!?", ["a</w>", "-</w>", "b</w>", "!", "?</w>"]),
    ],
)
def test_pairs_are_merged_by_rank_from_the_left(text, expected):
    assert symbols(tokenizer(MERGES), text) == expected


def test_words_are_never_joined():
    made = tokenizer("a</w> b</w>\n")
    assert made.tokenize(["a b"])[0].tolist() == [made.start_id, 320, 321, made.end_id]


def test_merges_equal_the_textbook_on_random_tables():
    rng = random.Random(3)
    letters = "abcdef"
    for _ in range(5):
        made = [*letters, *(letter + "</w>" for letter in letters)]
        pairs = {}
        while len(pairs) < 60:
            left, right = rng.choice(made), rng.choice(made)
            if not left.endswith("</w>") and left + right not in made:
                made.append(left + right)
                pairs[left, right] = len(pairs)
        words = ["".join(rng.choices(letters, k=rng.randint(1, 14))) for _ in range(200)]
        ids = tokenizer("".join(f"{left} {right}\n" for left, right in pairs)).tokenize(words)
        table = [*bpe._printable().values()]
        table = [*table, *(each + "</w>" for each in table), *("".join(pair) for pair in pairs)]
        for word, row in zip(words, ids, strict=True):
            got = [table[number] for number in row[row >= 0][1:-1]]
            assert got == plain_merge([*word[:-1], word[-1] + "</w>"], pairs), word


def test_words_are_split_as_published():
    made = tokenizer()

    def end(text):
        return "".join("|" if number >= 256 else "." for number in made.tokenize([text])[0, 1:-1])

    assert end("don't we'll they've you're I'm he'd") == "..|.|" + ".|..|" + "...|..|" + "..|..|" + "|.|" + ".|.|"
    assert end("a'ſ 'K") == "|..|" + "||"  # the long s counts as an s
    assert end("x2y 345 a_b c-d.") == "|||" + "|||" + "|||" + "||||"
    assert end("...! 日本") == "...|" + ".....|"


def test_names_of_start_and_end_are_themselves_within_a_text():
    made = tokenizer()
    assert made.tokenize(["a<|endoftext|>! <|STARTOFTEXT|>"])[0].tolist() == [512, 320, 513, 256, 512, 513]


def test_long_texts_are_cut_and_keep_their_end():
    made = tokenizer(context=5)
    np.testing.assert_array_equal(
        made.tokenize(["abcd", "abc", "a", ""]),
        [[512, 64, 65, 66, 513], [512, 64, 65, 322, 513], [512, 320, 513, -1, -1], [512, 513, -1, -1, -1]],
    )


def test_no_texts_and_empty_texts():
    made = tokenizer(MERGES)
    assert made.tokenize([]).shape[0] == 0
    np.testing.assert_array_equal(made.tokenize(["", " "]), [[made.start_id, made.end_id]] * 2)


def test_a_text_has_the_same_ids_in_any_company():
    made = tokenizer(MERGES)
    texts = ["the aaa cab", "", "é it's", "the the", "x" * 40]
    together = made.tokenize(texts)
    for text, row in zip(texts, together, strict=True):
        assert made.tokenize([text])[0].tolist() == row[row >= 0].tolist()


def test_saved_model_needs_tensorflow_alone(tmp_path):
    made = tokenizer(MERGES)
    module = tf.Module()
    module.encode = tf.function(made.in_graph, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, tmp_path / "model")
    texts = ["the aaa &eacute; it’s ñandu n\u0303 42", "", "&#39;x&#39;"]
    script = (
        "import json, sys, tensorflow as tf; loaded = tf.saved_model.load(sys.argv[1]);"
        "print(json.dumps(loaded.encode(json.loads(sys.argv[2])).numpy().tolist()));"
        "assert not [name for name in sys.modules if name.startswith(('cir_tf', 'tensorflow_text', 'keras_hub'))]"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model"), json.dumps(texts)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == made.tokenize(texts).tolist()


def test_in_graph_works_in_a_data_pipeline():
    made = tokenizer(MERGES)
    texts = ["the cab", "é", "it's aaaa", "x"]
    batches = list(tf.data.Dataset.from_tensor_slices(texts).batch(2).map(made.in_graph))
    assert batches[1].numpy().tolist() == made.tokenize(texts[2:]).tolist()


@pytest.mark.parametrize("merges", ["a b\nab", "a b c\n", "a zz\n"])
def test_lines_that_are_no_merges_are_refused(merges):
    with pytest.raises(ValueError, match="two earlier symbols"):
        tokenizer(merges)


def test_vocabulary_is_checked_where_it_is_given():
    made = {each: number for number, each in enumerate(bpe._printable().values())}
    made |= {f"{each}</w>": number + 256 for each, number in made.items()}
    made |= {"ab": 512, "<|startoftext|>": 513, "<|endoftext|>": 514}
    assets = {"merges.txt": "a b\n", "vocabulary.json": json.dumps(made)}
    assert BytePairTokenizer(assets).size == 515
    with pytest.raises(ValueError, match="another one than that of 2 merges"):
        BytePairTokenizer(assets | {"merges.txt": "a b\nb c\n"})


@pytest.mark.parametrize("name", ["merges.txt", "bpe_simple_vocab_16e6.txt.gz"])
def test_published_files_are_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(bpe, "PUBLISHED_MERGES", 2)
    text = '"bpe_simple_vocab_16e6.txt#version: 0.2\na b\nÃ ©</w>\nthis is not read\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    for path in (tmp_path, tmp_path / name):
        assert read_merges(path) == {"merges.txt": "a b\nÃ ©</w>\n"}


def test_files_that_cannot_be_read_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"merges\.txt"):
        read_merges(tmp_path)
    for name, content in (("cut.gz", gzip.compress(b"a b\n")[:-6]), ("no.gz", b"a b\n"), ("x.txt", b"\xff\xfe")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_merges(tmp_path / name)


@pytest.mark.skipif("CIR_TF_CLIP_MERGES" not in os.environ, reason="CIR_TF_CLIP_MERGES names no published merges file")
def test_published_ids():
    made = BytePairTokenizer(read_merges(os.environ["CIR_TF_CLIP_MERGES"]))
    assert (made.size, made.start_id, made.end_id) == (49408, 49406, 49407)
    ids = made.tokenize([*REAL])
    assert ids.shape == (len(REAL), 77)
    for (text, expected), row in zip(REAL.items(), ids, strict=True):
        assert row[row >= 0].tolist() == [49406, *expected, 49407], text
