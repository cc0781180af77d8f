"""Generated scenes and sentences: true, unambiguous, repeatable, and never the same combinations on both sides."""

import collections
import itertools

import numpy as np
import pytest

from datasets_tfds.css import scenes

PLACES = {(row, column): (r, c) for r, row in enumerate(("top", "middle", "bottom")) for c, column in
          enumerate(("left", "center", "right"))}  # fmt: skip


@pytest.fixture(scope="module", params=scenes.GENERATED_SPLITS)
def split(request):
    return request.param, scenes.make_split(request.param, 7, 320, 400)


def _read_place(word):
    r, c = PLACES[tuple(word.split("-"))]
    return (scenes.CENTERS[r], scenes.CENTERS[c])


def _read_words(words):
    """What a phrase says of an object: {attribute: value}."""
    said = {}
    for word in words:
        if "-" in word:
            said["pos"] = _read_place(word)
        for key, values in (("size", scenes.SIZES), ("color", scenes.COLORS), ("shape", scenes.SHAPES)):
            if word in values:
                said[key] = word
    return said


def _apply(text, objects):
    """The scene after the edit a sentence asks for, read without the generator's help, and how many objects fit."""
    verb, *words = text.split()
    if verb == "add":
        assert words[-2] == "to"
        return [*objects, _read_words(words)], 1
    said = _read_words(words if verb == "remove" else words[:-1])
    fits = [item for item in objects if said.items() <= item.items()]
    rest = [item for item in objects if item not in fits]
    if verb == "remove":
        return rest, len(fits)
    return [*rest, *(item | _read_words(words[-1:]) for item in fits)], len(fits)


def _as_set(objects):
    return {tuple(sorted(item.items())) for item in objects}


def test_sentence_fits_one_object_and_leads_to_the_target(split):
    _, data = split
    for reference, target, text in zip(data.reference_Q, data.target_Q, data.texts_Q, strict=True):
        result, fitting = _apply(text, data.objects_N[reference])
        assert fitting == 1, text
        assert _as_set(result) == _as_set(data.objects_N[target]), text
        assert len(result) == len(data.objects_N[target])


def test_an_edit_changes_the_scene(split):
    _, data = split
    assert all(data.labels_N[a] != data.labels_N[b] for a, b in zip(data.reference_Q, data.target_Q, strict=True))


def test_labels_are_equal_for_equal_scenes_only(split):
    _, data = split
    keys = [frozenset(_as_set(objects)) for objects in data.objects_N]
    assert len(set(keys)) == len(set(data.labels_N)) == len(set(zip(keys, data.labels_N, strict=True)))


def test_every_reference_has_several_one_edit_neighbours_in_the_gallery(split):
    _, data = split
    cells = [dict.fromkeys(scenes.POSITIONS, "") for _ in data.labels_N]
    for cell, label in zip(cells, data.labels_N, strict=True):
        cell.update(part.split(" ", 1) for part in label.split(", ") if part != "empty")
    values = np.array([list(cell.values()) for cell in cells])
    near_Q = [(np.sum(values != values[reference], axis=1) == 1).sum() for reference in data.reference_Q]
    assert min(near_Q) >= scenes.OPEN_CELLS


def test_each_reference_gets_two_different_edits(split):
    _, data = split
    pairs = collections.defaultdict(list)
    for reference, text in zip(data.reference_Q.tolist(), data.texts_Q, strict=True):
        pairs[reference].append(text)
    assert all(len(texts) == len(set(texts)) == 2 for texts in pairs.values())


def test_combinations_of_the_sides_are_disjoint_and_complete():
    train, test = scenes.COMBINATIONS["train"], scenes.COMBINATIONS["test"]
    assert not train & test
    assert train | test == set(itertools.product(scenes.SHAPES, scenes.COLORS))
    for side in (train, test):
        assert {shape for shape, _ in side} == set(scenes.SHAPES)
        assert {color for _, color in side} == set(scenes.COLORS)


def test_scenes_use_the_combinations_of_their_side_only(split):
    name, data = split
    seen = {(item["shape"], item["color"]) for objects in data.objects_N for item in objects}
    assert seen == scenes.COMBINATIONS[name]


def test_kinds_of_edit_are_balanced_and_test_has_no_new_word():
    train, test = (scenes.make_split(split, 0, 1600, 3200) for split in scenes.SPLITS)
    for data in (train, test):
        counts = collections.Counter(map(scenes.edit_kind, data.texts_Q))
        assert set(counts) == set(scenes.KINDS)
        assert min(counts.values()) > 0.15 * 3200
    words = [{word for text in data.texts_Q for word in text.split()} for data in (train, test)]
    assert words[1] <= words[0]


def test_modifications_number_the_sentences(split):
    _, data = split
    pairs = set(zip(data.texts_Q, data.modification_Q.tolist(), strict=True))
    assert len(pairs) == len(set(data.texts_Q)) == len(set(data.modification_Q.tolist()))


def test_equal_seeds_give_equal_data_and_other_seeds_other_data():
    first, again, other = (scenes.make_split("test", seed, 32, 24) for seed in (3, 3, 4))
    assert first.labels_N == again.labels_N
    assert first.texts_Q == again.texts_Q
    np.testing.assert_array_equal(first.target_Q, again.target_Q)
    assert first.labels_N != other.labels_N


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("add large blue rectangle to bottom-left", "add"),
        ("remove gray circle", "remove"),
        ("make middle-center small triangle large", "change_size"),
        ("make large object purple", "change_color"),
        ("make red circle triangle", "change_shape"),
        ("make red circle shiny", "change"),
        ("", "change"),
    ],
)
def test_kind_of_edit_is_read_off_the_sentence(text, kind):
    assert scenes.edit_kind(text) == kind


@pytest.mark.parametrize(("pictures", "queries"), [(30, 4), (0, 2), (32, 3), (32, 66), (32, 0)])
def test_impossible_sizes_are_refused(pictures, queries):
    with pytest.raises(ValueError, match="Received"):
        scenes.make_split("train", 0, pictures, queries)
