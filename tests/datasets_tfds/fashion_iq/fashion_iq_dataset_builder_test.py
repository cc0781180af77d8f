"""Toy builds of FashionIQ: every layout, every view, both policies."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets_tfds.fashion_iq.fashion_iq_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.fashion_iq import toy

CONFIGS = {config.name: config for config in Builder.BUILDER_CONFIGS}


def _build(folder, name, **fields):
    """Prepares a config, reads it again without the builder's class, and returns ({split: rows}, metadata)."""
    config = dataclasses.replace(CONFIGS[name], name=f"{name}_toy", **fields) if fields else CONFIGS[name]
    builder = Builder(data_dir=folder / "data", config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder / "manual"))
    again = tfds.builder_from_directory(builder.data_dir)
    return {split: _rows(again, split) for split in again.info.splits}, again.info.metadata


def _rows(builder, split):
    rows = tfds.as_numpy(builder.as_dataset(split=split))
    return [{key: _text(value) for key, value in row.items()} for row in rows]


def _text(value):
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [item.decode() for item in value]
    return value.decode() if isinstance(value, bytes) else value


def _ids(rows, key="image_id"):
    return [row[key] for row in rows]


@pytest.fixture
def copy(tmp_path):
    toy.write(tmp_path / "manual")
    return tmp_path


class FashionIqTest(copies.ToyCopy, tfds.testing.DatasetBuilderTestCase):
    """TFDS' own checks, with and without pictures."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["shirt", "toptee_index"]
    SPLITS = {"train": 3, "validation": 3, "test": 3}
    SKIP_CHECKSUMS = True
    write = staticmethod(toy.write)


def test_configs_are_three_views_of_each_subset():
    assert list(CONFIGS) == [
        s + view for s in ("dress", "shirt", "toptee", "all") for view in ("", "_index", "_gallery")
    ]
    assert {config.on_missing for config in CONFIGS.values()} == {"error"}


@pytest.mark.parametrize("layout", toy.LAYOUTS)
def test_every_layout_is_found_by_itself(tmp_path, layout):
    toy.write(tmp_path / "manual", layout, kinds=["shirt"])
    splits, metadata = _build(tmp_path, "shirt_gallery")
    path = toy.LAYOUTS[layout][1]
    assert metadata["layout"] == path.format(kind="shirt", id="<id>")
    assert _ids(splits["train"]) == toy.ids("shirt", "train")
    for row in splits["validation"]:
        assert row["relpath"] == path.format(kind="shirt", id=row["image_id"])
        assert row["image"].shape == (2, toy.width(row["image_id"]), 3)


def test_rows_follow_the_files(copy):
    splits, metadata = _build(copy, "dress_index")
    assert list(splits) == ["train", "validation", "test"]
    names = toy.ids("dress", "val")
    assert splits["validation"][0] == {
        "query_id": "dress-val-0",
        "reference_id": names[0],
        "text": "is longer, with lace and More formal and navy",
        "captions": ["is longer, with lace.", " More formal and navy?"],
        "target_id": names[1],
        "has_target": True,
        "target_ids": [names[1]],
        "target_class": "",
        "group_ids": [],
        "category": "dress",
    }
    assert _ids(splits["train"], "query_id") == ["dress-train-0", "dress-train-1", "dress-train-2"]
    assert splits["train"][1]["text"] == "has no sleeves"
    assert splits["train"][2]["captions"] == ["a café logo", "a café logo"]
    assert metadata["annotations"].startswith("no known version (digest ")


def test_index_needs_no_pictures(copy):
    shutil.rmtree(copy / "manual/images")
    splits, metadata = _build(copy, "toptee_index")
    assert [len(rows) for rows in splits.values()] == [3, 3, 3]
    assert "pictures" not in metadata


def test_targets_of_test_are_hidden(copy):
    splits, _ = _build(copy, "dress")
    for row in splits["test"]:
        assert (row["has_target"], row["target_id"], row["target_ids"]) == (False, "", [])
        np.testing.assert_array_equal(row["target_image"], np.zeros((1, 1, 3), np.uint8))
        assert row["reference_image"].shape == (2, toy.width(row["reference_id"]), 3)
    for row in splits["validation"]:
        assert row["has_target"]
        assert row["target_image"].shape == (2, toy.width(row["target_id"]), 3)


def test_union_gallery_leaves_out_what_no_row_uses(copy):
    splits, _ = _build(copy, "toptee_gallery")
    names = toy.ids("toptee", "val")
    assert _ids(splits["validation"]) == names
    assert _ids(splits["validation_union"]) == names[:4]
    assert _ids(splits["test"]) == toy.ids("toptee", "test")


def test_ids_of_all_are_unique_and_join(copy):
    galleries, metadata = _build(copy, "all_gallery")
    rows, _ = _build(copy, "all_index")
    for split in ("train", "validation", "test"):
        gallery = {row["image_id"]: row for row in galleries[split]}
        assert len(gallery) == len(galleries[split]) == 15
        for row in rows[split]:
            assert gallery[row["reference_id"]]["category"] == row["category"] == row["query_id"].split("-")[0]
            assert not row["has_target"] or row["target_id"] in gallery
    assert metadata["pictures"] == 45
    shared = [row for split in ("train", "validation") for row in galleries[split] if toy.SHARED in row["image_id"]]
    assert _ids(shared) == [f"toptee/{toy.SHARED}", f"shirt/{toy.SHARED}"]
    assert {row["relpath"] for row in shared} == {f"images/{toy.SHARED}.jpg"}


def test_error_policy_names_what_is_missing(copy):
    names = toy.ids("dress", "train")
    (copy / f"manual/images/{names[1]}.jpg").unlink()
    (copy / f"manual/images/{names[4]}.jpg").write_bytes(b"<html>gone</html>")
    message = rf"2 of 15 pictures cannot be used: {names[1]} \(missing\), {names[4]} \(no picture"
    for view in ("dress", "dress_gallery"):
        with pytest.raises(ValueError, match=message):
            _build(copy, view)


def test_skip_drops_rows_and_gallery_entries_alike(copy):
    train, val = toy.ids("dress", "train"), toy.ids("dress", "val")
    (copy / f"manual/images/{train[0]}.jpg").unlink()
    (copy / f"manual/images/{val[2]}.jpg").write_bytes(b"")
    views = {view: _build(copy, f"dress{view}", on_missing="skip") for view in ("", "_index", "_gallery")}
    for view in ("", "_index"):
        splits, metadata = views[view]
        assert _ids(splits["train"], "query_id") == ["dress-train-1", "dress-train-2"]
        assert _ids(splits["validation"], "query_id") == ["dress-val-0"]
        assert len(splits["test"]) == 3
        assert metadata["dropped"] == {"train": 1, "validation": 2, "test": 0}
    splits, metadata = views["_gallery"]
    assert _ids(splits["train"]) == train[1:]
    assert _ids(splits["validation"]) == [val[0], val[1], val[3], val[4]]
    assert _ids(splits["validation_union"]) == [val[0], val[1], val[3]]
    assert metadata["dropped"] == {"train": 1, "validation": 1, "test": 0, "validation_union": 1}
    assert metadata["missing_ids"] == [train[0]]
    assert metadata["bad_ids"] == {val[2]: "0 bytes"}
    assert len({metadata["stamp"] for _, metadata in views.values()}) == 1
    assert json.loads(json.dumps(metadata))["on_missing"] == "skip"


def test_a_split_without_any_picture_is_left_out_under_skip(copy):
    for name in toy.ids("dress", "train"):
        (copy / f"manual/images/{name}.jpg").unlink()
    splits, metadata = _build(copy, "dress", on_missing="skip")
    assert list(splits) == ["validation", "test"]
    assert metadata["dropped"]["train"] == 3


def test_a_copy_that_makes_no_row_is_an_error(copy):
    for official in toy.OFFICIAL:
        for name in toy.ids("dress", official)[:4]:
            (copy / f"manual/images/{name}.jpg").unlink()
    with pytest.raises(ValueError, match="makes no row of dress_toy"):
        _build(copy, "dress", on_missing="skip")
