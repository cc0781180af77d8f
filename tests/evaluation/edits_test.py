"""Which words make a text an edit of a kind, and which rankings are which failure."""

import pytest

from cir_tf.evaluation.edits import EDITS, edits, failures


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Has three GREYISH dogs", ("colour", "count")),
        ("swap the person for a man", ("other",)),
        ("", ("other",)),
        ("isn't as long", ("negation",)),
        ("doesn’t have sleeves", ("negation",)),
        ("has no pattern and is not red", ("colour", "negation")),
        ("remove the hat, add a bow", ("addition", "removal")),
        ("get rid  of it", ("removal",)),
        ("only   one dog", ("count",)),
        ("3/4 sleeves", ("count",)),
        ("is longer", ("comparison",)),
        ("the same but darker", ("colour", "comparison")),
        ("more colorful", ("colour", "comparison")),
    ],
)
def test_words_tell_the_kinds(text, kinds):
    assert edits(text) == kinds


@pytest.mark.parametrize("text", ["tank top", "notable knots", "weightless", "address", "reduced", "shoulder"])
def test_parts_of_words_do_not_count(text):
    assert edits(text) == ("other",)


def test_every_kind_is_found_by_each_of_its_words():
    for kind, words in EDITS.items():
        for word in words.split():
            text = f"it, {word.replace('*', '').replace('#', '7').replace('-', ' ')}."
            if not word.startswith("*"):
                assert kind in edits(text), text


def _queries(**columns):
    """Right, the picture's own answer, the text's, reference before target, nothing to find, reference is target."""
    return {
        "rank": [1, 4, 2, 7, 0, 3],
        "reference_rank": [2, 5, 0, 6, 0, 3],
        "ranked_ids": [["a", "b"], ["b", "c"], ["d", "a"], ["e", "b"], ["b", "a"], ["a"]],
        "best_of": {"image only": ["a", "b", "c", "d", "b", "b"], "text only": ["a", "c", "d", "f", "b", "b"]},
    } | columns


def test_failures_are_told_apart():
    found = {kind: failed_Q.tolist() for kind, failed_Q in failures(_queries()).items()}
    assert found == {
        "reference came back": [False, False, False, True, False, False],
        "text ignored": [False, True, False, False, False, False],
        "image ignored": [False, False, True, False, False, False],
    }


def test_failure_that_the_result_cannot_tell_is_left_out():
    found = failures(_queries(best_of={"image only": ["x"] * 6}))
    assert list(found) == ["reference came back", "text ignored"] and not found["text ignored"].any()
