"""Replaced words: against TIRG's rules as the dataset's own reference has them, and a slow, obvious oracle."""

import collections
import itertools

import numpy as np
import pytest

from cir_tf.samplers.replaced_word import ReplacedWord, parents
from cir_tf.tokenizers import WordTokenizer
from datasets_tfds.fashion200k import captions as rules
from tests.samplers.draws import assert_drawn_as, gallery, rows_of

TIRG = {"deletes_inside_words": True, "pairs_reordered_captions": True, "vocabulary_from_captions_alone": True}
VAL = {"deletes_inside_words": True, "vocabulary_from_captions_alone": True, "distinct_pairs": True}
MIXED = [
    *("black mini dress", "red mini dress", "red mini dress", "red midi dress", "black dress", "red redish top"),
    *("tan ish top", "red embroidered top", "black embroidered top", "mini black dress", "blue jeans", ""),
    *("red mini dress", "black mini dress", "red", "long white  gown"),
]


def make(classes, **options):
    both = gallery(classes)
    return ReplacedWord(None, both, both, **options)


def drawn_pairs(sampler, classes, epochs=40):
    """Pairs of captions."""
    return {(classes[reference], classes[target]) for reference, target, _ in rows_of(sampler, epochs)}


def siblings(classes, parents_of, differ):
    """{(caption, sibling): probability}, the long way: every parent with a child that differs, every such child."""
    children = {}
    for caption in dict.fromkeys(classes):
        for parent in parents_of(caption):
            children.setdefault(parent, []).append(caption)
    useful = {
        parent: each
        for parent, each in children.items()
        if any(differ(*two) for two in itertools.combinations(each, 2))
    }
    result = {}
    for caption in dict.fromkeys(classes):
        chance = collections.Counter()
        mine = [parent for parent in parents_of(caption) if parent in useful]
        for parent in mine:
            for child in useful[parent]:
                if differ(caption, child):
                    chance[child] += 1 / len(mine) / len(useful[parent])
        result |= {(caption, child): value / sum(chance.values()) for child, value in chance.items()}
    return result


def published_siblings(classes):
    return siblings(classes, rules.parents, lambda one, other: one != other)


def whole_word_siblings(classes):
    def without(caption):
        return list(dict.fromkeys(" ".join(w for w in caption.split() if w != word) for word in caption.split()))

    return siblings(classes, without, lambda one, other: set(one.split()) != set(other.split()))


def random_captions(count, seed=0):
    """Captions of words that are parts of each other."""
    rng = np.random.default_rng(seed)
    words = np.array(["red", "redish", "top", "to", "op", "t-op", "bred", "black", "white", "dress", "ss"])
    return [" ".join(rng.choice(words, rng.integers(0, 5))) for _ in range(count)]


@pytest.mark.parametrize(
    ("reference", "target", "text"),
    [  # specs/tirg.md, section 9, T9; the first two are siblings, for others the rule is the same
        (0, 1, "replace black with red"),
        (2, 3, "replace dress with mini"),
        (3, 2, "replace mini with dress"),
        (4, 5, "replace white with black"),  # the same words in another order: the last of each
    ],
)
def test_golden_texts(reference, target, text):
    classes = ["black knee-length dress", "red knee-length dress", "black dress", "black mini dress"]
    sampler = make([*classes, "black top white", "white top black"])
    assert sampler.modifications(np.array([reference]), np.array([target])).tolist() == [text]


def test_golden_parents():
    for inside_words in (False, True):
        assert parents("black mini dress", inside_words) == ["mini dress", "black dress", "black mini"]
    assert parents("red redish top", inside_words=True) == ["ish top", "red top", "red redish"]
    assert parents("red redish top") == ["redish top", "red top", "red redish"]


def test_golden_vocabulary():
    """T9's captions, and one more of their words so that there is a pair to draw."""
    classes = ["Black mini-dress", "red Dress", "black top", "red top"]
    published = WordTokenizer.from_texts(make(classes, **TIRG).vocabulary())
    assert published.vocabulary == ("black", "dress", "minidress", "red", "top")
    assert published.tokenize(["replace black with red"]).tolist() == [[0, 1, 0, 4]]
    sane = WordTokenizer.from_texts(make(classes).vocabulary())
    assert sane.vocabulary == ("black", "dress", "minidress", "red", "replace", "top", "with")


def test_a_vocabulary_has_the_words_of_unmodifiable_captions_too():
    assert "gown" in WordTokenizer.from_texts(make(MIXED).vocabulary()).vocabulary


def test_published_parents_are_those_of_the_dataset():
    for caption in ["a  b c", "red top red", "red embroidered top", *MIXED, *random_captions(50)]:
        assert parents(caption, inside_words=True) == rules.parents(caption)


def test_texts_are_those_of_the_dataset():
    classes = [caption for caption in random_captions(60) if caption]
    sampler = make(classes)
    reference_R, target_R = np.divmod(np.arange(len(classes) ** 2), len(classes))
    wanted = [rules.modification(classes[i], classes[j]) for i, j in zip(reference_R, target_R, strict=True)]
    assert sampler.modifications(reference_R, target_R).tolist() == wanted


@pytest.mark.parametrize("classes", [MIXED, random_captions(25)], ids=["mixed", "random"])
@pytest.mark.parametrize(
    ("options", "oracle"), [(TIRG, published_siblings), ({}, whole_word_siblings)], ids=["published", "default"]
)
def test_pairs_and_texts_are_those_of_the_oracle(classes, options, oracle):
    drawn = rows_of(make(classes, **options), 400)
    assert {(classes[reference], classes[target]) for reference, target, _ in drawn} == set(oracle(classes))
    assert all(text == rules.modification(classes[i], classes[j]) for i, j, text in drawn)


@pytest.mark.parametrize(
    ("options", "oracle"), [(TIRG, published_siblings), ({}, whole_word_siblings)], ids=["published", "default"]
)
def test_targets_are_drawn_as_by_the_oracle(options, oracle):
    """A uniform parent first: a sibling below two parents, or below a small one, comes more often than others."""
    chance = oracle(MIXED)
    drawn = rows_of(make(MIXED, **options), 3000)
    for source, caption in enumerate(MIXED):
        wanted = {
            target: chance[caption, other] / MIXED.count(other)
            for target, other in enumerate(MIXED)
            if (caption, other) in chance
        }
        if wanted:
            assert_drawn_as([target for reference, target, _ in drawn if reference == source], wanted)


def test_an_epoch_takes_modifiable_pictures_once_and_more_of_them_for_the_others():
    sampler = make(MIXED)
    modifiable = {i for i, caption in enumerate(MIXED) if caption in {pair[0] for pair in whole_word_siblings(MIXED)}}
    lost = len(MIXED) - len(modifiable)
    assert len(sampler) == len(MIXED) and 0 < lost < len(MIXED)
    extra = []
    for epoch in range(400):
        counts = collections.Counter(sampler.epoch(1, epoch).reference_R.tolist())
        assert set(counts) == modifiable
        extra += (counts - collections.Counter(modifiable)).elements()
    assert len(extra) == 400 * lost
    assert_drawn_as(extra, dict.fromkeys(modifiable, 1 / len(modifiable)))


def test_the_order_of_an_epoch_is_random():
    classes = ["red top", "black top", "tan top", "white top"]
    firsts = [make(classes).epoch(1, epoch).reference_R[0] for epoch in range(400)]
    assert_drawn_as([int(first) for first in firsts], dict.fromkeys(range(4), 1 / 4))


def test_letters_deleted_inside_words_make_and_break_siblings():
    classes = ["red redish top", "tan ish top", "red embroidered gown", "black embroidered gown"]
    made, lost = {*classes[:2]}, {*classes[2:]}
    assert {frozenset(pair) for pair in drawn_pairs(make(classes, **TIRG), classes)} == {frozenset(made)}
    assert {frozenset(pair) for pair in drawn_pairs(make(classes), classes)} == {frozenset(lost)}


def test_reordered_captions_are_siblings_only_where_asked_for():
    classes = ["black white top", "white black top", "black tan top"]
    reordered = (classes[0], classes[1])
    assert reordered in drawn_pairs(make(classes, **TIRG), classes)
    assert reordered not in drawn_pairs(make(classes), classes)
    assert rules.modification(*reordered) == "replace top with top"
    with pytest.raises(ValueError, match="same but for one word"):
        make(classes[:2])


def test_by_default_each_text_names_the_only_word_that_differs():
    classes = random_captions(60, seed=3)
    for reference, target, text in rows_of(make(classes), 5):
        gone, new = set(classes[reference].split()), set(classes[target].split())
        assert text == f"replace {min(gone - new)} with {min(new - gone)}"
        assert len(gone - new) == len(new - gone) == 1


def test_distinct_pairs_are_distinct_in_both_directions():
    classes = [f"{color} {kind}" for color in ("red", "tan", "black", "white") for kind in ("top", "gown")] * 6
    classes += ["blue jeans"] * 9
    sampler = make(classes, **VAL)
    assert len(sampler) == 48
    for epoch in range(20):
        rows = sampler.epoch(2, epoch)
        assert (
            len({frozenset(pair) for pair in zip(rows.reference_R.tolist(), rows.target_R.tolist(), strict=True)}) == 48
        )
        assert len(set(rows.reference_R.tolist())) > 40  # each once, but for pairs that were drawn again


def test_distinct_pairs_are_rare_without_the_option():
    classes = ["red top", "black top", "tan top"]
    repeats = [len({frozenset(row[:2]) for row in rows_of(make(classes), 1, seed)}) < 3 for seed in range(50)]
    assert any(repeats)
    assert all(len({frozenset(row[:2]) for row in rows_of(make(classes, **VAL), 1, seed)}) == 3 for seed in range(50))


def test_too_few_distinct_pairs_come_twice():
    assert {row[:2] for row in rows_of(make(["red top", "black top"], **VAL), 9)} == {(0, 1), (1, 0)}


def test_texts_leave_out_words_that_are_never_drawn():
    texts = make(MIXED).texts()
    assert "replace mini with mini" in texts
    assert not any("gown" in text for text in texts)


@pytest.mark.parametrize("classes", [["red top"] * 3, ["red top", "blue jeans"], ["", ""], [""]])
def test_no_two_captions_that_differ_by_a_word_are_refused(classes):
    for options in ({}, TIRG, VAL):
        with pytest.raises(ValueError, match="same but for one word"):
            make(classes, **options)


def test_two_galleries_are_refused():
    classes = ["red top", "black top"]
    with pytest.raises(ValueError, match="one gallery"):
        ReplacedWord(None, gallery(classes), gallery(classes))


def test_the_targets_caption_can_be_the_text():
    sampler = make(MIXED, target_captions=True, **VAL)
    drawn = list(rows_of(sampler, 5))
    assert all(text == MIXED[target] for _, target, text in drawn)
    assert len({text for *_, text in drawn}) > 5
    plain = make(MIXED, **VAL)
    assert [row[:2] for row in drawn] == [row[:2] for row in rows_of(plain, 5)]
    assert sampler.vocabulary() == plain.vocabulary()
    tokenizer = WordTokenizer.from_texts(sampler.vocabulary())
    longest = max(len(text.split()) for *_, text in drawn)
    assert tokenizer.tokenize(sampler.texts()).shape[1] >= longest > 2
