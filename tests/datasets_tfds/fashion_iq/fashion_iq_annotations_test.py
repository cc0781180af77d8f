"""FashionIQ's annotation files: a toy copy, damaged ones, and every count of the real ones."""

import collections
import json
import os
import re
import string
from pathlib import Path

import numpy as np
import pytest

from datasets_tfds.fashion_iq import annotations, fashion_iq_dataset_builder
from tests.datasets_tfds.fashion_iq import toy

COUNTS = {  # images, rows, references, targets, used, unused, mean and longest of words in a caption, vocabulary
    ("dress", "train"): (11452, 5985, 3874, 5985, 7757, 3695, 5.25, 16, 1598),
    ("dress", "validation"): (3817, 2017, 1331, 2017, 2628, 1189, 5.26, 18, 990),
    ("dress", "test"): (3818, 2024, 1356, 0, 1356, 2462, 5.33, 18, 937),
    ("shirt", "train"): (19036, 5988, 4408, 5988, 8988, 10048, 5.22, 18, 2290),
    ("shirt", "validation"): (6346, 2038, 1541, 2038, 3089, 3257, 5.24, 15, 1164),
    ("shirt", "test"): (6346, 2038, 1496, 0, 1496, 4850, 5.27, 15, 1185),
    ("toptee", "train"): (16121, 6027, 4328, 6027, 8695, 7426, 5.49, 18, 2148),
    ("toptee", "validation"): (5373, 1961, 1454, 1961, 2902, 2471, 5.56, 16, 1137),
    ("toptee", "test"): (5374, 2056, 1509, 0, 1509, 3865, 5.59, 17, 1231),
}
DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _damage(path, change):
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    toy.write_json(path, value)


DAMAGES = {
    "a list that is an object": ("cap", lambda path: path.write_text("{}"), "must hold a list, and holds a dict"),
    "cut off": ("cap", lambda path: path.write_text(path.read_text()[:90]), r"line \d+: cut off or not JSON"),
    "not UTF-8": ("cap", lambda path: path.write_bytes(path.read_text().encode("latin-1")), r"line \d+: not UTF-8"),
    "a row that is a text": (
        "cap",
        lambda path: _damage(path, lambda rows: rows.insert(1, "x")),
        r"row 1 .*not an object",
    ),
    "a wrong key": (
        "cap",
        lambda path: _damage(path, lambda rows: rows[2].update(caption=rows[2].pop("captions"))),
        r"row 2 .*no 'captions', but 'candidate', 'target', 'caption'",
    ),
    "no target": ("cap", lambda path: _damage(path, lambda rows: rows[1].pop("target")), r"row 1 .*no 'target'"),
    "one caption": (
        "cap",
        lambda path: _damage(path, lambda rows: rows[0].update(captions=["only one"])),
        r"row 0 .*'captions' must be two texts, and is \['only one'\]",
    ),
    "a number for an id": (
        "cap",
        lambda path: _damage(path, lambda rows: rows[0].update(candidate=7)),
        r"row 0 .*7 is no image id",
    ),
    "a target not in the gallery": (
        "cap",
        lambda path: _damage(path, lambda rows: rows[1].update(target="B0UNKNOWN1")),
        r"row 1 .*the target 'B0UNKNOWN1' is not in split\.dress\.train\.json",
    ),
    "a reference not in the gallery": (
        "cap",
        lambda path: _damage(path, lambda rows: rows[2].update(candidate="B0UNKNOWN1")),
        r"row 2 .*the candidate 'B0UNKNOWN1' is not in",
    ),
    "an id twice": (
        "split",
        lambda path: _damage(path, lambda ids: ids.append(ids[1])),
        r"row 5 .*the id 'BDTR000001' is in row 1 already",
    ),
    "a path for an id": (
        "split",
        lambda path: _damage(path, lambda ids: ids.insert(3, "../../secret")),
        r"row 3 .*'../../secret' is no image id",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_are_named_with_the_row(tmp_path, kind):
    toy.write(tmp_path, kinds=["dress"])
    what, damage, message = DAMAGES[kind]
    folder = {"cap": "captions", "split": "image_splits"}[what]
    name = f"{what}.dress.train.json"
    damage(tmp_path / folder / name)
    with pytest.raises(ValueError, match=f"{re.escape(name)}.*{message}") as error:
        annotations.load(tmp_path, "dress")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["captions/cap.dress.val.json", "image_splits/split.dress.test.json"])
def test_a_missing_file_is_named_with_its_source(tmp_path, name):
    toy.write(tmp_path, kinds=["dress"])
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(name)} is missing\. The annotations are at https://"):
        annotations.load(tmp_path, "dress")


def test_captions_is_preferred_to_json(tmp_path):
    toy.write(tmp_path, kinds=["dress"])
    toy.write_json(tmp_path / "json/cap.dress.train.json", [])
    assert len(annotations.load(tmp_path, "dress")["train"].queries) == 3


def test_targets_in_a_test_file_are_used(tmp_path):
    toy.write(tmp_path, kinds=["dress"])
    names = toy.ids("dress", "test")
    _damage(tmp_path / "captions/cap.dress.test.json", lambda rows: rows[1].update(target=names[4]))
    queries = annotations.load(tmp_path, "dress")["test"].queries
    assert [query.target_id for query in queries] == ["", names[4], ""]


def test_ids_of_all_kinds_stay_apart(tmp_path):
    toy.write(tmp_path)
    splits = annotations.load(tmp_path, "all")
    assert f"shirt/{toy.SHARED}" in splits["validation"].gallery
    assert f"toptee/{toy.SHARED}" in splits["train"].gallery
    assert [query.query_id for query in splits["train"].queries[2:5]] == [
        "dress-train-2",
        "shirt-train-0",
        "shirt-train-1",
    ]
    candidates = annotations.candidates("all", f"shirt/{toy.SHARED}")
    assert candidates[0] == f"shirt/{toy.SHARED}.jpg"
    assert candidates == annotations.candidates("shirt", toy.SHARED)


def test_union_keeps_the_order_of_the_list():
    queries = [annotations.Query("q", "dress", "c", "a", ("", "")), annotations.Query("r", "dress", "e", "", ("", ""))]
    assert annotations.Split(queries, list("abcde")).union() == ["a", "c", "e"]


@pytest.mark.parametrize(
    ("captions", "text"),
    [
        (["is longer, with lace.", " More formal and navy?"], "is longer, with lace and More formal and navy"),
        (["", "has no sleeves"], "has no sleeves"),
        (["red . ", " ?., \t"], "red"),
        (["", " "], ""),
        (["U.S. flag,?", "is blue"], "U.S. flag and is blue"),
    ],
)
def test_text_joins_the_stripped_captions(captions, text):
    assert annotations.join(captions) == text


def test_attributes_become_a_text_as_in_val():
    lists = [["Dress"], ["Floral", "dotted"], [], ["lace", "FLORAL"], ["mini"]]
    assert annotations.attribute_text(lists) == "mini lace floral dotted dress"
    many = [[f"a{i}" for i in range(15)], [f"b{i}" for i in range(15)]]
    words = annotations.attribute_text(many).split()
    assert words == [*(f"b{i}" for i in range(10, 15)), *(f"a{i}" for i in range(15))]
    assert annotations.attribute_text([[], []]) == ""


def test_side_texts_are_of_all_kinds(tmp_path):
    for kind in annotations.KINDS:
        value = {"B000000001": [[kind], ["Red"]], "B000000002": [[], []]}
        toy.write_json(tmp_path / "tags" / f"asin2attr.{kind}.train.json", value)
    assert annotations.side_texts(tmp_path) == {f"{kind}/B000000001": f"red {kind}" for kind in annotations.KINDS}
    for wrong in ("red", ["red"], [[7]]):
        toy.write_json(tmp_path / "tags" / "asin2attr.shirt.train.json", {"B000000001": wrong})
        with pytest.raises(ValueError, match=r"asin2attr\.shirt\.train\.json: B000000001 must have lists"):
            annotations.side_texts(tmp_path)
    (tmp_path / "tags" / "asin2attr.toptee.train.json").unlink()
    toy.write_json(tmp_path / "tags" / "asin2attr.shirt.train.json", {})
    with pytest.raises(FileNotFoundError, match=r"asin2attr\.toptee\.train\.json is neither in"):
        annotations.side_texts(tmp_path)


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("CIR_TF_ANNOTATIONS")
    if not folder:
        pytest.skip("needs the real annotations: set CIR_TF_ANNOTATIONS to the folder that holds fashion_iq/")
    return {subset: annotations.load(Path(folder) / "fashion_iq", subset) for subset in annotations.SUBSETS}


def _words(captions):
    return [text.encode("ascii", "ignore").decode().lower().translate(DELETE_PUNCTUATION).split() for text in captions]


def _captions(split):
    return [text for query in split.queries for text in query.captions]


@pytest.mark.parametrize(("kind", "split"), COUNTS)
def test_real_counts_of_a_kind(real, kind, split):
    data = real[kind][split]
    references, targets = ({query[i] for query in data.queries} - {""} for i in (2, 3))
    words = _words(_captions(data))
    assert COUNTS[kind, split] == (
        len(data.gallery),
        len(data.queries),
        len(references),
        len(targets),
        len(data.union()),
        len(data.gallery) - len(data.union()),
        round(np.mean([len(caption) for caption in words]), 2),
        max(map(len, words)),
        len(set().union(*words)),
    )
    assert not any(query.reference_id == query.target_id for query in data.queries)
    assert {len(image_id) for image_id in data.gallery} == {10}
    assert {row["category"] for row in _rows(data)} == {kind}
    assert {row["has_target"] for row in _rows(data)} == {split != "test"}


def _rows(data):
    return fashion_iq_dataset_builder.rows(data.queries)


def test_real_totals(real):
    everything = real["all"]
    entries = [len(data.gallery) for data in everything.values()]
    distinct = [{image_id.split("/")[1] for image_id in data.gallery} for data in everything.values()]
    assert entries == [46609, 15536, 15538]
    assert list(map(len, distinct)) == [45429, 15415, 15417]
    assert len(set().union(*distinct)) == 74381
    assert [len(data.queries) for data in everything.values()] == [18000, 6016, 6118]
    assert len(everything["validation"].union()) == 2628 + 3089 + 2902
    for data in everything.values():
        assert len(set(data.gallery)) == len(data.gallery)
        assert len({query.query_id for query in data.queries}) == len(data.queries)
    assert {annotations.version(subset, real[subset])[-40:] for subset in real} == {annotations.COMMIT}


def test_real_products_of_two_kinds(real):
    ids = {(kind, split): set(data.gallery) for kind in annotations.KINDS for split, data in real[kind].items()}
    of_kind = {kind: set().union(*(ids[kind, split] for split in annotations.SPLITS)) for kind in annotations.KINDS}
    assert len(of_kind["shirt"] & of_kind["toptee"]) == 3302
    assert not of_kind["dress"] & (of_kind["shirt"] | of_kind["toptee"])
    assert len(ids["shirt", "validation"] & ids["toptee", "train"]) == 419
    assert len(ids["toptee", "validation"] & ids["shirt", "train"]) == 392
    for kind, other, count in (("shirt", "toptee", 140), ("toptee", "shirt", 145)):
        queries = real[kind]["validation"].queries
        assert sum(query.target_id in ids[other, "train"] for query in queries) == count
    for kind in annotations.KINDS:
        assert len(of_kind[kind]) == sum(len(ids[kind, split]) for split in annotations.SPLITS)
    pairs = [{query[2:4] for data in real[kind].values() for query in data.queries if query[3]} for kind in real]
    assert len(pairs[1] & pairs[2]) == 28


def test_real_captions(real):
    empty = {
        (kind, split): sum(not text.strip() for text in _captions(data))
        for kind in annotations.KINDS
        for split, data in real[kind].items()
    }
    assert {place: count for place, count in empty.items() if count} == {
        ("toptee", "train"): 12,
        ("toptee", "validation"): 2,
        ("shirt", "validation"): 1,
        ("shirt", "test"): 1,
    }
    captions = [text for data in real["all"].values() for text in _captions(data)]
    assert sum(text != text.strip() for text in captions) == 1679
    assert sum(not text.isascii() for text in captions) == 2
    assert max(map(len, captions)) == 103
    train, validation, test = (_words(_captions(data)) for data in real["all"].values())
    often = collections.Counter(word for caption in train for word in caption)
    assert [sum(count >= least for count in often.values()) for least in (1, 2, 5)] == [3945, 1973, 954]
    assert len(set().union(*train, *validation)) == 4574
    assert len(set().union(*train, *validation, *test)) == 5136
    texts = [row["text"] for data in real["all"].values() for row in _rows(data)]
    assert all(texts)
    lengths = list(map(len, _words(texts)))
    assert (round(np.mean(lengths), 1), max(lengths)) == (11.7, 29)


def test_real_repeated_rows(real):
    same = {}
    for kind in annotations.KINDS:
        for split, data in real[kind].items():
            same[kind, split] = sum(a.lower() == b.lower() for a, b in (query.captions for query in data.queries))
    assert list(same.values()) == [29, 4, 5, 57, 11, 13, 43, 7, 11]
    repeated = {
        kind: len(queries) - len({(query.reference_id, query.captions) for query in queries})
        for kind in annotations.KINDS
        for queries in [real[kind]["test"].queries]
    }
    assert repeated == {"dress": 6, "shirt": 6, "toptee": 0}
    groups = []
    for kind in annotations.KINDS:
        often = collections.Counter((query[2], query.captions) for query in real[kind]["validation"].queries)
        groups.append(sum(count > 1 for count in often.values()))
    assert groups == [5, 1, 3]
