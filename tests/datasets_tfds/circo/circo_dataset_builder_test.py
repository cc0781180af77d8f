"""Small builds of every view from a toy copy, whole and with holes."""

import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets_tfds.circo.circo_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.circo import toy

CONFIGS = {config.subset + "/" + config.view: config for config in Builder.BUILDER_CONFIGS}


@pytest.fixture
def root(tmp_path):
    return toy.write(tmp_path / "copy")


def _build(root, view, **fields):
    """The prepared builder, opened anew, and {split: rows}."""
    config = dataclasses.replace(CONFIGS[f"coco2017_unlabeled/{view}"], name=f"toy_{view}", **fields)
    data_dir = root.with_name("data")
    manual = tfds.download.DownloadConfig(manual_dir=root)
    Builder(data_dir=data_dir, config=config).download_and_prepare(download_config=manual)
    builder = Builder(data_dir=data_dir, config=config)
    rows = {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}
    return builder, rows


def _texts(values):
    return [value.decode() for value in values]


def test_gallery_is_one_split_in_the_order_of_the_list(root):
    builder, galleries = _build(root, "gallery")
    assert list(galleries) == ["test"]
    assert _texts(row["image_id"] for row in galleries["test"]) == [str(image_id) for image_id in toy.IDS]
    for row in galleries["test"]:
        width, height = toy.size(row["image_id"])
        assert row["image"].shape == (height, width, 3)
        assert row["relpath"].decode() == toy.file_name(int(row["image_id"]))
    metadata = builder.info.metadata
    assert (metadata["pictures"], metadata["missing"], metadata["dropped"]) == (6, 0, {"test": 0})
    assert metadata["layout"] == "COCO2017_unlabeled/unlabeled2017/<id>.jpg"


def test_index_rows_have_all_accepted_images_the_hard_target_first(tmp_path):
    root = tmp_path / "copy"
    toy.write_annotations(root)
    _, rows = _build(root, "index")
    assert {split: len(part) for split, part in rows.items()} == {"validation": 2, "test": 3}
    row, other = rows["validation"]
    assert (row["query_id"], row["reference_id"], row["target_id"]) == (b"0", b"101", b"202")
    assert (row["has_target"], _texts(row["target_ids"])) == (True, ["202", "303", "7"])
    assert (row["text"], _texts(row["captions"])) == (b"has Two of them, at night", [" has Two of them, at night "])
    assert row["shared_concept"] == b"a parked bicycle"
    assert _texts(row["semantic_aspects"]) == ["cardinality", "viewpoint"]
    assert (other["shared_concept"].decode(), len(other["semantic_aspects"])) == ("a café", 0)


def test_targets_of_test_are_hidden(root):
    rows = _build(root, "triplets")[1]["test"]
    assert _texts(row["query_id"] for row in rows) == ["0", "1", "2"]
    for row in rows:
        assert (row["target_id"], row["has_target"], len(row["target_ids"])) == (b"", False, 0)
        np.testing.assert_array_equal(row["target_image"], np.zeros((1, 1, 3)))


def test_triplets_show_the_pictures_of_their_ids(root):
    builder, rows = _build(root, "triplets")
    for row in rows["validation"]:
        for role in ("reference", "target"):
            width, height = toy.size(row[f"{role}_id"])
            assert row[f"{role}_image"].shape == (height, width, 3)
    assert rows["test"][0]["reference_image"].shape[1] == toy.size(40000)[0]
    assert builder.info.supervised_keys is not None


def test_missing_pictures_stop_the_build_with_names_and_count(root):
    toy.picture_path(root, 303).unlink()
    path = toy.picture_path(root, 40000)
    path.write_bytes(path.read_bytes()[:-40])
    for view, of in (("gallery", 6), ("triplets", 6)):
        with pytest.raises(ValueError, match=rf"2 of {of} .*303 \(missing\), 40000 \(cut off\)"):
            _build(root, view)
    assert not list(root.with_name("data").rglob("*.tfrecord*"))
    assert len(_build(root, "index")[1]["test"]) == 3


@pytest.mark.parametrize("view", ["triplets", "index"])
def test_skip_drops_rows_as_the_gallery_does(root, view):
    toy.picture_path(root, 7).unlink()  # an accepted answer beside the hard target, and a reference of test
    builder, rows = _build(root, view, on_missing="skip")
    assert {split: _texts(row["query_id"] for row in part) for split, part in rows.items()} == {
        "validation": ["1"],
        "test": ["0", "1"],
    }
    assert builder.info.metadata["dropped"] == {"validation": 1, "test": 1}
    assert builder.info.metadata["missing_ids"] == ["7"]
    kept = {row["image_id"] for row in _build(root, "gallery", on_missing="skip")[1]["test"]}
    assert len(kept) == 5
    assert {row["reference_id"] for part in rows.values() for row in part} <= kept
    assert {name for part in rows.values() for row in part for name in row["target_ids"]} <= kept


def test_split_without_rows_is_left_out_with_a_note(root):
    toy.picture_path(root, 303).unlink()
    builder, rows = _build(root, "index", on_missing="skip")
    assert list(rows) == ["test"]
    assert builder.info.metadata["left_out"] == {"validation": "no row is left"}


def test_nothing_left_is_an_error(root):
    for image_id in (303, 101, 7, 40000):
        toy.picture_path(root, image_id).unlink()
    with pytest.raises(ValueError, match="makes no row of toy_"):
        _build(root, "triplets", on_missing="skip")


def test_link_out_of_the_folder_is_refused(root):
    path = toy.picture_path(root, 303)
    outside = path.rename(root.with_name("outside.jpg"))
    path.symlink_to(outside)
    with pytest.raises(ValueError, match=r"000000000303\.jpg is a link .*outside\.jpg"):
        _build(root, "gallery")


def test_folder_of_something_else_says_what_to_put_there(tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/readme.txt").write_text("nothing of CIRCO")
    with pytest.raises(FileNotFoundError, match=r"image_info_unlabeled2017\.json is missing.*miccunifi/CIRCO"):
        _build(tmp_path / "copy", "index")


def test_licence_says_non_commercial(tmp_path):
    info = Builder(data_dir=tmp_path, config="coco2017_unlabeled_gallery").info
    assert "non-commercial" in info.redistribution_info.license
    assert "Textual Inversion" in info.citation


class CircoTest(copies.ToyCopy, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["coco2017_unlabeled"]
    SPLITS = {"validation": 2, "test": 3}
    write = staticmethod(toy.write)
