"""Damaged annotation files are named with file and row; the real ones have the published counts."""

import json
import os
import string
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datasets_tfds.circo import annotations
from tests.datasets_tfds.circo import toy

VAL, TEST = "annotations/val.json", "annotations/test.json"
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
GALLERY = 123403


def _change(name, change):
    def apply(root):
        values = toy.files()
        change(values[name])
        toy.write_annotations(root, {name: values[name]})

    return apply


def _overwrite(name, data):
    return lambda root: (root / name).write_bytes(data)


def _images(change):
    return _change(annotations.LIST, lambda listed: change(listed["images"]))


DAMAGES = {
    "cut off": (_overwrite(VAL, b'[{"id": 0, "gt_img'), r"val\.json, line 1: cut off"),
    "not UTF-8": (_overwrite(TEST, b'[{"relative_caption": "caf\xe9"}]'), r"test\.json, line 1: not UTF-8"),
    "an object for a list": (_overwrite(VAL, b"{}"), r"val\.json must hold a list"),
    "a row of another type": (_overwrite(VAL, b"[12]"), r"val\.json: row 0: 'relative_caption'"),
    "wrong key": (
        _change(TEST, lambda rows: rows[1].update(candidate=rows[1].pop("reference_img_id"))),
        r"test\.json: row 1: 'reference_img_id' is missing",
    ),
    "no target": (_change(VAL, lambda rows: rows[1].pop("target_img_id")), r"row 1: 'target_img_id' is missing"),
    "a text for a number": (_change(VAL, lambda rows: rows[0].update(id="0")), r"row 0: 'id' is missing or of the"),
    "an accepted text": (_change(VAL, lambda rows: rows[0]["gt_img_ids"].append("7")), r"row 0: 'gt_img_ids' should"),
    "aspects that are no texts": (_change(VAL, lambda rows: rows[1].update(semantic_aspects=[3])), r"row 1: .*aspects"),
    "id twice": (_change(TEST, lambda rows: rows[2].update(id=1)), r"test\.json: row 2: the id 1 comes twice"),
    "answer not in the gallery": (
        _change(VAL, lambda rows: rows[0]["gt_img_ids"].append(99)),
        r"val\.json: row 0: the image 99 is not in image_info",
    ),
    "reference not in the gallery": (
        _change(TEST, lambda rows: rows[2].update(reference_img_id=8)),
        r"test\.json: row 2: the image 8 is not in image_info",
    ),
    "list cut off": (_overwrite(annotations.LIST, b'{"images": [{"id": 1,'), r"unlabeled2017\.json: cut off, or not"),
    "list not UTF-8": (_overwrite(annotations.LIST, b'{"images": ["\xe9"]}'), r"unlabeled2017\.json: .*UTF-8"),
    "list of something else": (_overwrite(annotations.LIST, b"[]"), r"unlabeled2017\.json: 'images' is missing"),
    "list without names": (_images(lambda images: images[3].pop("file_name")), r"json: image 3: 'id' or 'file_name'"),
    "list without ids": (_images(lambda images: images[2].pop("id")), r"json: image 2: 'id' or 'file_name'"),
    "image twice": (_images(lambda images: images.append(images[1])), r"json: image 6: the id 101 comes twice"),
    "path that leaves the folder": (
        _images(lambda images: images[4].update(file_name="../x.jpg")),
        r"json: image 4: '\.\./x\.jpg' is not the plain name",
    ),
    "absolute path": (_images(lambda images: images[0].update(file_name="/x.jpg")), r"image 0: '/x\.jpg' is not the"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_named_with_its_row(tmp_path, damage):
    toy.write_annotations(tmp_path)
    apply, message = DAMAGES[damage]
    apply(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        annotations.load(tmp_path)
    assert "\n" not in str(error.value)


def test_gallery_needs_no_queries(tmp_path):
    toy.write_annotations(tmp_path, {annotations.LIST: toy.image_list()})
    files, rows = annotations.load(tmp_path, with_rows=False)
    assert (list(files), rows) == ([str(image_id) for image_id in toy.IDS], {})
    with pytest.raises(FileNotFoundError, match=r"val\.json is missing"):
        annotations.load(tmp_path)


@pytest.fixture(scope="module")
def real():
    """The folder of the real annotations."""
    if "CIR_TF_ANNOTATIONS" not in os.environ:
        pytest.skip("CIR_TF_ANNOTATIONS is not set to a folder with the real annotations")
    return Path(os.environ["CIR_TF_ANNOTATIONS"]) / "circo"


@pytest.fixture(scope="module")
def loaded(real, tmp_path_factory):
    """The real rows, with a list of the real length that has their images and made-up ones, in mixed order."""
    root = tmp_path_factory.mktemp("circo")
    (root / "annotations").symlink_to(real / "annotations")
    used = set()
    for name in (VAL, TEST):
        for row in json.loads((real / name).read_text()):
            used |= {row["reference_img_id"], *row.get("gt_img_ids", [])}
    others = sorted(set(range(GALLERY + len(used))) - used)[: GALLERY - len(used)]
    ids = np.random.default_rng(0).permutation(sorted(used) + others).tolist()
    toy.write_annotations(root, {annotations.LIST: toy.image_list(ids)})
    files, rows = annotations.load(root)
    assert list(files) == [str(image_id) for image_id in ids]
    return files, rows


def _words(text):
    """TIRG's tokens: without other letters and punctuation."""
    return text.encode("ascii", "ignore").decode().lower().translate(NO_PUNCTUATION).split()


@pytest.mark.parametrize(
    ("split", "queries", "references", "caption", "concept", "vocabulary"),
    [
        ("validation", 220, 220, (10.30, 23), (6.20, 17), (385, 585)),
        ("test", 800, 798, (10.56, 27), (6.08, 18), (831, 1146)),
    ],
)
def test_real_counts(loaded, split, queries, references, caption, concept, vocabulary):
    rows = loaded[1][split]
    captions, concepts = ([_words(row[key]) for row in rows] for key in ("text", "shared_concept"))
    assert (len(rows), len({row["reference_id"] for row in rows})) == (queries, references)
    for texts, expected in ((captions, caption), (concepts, concept)):
        lengths = [len(words) for words in texts]
        assert (round(sum(lengths) / queries, 2), max(lengths)) == expected
    sizes = [len({word for words in texts for word in words}) for texts in (captions, captions + concepts)]
    assert tuple(sizes) == vocabulary
    assert [row["query_id"] for row in rows] == [str(i) for i in range(queries)]
    assert all(row["has_target"] == (split == "validation") for row in rows)


def test_real_answers(loaded, real):
    rows = loaded[1]["validation"]
    sizes = [len(row["target_ids"]) for row in rows]
    assert (sum(sizes), round(np.mean(sizes), 2), min(sizes), max(sizes)) == (916, 4.16, 1, 14)
    for row, raw in zip(rows, json.loads((real / VAL).read_text()), strict=True):
        assert row["target_ids"] == [str(image_id) for image_id in raw["gt_img_ids"]]
        assert row["target_id"] == row["target_ids"][0] == str(raw["target_img_id"])
        assert row["reference_id"] not in row["target_ids"]


def test_real_aspects(loaded):
    assert Counter(aspect for row in loaded[1]["validation"] for aspect in row["semantic_aspects"]) == {
        "statement_with_conjunction": 164,
        "direct_addressing": 119,
        "spatial_relations_background": 100,
        "compare_change": 86,
        "addition": 80,
        "viewpoint": 54,
        "comparative_statement": 50,
        "cardinality": 37,
        "negation": 21,
    }
    assert not any(row["semantic_aspects"] for row in loaded[1]["test"])


def test_real_splits_share_one_reference(loaded):
    validation, test = ({row["reference_id"] for row in rows} for rows in loaded[1].values())
    assert len(validation & test) == 1


def test_gallery_has_the_published_length(loaded):
    assert len(loaded[0]) == GALLERY


def test_real_example_predictions_have_the_published_scores(loaded, real):
    predicted = json.loads((real / "submission_examples/submission_val.json").read_text())
    rows = loaded[1]["validation"]
    assert predicted.keys() == {row["query_id"] for row in rows}
    ranked_QK = np.array([[str(image_id) for image_id in predicted[row["query_id"]]] for row in rows])
    hit_QK = np.array([np.isin(ranked, row["target_ids"]) for ranked, row in zip(ranked_QK, rows, strict=True)])
    is_first_QK = ranked_QK == np.array([row["target_id"] for row in rows])[:, None]
    precision_QK = np.cumsum(hit_QK, axis=1) / np.arange(1, 51)
    accepted_Q = np.array([len(row["target_ids"]) for row in rows])
    for k, mean_ap, recall in ((5, 0.4861, 0.9091), (10, 0.5178, 0.9091), (25, 0.54, 1.3636), (50, 0.602, 3.6364)):
        ap_Q = (hit_QK * precision_QK)[:, :k].sum(axis=1) / np.minimum(accepted_Q, k)
        assert 100 * ap_Q.mean() == pytest.approx(mean_ap, abs=5e-5)
        assert 100 * is_first_QK[:, :k].any(axis=1).mean() == pytest.approx(recall, abs=5e-5)


def test_real_example_upload_has_the_keys_of_test(loaded, real):
    upload = json.loads((real / "submission_examples/submission_test.json").read_text())
    assert upload.keys() == {row["query_id"] for row in loaded[1]["test"]}
