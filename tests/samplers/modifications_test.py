"""Modifications: CSS's pairs of rows, against a slow, obvious oracle."""

import pytest

from cir_tf.samplers.modifications import Modifications
from tests.samplers.draws import assert_drawn_as, gallery, rows_of

# (reference, target, modification), in no order. Picture 0 has three modifications, one of them twice; 5 has one.
EDITS = [
    *((2, 0, "add"), (0, 3, "cut"), (0, 1, "add"), (5, 1, "dye"), (0, 4, "cut"), (2, 6, "cut"), (0, 2, "dye")),
    *((3, 2, "add"), (3, 5, "bend"), (2, 3, "dye"), (0, 3, "add")),
]
PICTURES = 9


def stored(edits=EDITS):
    return {
        "has_target": [True] * len(edits),
        "reference_id": [str(reference) for reference, _, _ in edits],
        "target_id": [str(target) for _, target, _ in edits],
        "text": [f"{name} it" for _, _, name in edits],
        "modification_id": [name for _, _, name in edits],
    }


def make(rows=None, pictures=PICTURES):
    both = gallery([""] * pictures)
    return Modifications(stored() if rows is None else rows, both, both)


def pairs_of(sampler, epochs):
    """Pairs of consecutive rows, as (reference, target, modification)."""
    for seed in range(epochs):
        rows = [(reference, target, text.removesuffix(" it")) for reference, target, text in rows_of(sampler, 1, seed)]
        yield from zip(rows[::2], rows[1::2], strict=False)


def first_chances():
    """A uniform modification, a uniform row of it."""
    names = sorted({name for _, _, name in EDITS})
    return {edit: 1 / len(names) / sum(other[2] == edit[2] for other in EDITS) for edit in EDITS}


def second_chances(first):
    """A uniform row of the same reference and any other modification; if there is none, as for a first one."""
    others = [edit for edit in EDITS if edit[0] == first[0] and edit[2] != first[2]]
    return dict.fromkeys(others, 1 / len(others)) if others else first_chances()


def test_first_rows_are_drawn_as_by_the_oracle():
    assert_drawn_as([first for first, _ in pairs_of(make(), 2000)], first_chances())


@pytest.mark.parametrize("first", EDITS)
def test_second_rows_are_drawn_as_by_the_oracle(first):
    drawn = [second for other, second in pairs_of(make(), 2000) if other == first]
    assert_drawn_as(drawn, second_chances(first))


def test_pairs_share_the_reference_and_differ_in_modification():
    for first, second in pairs_of(make(), 100):
        if first[0] != 5:
            assert first[0] == second[0] and first[2] != second[2]


def test_an_epoch_is_as_long_as_the_gallery_of_references():
    """An odd number cuts the last pair."""
    for pictures in (7, 9, 20):
        assert len(make(pictures=pictures)) == len(rows_of(make(pictures=pictures), 1)) == pictures


def test_reference_and_target_may_have_galleries_of_their_own():
    ids = ["drawn 0", "drawn 1"]
    rows = stored([(0, 1, "add")]) | {"reference_id": ["drawn 1"], "target_id": ["2"]}
    drawings = gallery(["", ""])
    drawings.ids = ids
    sampler = Modifications(rows, drawings, gallery([""] * 5))
    assert rows_of(sampler, 1) == [(1, 2, "add it")] * 2


def test_rows_without_a_known_target_are_left_out():
    rows = stored() | {"has_target": [edit[2] != "add" for edit in EDITS]}
    rows["target_id"] = [
        target if known else "" for target, known in zip(rows["target_id"], rows["has_target"], strict=True)
    ]
    sampler = make(rows)
    assert {text for _, _, text in rows_of(sampler, 50)} == set(sampler.texts()) == {"cut it", "dye it", "bend it"}


@pytest.mark.parametrize("broken", [{"has_target": [False] * len(EDITS)}, {"modification_id": None}, dict(stored([]))])
def test_no_rows_or_no_modifications_are_refused(broken):
    rows = {key: values for key, values in (stored() | broken).items() if values is not None}
    with pytest.raises(ValueError, match="modification_id"):
        make(rows)


def test_a_row_without_its_picture_is_refused():
    with pytest.raises(ValueError, match="gallery"):
        make(pictures=6)
