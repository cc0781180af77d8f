"""Small builds of every view from a toy copy, in every layout and with holes."""

import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets_tfds.cirr.cirr_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.cirr import toy

CONFIGS = {config.name: config for config in Builder.BUILDER_CONFIGS}
LAYOUTS = {
    "CLIP4Cir": ("cirr", ""),
    "official": ("cirr", "cirr/img_raw"),
    "official, from inside": ("", "img_raw"),
    "Pic2Word": ("", ""),
    "beside the annotations": ("cirr", "cirr"),
}


@pytest.fixture
def root(tmp_path):
    return toy.write(tmp_path / "copy")


def _build(root, name, **fields):
    """The prepared builder, opened anew, and {split: rows}."""
    config = dataclasses.replace(CONFIGS[name], name=f"toy_{name}", **fields)
    data_dir = root.with_name("data")
    manual = tfds.download.DownloadConfig(manual_dir=root)
    Builder(data_dir=data_dir, config=config).download_and_prepare(download_config=manual)
    builder = Builder(data_dir=data_dir, config=config)
    rows = {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}
    return builder, rows


def _texts(values):
    return [value.decode() for value in values]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_gallery(tmp_path, layout):
    builder, galleries = _build(toy.write(tmp_path / "copy", *LAYOUTS[layout]), "rc2_gallery")
    assert list(galleries) == ["train", "validation", "test"]
    for rows, listed in zip(galleries.values(), toy.RELPATHS.values(), strict=True):
        assert _texts(row["image_id"] for row in rows) == list(listed)
        assert _texts(row["relpath"] for row in rows) == [path[2:] for path in listed.values()]
        for row in rows:
            width, height = toy.size(row["image_id"].decode())
            assert row["image"].shape == (height, width, 3)
    metadata = builder.info.metadata
    assert (metadata["annotations"], metadata["pictures"], metadata["missing"]) == ("rc2", 16, 0)
    assert metadata["layout"].startswith(LAYOUTS[layout][1])


def test_triplets_show_the_pictures_of_their_ids_and_a_pixel_where_hidden(root):
    builder, triplets = _build(root, "rc2")
    for row in triplets["train"] + triplets["validation"]:
        for role in ("reference", "target"):
            width, height = toy.size(row[f"{role}_id"].decode())
            assert row[f"{role}_image"].shape == (height, width, 3)
    (row,) = triplets["test"]
    np.testing.assert_array_equal(row["target_image"], np.zeros((1, 1, 3)))
    assert row["reference_image"].shape == (11, 4, 3)
    assert (row["target_id"], row["has_target"], len(row["target_ids"])) == (b"", False, 0)
    assert builder.info.supervised_keys is not None


def test_index_rows_hold_everything_but_pictures_and_need_none(tmp_path):
    root = tmp_path / "copy"
    toy.write_annotations(root)
    builder, rows = _build(root, "rc2_index")
    assert {split: len(part) for split, part in rows.items()} == {"train": 2, "validation": 2, "test": 1}
    row = rows["validation"][0]
    assert (row["query_id"], row["reference_id"], row["target_id"]) == (b"12", b"dev-0-1-img0", b"dev-6-1-img0")
    assert (row["text"], _texts(row["captions"])) == (b"Same dog, on GRASS.", [" Same dog, on GRASS. "])
    assert (row["has_target"], _texts(row["target_ids"])) == (True, ["dev-6-1-img0"])
    assert (_texts(row["group_ids"]), row["group_id"]) == (toy.MEMBERS["val"], 36)
    assert _texts(row["soft_target_ids"]) == ["dev-3-1-img0", "dev-6-1-img0", "dev-1-1-img0"]
    np.testing.assert_array_equal(row["soft_target_weights"], [0.5, 1.0, -1.0])
    assert _texts(row["caption_extend"]) == toy.ANSWERS
    assert _texts(row["query_id"] for row in rows["validation"]) == ["12", "10"]
    assert "missing" not in builder.info.metadata


def test_blank_caption_of_test_stays(root):
    (row,) = _build(root, "rc2_index")[1]["test"]
    assert (row["query_id"], row["text"], _texts(row["captions"])) == (b"27098", b"", [" "])


def test_train_rows_need_no_set(root):
    for row in _build(root, "rc2_index")[1]["train"]:
        assert (len(row["group_ids"]), row["group_id"], len(row["soft_target_ids"])) == (0, -1, 0)


def test_split_without_captions_is_left_out_with_a_note_and_keeps_its_gallery(root):
    (root / "cirr/captions/cap.rc2.train.json").unlink()
    builder, rows = _build(root, "rc2_index")
    assert list(rows) == ["validation", "test"]
    assert builder.info.metadata["left_out"] == {"train": "captions/cap.rc2.train.json not found"}
    assert len(_build(root, "rc2_gallery")[1]["train"]) == 3


def test_missing_pictures_stop_the_build_with_names_and_count(root):
    (root / "dev/dev-4-1-img0.png").unlink()
    (root / "train/33/train-3-0-img1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 16 .*dev-4-1-img0 \(missing\), train-3-0-img1 \(0 bytes\)"):
        _build(root, "rc2_gallery")
    assert not list(root.with_name("data").rglob("*.tfrecord*"))
    assert len(_build(root, "rc2_index")[1]["train"]) == 2


@pytest.mark.parametrize("view", ["rc2", "rc2_index"])
def test_skip_drops_rows_as_the_gallery_does(root, view):
    (root / "train/32/train-2-0-img0.png").write_text("<html>not found</html>")  # a target
    (root / "dev/dev-3-1-img0.png").unlink()  # a soft target outside the set: nobody ranks it
    builder, rows = _build(root, view, on_missing="skip")
    assert {split: _texts(row["query_id"] for row in part) for split, part in rows.items()} == {
        "train": ["7"],
        "validation": ["12", "10"],
        "test": ["27098"],
    }
    assert builder.info.metadata["dropped"] == {"train": 1, "validation": 0, "test": 0}
    gallery_builder, galleries = _build(root, "rc2_gallery", on_missing="skip")
    assert gallery_builder.info.metadata["dropped"] == {"train": 1, "validation": 1, "test": 0}
    assert {split: len(part) for split, part in galleries.items()} == {"train": 2, "validation": 6, "test": 6}
    for split, part in rows.items():
        kept = {row["image_id"] for row in galleries[split]}
        assert {row["reference_id"] for row in part} <= kept
        assert {row["target_id"] for row in part if row["has_target"]} <= kept


def test_skip_drops_rows_whose_set_has_a_hole(root):
    (root / "test1/test1-4-2-img1.png").unlink()  # only a member
    builder, rows = _build(root, "rc2_index", on_missing="skip")
    assert list(rows) == ["train", "validation"]
    assert builder.info.metadata["left_out"] == {"test": "no row is left"}


def test_nothing_left_is_an_error(root):
    for name in ("train/33/train-3-0-img1.png", "dev/dev-5-1-img0.png", "test1/test1-4-2-img1.png"):
        (root / name).unlink()
    with pytest.raises(ValueError, match="makes no row of toy_"):
        _build(root, "rc2_index", on_missing="skip")


def test_folder_of_something_else_says_what_to_put_there(tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/readme.txt").write_text("nothing of CIRR")
    with pytest.raises(FileNotFoundError, match="Cuberick-Orion/CIRR"):
        _build(tmp_path / "copy", "rc2_index")


def test_licence_and_citation_are_stated(tmp_path):
    info = Builder(data_dir=tmp_path, config="rc2_gallery").info
    assert "MIT" in info.redistribution_info.license
    assert "NLVR2" in info.redistribution_info.license
    assert "Real-life Images" in info.citation
    assert info.supervised_keys is None


class CirrTest(copies.ToyCopy, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["rc2"]
    SPLITS = {"train": 2, "validation": 2, "test": 1}
    write = staticmethod(toy.write)
