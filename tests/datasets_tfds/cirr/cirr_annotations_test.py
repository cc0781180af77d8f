"""Damaged annotation files are named with file and row; the real ones have the published counts."""

import json
import os
import string
from collections import Counter
from pathlib import Path

import pytest

from datasets_tfds.cirr import annotations
from tests.datasets_tfds.cirr import toy

VAL, TRAIN = "captions/cap.rc2.val.json", "captions/cap.rc2.train.json"
EXTENDED, LISTED = "captions_ext/cap.ext.rc2.val.json", "image_splits/split.rc2.val.json"
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _change(name, change):
    def apply(root):
        values = toy.files()
        change(values[name])
        toy.write_annotations(root, {name: values[name]})

    return apply


def _overwrite(name, data):
    return lambda root: (root / name).write_bytes(data)


DAMAGES = {
    "cut off": (_overwrite(VAL, b'[{"pairid": 12, "refer'), r"cap\.rc2\.val\.json, line 1: cut off"),
    "not UTF-8": (_overwrite(VAL, b'[{"caption": "caf\xe9"}]'), r"cap\.rc2\.val\.json, line 1: not UTF-8"),
    "an object for a list": (_overwrite(VAL, b"{}"), r"cap\.rc2\.val\.json must hold a list"),
    "a list for an object": (_overwrite(LISTED, b"[]"), r"split\.rc2\.val\.json must hold a dict"),
    "a row of another type": (_overwrite(VAL, b"[12]"), r"cap\.rc2\.val\.json: row 0: 'caption'"),
    "wrong key": (
        _change(VAL, lambda rows: rows[1].update(candidate=rows[1].pop("reference"))),
        r"cap\.rc2\.val\.json: row 1: 'reference' is missing",
    ),
    "no target": (_change(VAL, lambda rows: rows[1].pop("target_hard")), r"row 1: 'target_hard' is missing"),
    "a number for a text": (_change(TRAIN, lambda rows: rows[0].update(caption=3)), r"train\.json: row 0: 'caption'"),
    "a text for a number": (_change(TRAIN, lambda rows: rows[1].update(pairid="3")), r"row 1: 'pairid'"),
    "a weight that is no number": (
        _change(VAL, lambda rows: rows[0]["target_soft"].update({"dev-6-1-img0": None})),
        r"row 0: 'dev-6-1-img0' is missing or of the wrong type",
    ),
    "five members": (_change(VAL, lambda rows: rows[1]["img_set"]["members"].pop()), r"row 1: 'members' should be six"),
    "a member that is no name": (
        _change(VAL, lambda rows: rows[0]["img_set"]["members"].append(4)),
        r"row 0: 'members' should be a list of names",
    ),
    "pair id twice": (_change(VAL, lambda rows: rows[1].update(pairid=12)), r"val\.json: row 1: the pair id 12 comes"),
    "image twice": (
        _overwrite(LISTED, b'{"dev-1-1-img0": "./dev/a.png", "dev-1-1-img0": "./dev/b.png"}'),
        r"split\.rc2\.val\.json: 'dev-1-1-img0' is there twice",
    ),
    "target not in the split": (
        _change(VAL, lambda rows: rows[1].update(target_hard="dev-99-1-img0")),
        r"val\.json: row 1: the image 'dev-99-1-img0' is not in the split's list",
    ),
    "member not in the split": (
        _change(VAL, lambda rows: rows[0]["img_set"]["members"].__setitem__(2, "train-1-0-img1")),
        r"val\.json: row 0: the image 'train-1-0-img1' is not in the split's list",
    ),
    "path that leaves the folder": (
        _change(LISTED, lambda listed: listed.update({"dev-4-1-img0": "./../x.png"})),
        r"split\.rc2\.val\.json: the path of 'dev-4-1-img0' does not point into the folder: './\.\./x\.png'",
    ),
    "absolute path": (_change(LISTED, lambda listed: listed.update({"dev-4-1-img0": "/x.png"})), r"'/x\.png'"),
    "path that is no text": (
        _change(LISTED, lambda listed: listed.update({"dev-4-1-img0": 4})),
        r"'dev-4-1-img0'.*: 4",
    ),
    "no answers for a pair": (_change(EXTENDED, lambda rows: rows.pop(0)), r"cap\.ext\.rc2\.val\.json has no row of"),
    "three answers": (
        _change(EXTENDED, lambda rows: rows[1]["caption_extend"].pop("2")),
        r"cap\.ext\.rc2\.val\.json: row 1: '2' is missing",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_named_with_its_row(tmp_path, damage):
    toy.write_annotations(tmp_path)
    apply, message = DAMAGES[damage]
    apply(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        annotations.load(tmp_path)
    assert "\n" not in str(error.value)


def test_answers_are_empty_without_the_extended_file(tmp_path):
    toy.write_annotations(tmp_path / "cirr")
    (tmp_path / "cirr" / EXTENDED).unlink()
    splits, left_out = annotations.load(tmp_path)
    assert {tuple(row["caption_extend"]) for row in splits["validation"].rows} == {("",) * 4}
    assert splits["test"].rows[0]["caption_extend"] == toy.ANSWERS
    assert not left_out


def test_folder_cirr_comes_first(tmp_path):
    toy.write_annotations(tmp_path / "cirr")
    toy.write_annotations(tmp_path, {VAL: []})
    assert len(annotations.load(tmp_path)[0]["validation"].rows) == 2


@pytest.fixture(scope="module")
def real():
    """The folder of the real annotations."""
    if "CIR_TF_ANNOTATIONS" not in os.environ:
        pytest.skip("CIR_TF_ANNOTATIONS is not set to a folder with the real annotations")
    return Path(os.environ["CIR_TF_ANNOTATIONS"]) / "cirr"


@pytest.fixture(scope="module")
def splits(real, tmp_path_factory):
    """The real splits, train rebuilt from a derived file that has neither pair ids nor sets."""
    root = tmp_path_factory.mktemp("cirr")
    for source in (real / "cirr").rglob("*.json"):
        path = root / source.relative_to(real)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source)
    derived = json.loads((real / "dqu_cir/keywords_in_mods_cirr_train.json").read_text())
    ends = [pair.split("+") for pair in derived]
    rows = [
        {"pairid": place, "reference": reference, "target_hard": target, "caption": caption, "img_set": {}}
        for place, ((reference, target), (caption, _)) in enumerate(zip(ends, derived.values(), strict=True))
    ]
    toy.write_annotations(root / "cirr", {TRAIN: rows})
    loaded, left_out = annotations.load(root)
    assert not left_out
    return loaded


def _words(text):
    """TIRG's tokens: without other letters and punctuation."""
    return text.encode("ascii", "ignore").decode().lower().translate(NO_PUNCTUATION).split()


@pytest.mark.parametrize(
    ("split", "images", "pairs", "references", "targets", "unused", "mean", "most", "vocabulary"),
    [
        ("train", 16939, 28225, 16080, 16353, 197, 11.27, 47, 7373),
        ("validation", 2297, 4181, 2165, 2206, 32, 11.01, 47, 3000),
        ("test", 2315, 4148, 2178, 0, 137, 10.69, 53, 3041),
    ],
)
def test_real_counts(splits, split, images, pairs, references, targets, unused, mean, most, vocabulary):
    relpaths, rows = splits[split]
    distinct = {row["reference_id"] for row in rows}
    answers = {row["target_id"] for row in rows if row["has_target"]}
    lengths = [len(_words(row["text"])) for row in rows]
    assert (len(relpaths), len(rows)) == (images, pairs)
    assert (len(distinct), len(answers), len(relpaths.keys() - distinct - answers)) == (references, targets, unused)
    assert (round(sum(lengths) / pairs, 2), max(lengths)) == (mean, most)
    assert len({word for row in rows for word in _words(row["text"])}) == vocabulary
    assert len({row["query_id"] for row in rows}) == pairs
    assert all(row["has_target"] == (split != "test") for row in rows)


def test_real_totals_and_folders(splits):
    names = [name for part in splits.values() for name in part.relpaths]
    assert len(names) == len(set(names)) == 21551
    assert sum(len(part.rows) for part in splits.values()) == 36554
    assert all(Path(path).stem == name for part in splits.values() for name, path in part.relpaths.items())
    folders = {split: {str(Path(p).parent) for p in part.relpaths.values()} for split, part in splits.items()}
    assert folders["train"] == {f"train/{i}" for i in range(100)}
    assert (folders["validation"], folders["test"]) == ({"dev"}, {"test1"})


def test_real_vocabulary_by_frequency(splits):
    words = {
        split: Counter(word for row in part.rows for word in _words(row["text"])) for split, part in splits.items()
    }
    assert [sum(n >= least for n in words["train"].values()) for least in (1, 2, 5)] == [7373, 4459, 2587]
    assert len(words["train"] | words["validation"] | words["test"]) == 8424


def test_real_sets(splits):
    for split in ("validation", "test"):
        relpaths, rows = splits[split]
        assert len({row["group_id"] for row in rows}) == 503
        for row in rows:
            assert len(set(row["group_ids"])) == 6
            assert {row["reference_id"], *row["target_ids"]} <= set(row["group_ids"])
        assert {name for row in rows for name in row["group_ids"]} == set(relpaths)
    assert {(row["group_id"], len(row["group_ids"])) for row in splits["train"].rows} == {(-1, 0)}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_real_pairs_are_distinct_and_lead_elsewhere(splits, split):
    pairs = [(row["reference_id"], row["target_id"]) for row in splits[split].rows]
    assert len(set(pairs)) == len(pairs)
    assert all(reference != target for reference, target in pairs)


def test_real_soft_targets(splits):
    rows = splits["validation"].rows
    weights = [dict(zip(row["soft_target_ids"], row["soft_target_weights"], strict=True)) for row in rows]
    sizes = Counter(map(len, weights))
    assert (sizes[1], min(sizes), max(sizes)) == (3536, 1, 8)
    assert Counter(w for soft in weights for w in soft.values()) == {1.0: 4216, 0.5: 62, 0.2: 6, -1.0: 807}
    hard = [soft.get(row["target_id"]) for row, soft in zip(rows, weights, strict=True)]
    assert (sum(w != 1.0 for w in hard), sum(w is None for w in hard)) == (42, 37)
    assert sum(row["reference_id"] in soft for row, soft in zip(rows, weights, strict=True)) == 37
    assert sum(len(soft.keys() - set(row["group_ids"])) for row, soft in zip(rows, weights, strict=True)) == 367
    assert all(not row["soft_target_ids"] for row in splits["test"].rows)


def test_real_answers(splits):
    answers = [text for row in splits["validation"].rows for text in row["caption_extend"]]
    assert len(answers) == 16724
    assert sum(text.startswith(("[c]", "[cr0]", "[cr1]")) for text in answers) == 5383
    assert {len(row["caption_extend"]) for row in splits["test"].rows} == {4}
    assert {tuple(row["caption_extend"]) for row in splits["train"].rows} == {("",) * 4}


def test_real_dirt(splits):
    rows = splits["validation"].rows
    assert max(Counter(row["reference_id"] for row in rows).values()) == 9
    asked = Counter((row["reference_id"], row["text"]) for row in rows)
    assert [n for n in asked.values() if n > 1] == [2] * 6
    assert len(rows) - len({row["text"] for row in rows}) == 24
    assert [row["query_id"] for row in splits["test"].rows if not row["text"]] == ["27098"]
    assert all(row["text"] for split in ("train", "validation") for row in splits[split].rows)


def test_real_queries_are_the_keys_of_the_example_uploads(splits, real):
    rows = splits["test"].rows
    for kind, names in (("recall", 50), ("recall_subset", 3)):
        suffix = "" if kind == "recall" else "_subset"
        demo = json.loads((real / f"demo_files/test1_pred_ranks_recall{suffix}.json").read_text())
        assert (demo.pop("version"), demo.pop("metric")) == ("rc2", kind)
        assert demo.keys() == {row["query_id"] for row in rows}
        assert {len(ranked) for ranked in demo.values()} == {names}
        if kind == "recall_subset":
            for row in rows:
                assert set(demo[row["query_id"]]) <= set(row["group_ids"]) - {row["reference_id"]}
    assert len(rows) == 4148
