"""New states: MIT-States' pairs of targets, against a slow, obvious oracle."""

import itertools

import pytest

from cir_tf.samplers.new_state import NewState
from tests.samplers.draws import assert_drawn_as, gallery, rows_of

# Four states of apple with unequal numbers of pictures, two of pear, one of shoe.
CLASSES = [
    *("red apple", "green apple", "red apple", "ripe apple", "red apple", "cut apple"),
    *("old pear", "ripe pear", "ripe pear", "old shoe", "old shoe"),
]
STATES = [name.split()[0] for name in CLASSES]
NOUNS = [name.split()[1] for name in CLASSES]


def make(classes=CLASSES, **options):
    both = gallery(classes)
    return NewState(None, both, both, **options)


def pairs_of(sampler, epochs):
    """(reference, first target, second target) of all pairs of rows."""
    for epoch in range(epochs):
        rows = rows_of(sampler, 1, seed=epoch)
        for first, second in zip(rows[::2], rows[1::2], strict=False):
            assert first[0] == second[0]
            yield first[0], first[1], second[1]


def oracle(source, own_state):
    """{(first target, second target): probability}: two states that differ, uniform, and a uniform picture of each."""
    states = sorted({state for state, noun in zip(STATES, NOUNS, strict=True) if noun == NOUNS[source]})
    states = [state for state in states if own_state or state != STATES[source]]
    choices = list(itertools.permutations(states, 2)) or [(states[0], states[0])]

    def pictures(state):
        return [i for i, name in enumerate(CLASSES) if name == f"{state} {NOUNS[source]}"]

    return {
        (i, j): 1 / len(choices) / len(pictures(first)) / len(pictures(second))
        for first, second in choices
        for i in pictures(first)
        for j in pictures(second)
    }


@pytest.mark.parametrize("own_state", [False, True])
def test_both_targets_are_drawn_as_by_the_oracle(own_state):
    drawn = list(pairs_of(make(own_state=own_state), 4000))
    for source in range(9):
        assert_drawn_as([pair[1:] for pair in drawn if pair[0] == source], oracle(source, own_state))


def test_text_is_the_adjective_of_the_target():
    for reference, target, text in rows_of(make(), 20):
        assert text == STATES[target]
        assert NOUNS[reference] == NOUNS[target]


def test_own_state_is_drawn_only_where_asked_for():
    assert all(STATES[reference] != STATES[target] for reference, target, _ in rows_of(make(), 50))
    drawn = rows_of(make(own_state=True), 50)
    assert any(STATES[reference] == STATES[target] and reference != target for reference, target, _ in drawn)
    assert any(reference == target for reference, target, _ in drawn)


def test_targets_of_a_pair_differ_in_state_where_the_noun_has_enough():
    for own_state in (False, True):
        for reference, first, second in pairs_of(make(own_state=own_state), 50):
            assert (STATES[first] != STATES[second]) == (own_state or NOUNS[reference] == "apple")


def test_half_of_the_pictures_are_references_in_a_new_order():
    classes = [f"{state} {noun}" for noun in ("apple", "pear") for state in ("red", "ripe", "old", "cut")]
    references = [tuple(row[0] for row in rows_of(make(classes), 1, seed)[::2]) for seed in range(400)]
    assert all(len(set(each)) == 4 for each in references)
    assert_drawn_as([each[0] for each in references], dict.fromkeys(range(8), 1 / 8))


def test_a_noun_with_one_adjective_is_replaced_by_pictures_drawn_at_random():
    drawn = list(pairs_of(make(["old shoe"] * 30 + ["red apple", "ripe apple", "red apple"]), 300))
    assert_drawn_as([pair[0] for pair in drawn], dict.fromkeys((30, 31, 32), 1 / 3))


def test_an_odd_number_of_pictures_cuts_the_last_pair():
    assert len(rows_of(make(), 1)) == len(make()) == 11


def test_a_noun_may_have_blanks():
    sampler = make(["red door knob", "old door knob"])
    assert {text for _, _, text in rows_of(sampler, 5)} == set(sampler.texts()) == {"red", "old"}


def test_vocabulary_has_the_nouns_as_published():
    assert set(" ".join(make().vocabulary()).split()) == {*STATES, *NOUNS}


@pytest.mark.parametrize("own_state", [False, True])
def test_no_noun_of_two_adjectives_is_refused(own_state):
    with pytest.raises(ValueError, match="two adjectives"):
        make(["red apple", "red apple", "old shoe"], own_state=own_state)


@pytest.mark.parametrize("name", ["apple", "", " apple", "red "])
def test_a_class_without_adjective_or_noun_is_refused(name):
    with pytest.raises(ValueError, match="an adjective, a blank and a noun"):
        make([*CLASSES, name])


def test_two_galleries_are_refused():
    with pytest.raises(ValueError, match="one gallery"):
        NewState(None, gallery(CLASSES), gallery(CLASSES))
