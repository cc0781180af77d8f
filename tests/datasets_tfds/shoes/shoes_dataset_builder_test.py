"""Tiny builds of every view of Shoes, in every layout, from whole and from damaged copies."""

import pytest
import tensorflow_datasets as tfds

from datasets_tfds.shoes.shoes_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.shoes import toy


def _builder(root, name, on_missing="error"):
    return copies.prepare(Builder, root, name, on_missing)


def _ids(rows, key="image_id"):
    return [row[key].decode().removeprefix("img_") for row in rows]


@pytest.fixture
def copy(tmp_path):
    return toy.write(tmp_path / "shoes")


class _ToyCopy(copies.ToyCopy):
    DATASET_CLASS = Builder
    write = staticmethod(toy.write)


class RowsTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["guo2018", "guo2018_index"]
    SPLITS = {"train": 3, "test": 2, "test_val_list": 1}
    OVERLAPPING_SPLITS = ["test_val_list"]


class GalleryTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["guo2018_gallery"]
    SPLITS = {"train": 4, "test": 4, "test_val": 3, "test_val_list": 2}
    OVERLAPPING_SPLITS = ["test_val", "test_val_list"]


def test_image_name_is_the_target(copy):
    rows = copies.read(_builder(copy, "guo2018_index"))
    keys = ("query_id", "reference_id", "target_id", "text", "category")
    assert [tuple(row[key].decode() for key in keys) for row in rows["train"]] == [
        (
            "train-0",
            "img_womens_boots_12",
            "img_womens_rain_boots_7",
            "are taller with a side zip",
            "womens_rain_boots",
        ),
        (
            "train-1",
            "img_womens_high_heels_999",
            "img_womens_high_heels_999",
            "that is what I want",
            "womens_high_heels",
        ),
        ("train-2", "img_womens_boots_1034", "img_womens_boots_12", "has laces", "womens_boots"),
    ]
    clogs = rows["test"][0]
    assert (clogs["text"], list(clogs["captions"])) == (b"is flat and closed", [b" is flat and closed "])
    assert list(clogs["target_ids"]) == [b"img_womens_clogs_5"]
    assert clogs["has_target"]


def test_triplets_show_the_pictures_of_their_ids(copy):
    for rows in copies.read(_builder(copy, "guo2018")).values():
        for row in rows:
            for role in ("reference", "target"):
                name = row[f"{role}_id"].decode().removeprefix("img_")
                assert row[f"{role}_image"].shape == (2, toy.width(name), 3)


@pytest.mark.parametrize("annotations", ["", "dataset"])
@pytest.mark.parametrize(
    ("tree", "layout", "first"),
    [
        ("archive", "womens_boots/0/<id>.jpg", "womens_boots/0/img_womens_boots_12.jpg"),
        ("val", "attributedata/womens_boots/0/<id>.jpg", "attributedata/womens_boots/0/img_womens_boots_12.jpg"),
        ("artemis", "womens/womens_boots/0/<id>.jpg", "womens/womens_boots/0/img_womens_boots_12.jpg"),
        ("by file name", "somewhere/else/<id>.jpg", "somewhere/else/img_womens_boots_12.jpg"),
    ],
)
def test_every_layout_gives_the_same_galleries(tmp_path, tree, layout, first, annotations):
    builder = _builder(toy.write(tmp_path / "shoes", tree, annotations), "guo2018_gallery")
    galleries = copies.read(builder)
    assert _ids(galleries["train"]) == toy.NAMES["train_im_names.txt"]
    assert _ids(galleries["test"]) == toy.NAMES["eval_im_names.txt"]
    # In the order of the full list, not of VAL's.
    assert _ids(galleries["test_val"]) == ["womens_pumps_1000", "womens_clogs_5", "womens_sneakers_8"]
    assert _ids(galleries["test_val_list"]) == ["womens_pumps_1000", "womens_clogs_5"]
    for rows in galleries.values():
        for name, row in zip(_ids(rows), rows, strict=True):
            assert row["image"].shape == (2, toy.width(name), 3)
            assert row["category"].decode() == name.rpartition("_")[0]
    assert galleries["train"][0]["relpath"].decode() == first
    assert builder.info.metadata["layout"] == layout
    assert (builder.info.metadata["pictures"], builder.info.metadata["missing"]) == (8, 0)


def test_known_layout_counts_before_a_stray_copy(copy):
    stray = copy / "a_backup/img_womens_boots_12.jpg"
    stray.parent.mkdir()
    stray.write_text("no picture")
    assert _builder(copy, "guo2018_gallery").info.metadata["bad"] == 0


def test_without_vals_list_its_gallery_is_left_out_and_said(tmp_path):
    builder = _builder(toy.write(tmp_path / "shoes", with_val=False), "guo2018_gallery")
    assert set(builder.info.splits) == {"train", "test"}
    assert "left out" in builder.info.metadata["test_val"]


def test_vals_list_of_paths_serves_too(copy):
    (copy / "val_protocol/eval_im_names.txt").unlink()
    paths = "".join(f"datasets/shoes/attributedata/womens_x/0/img_{name}.jpg \n" for name in toy.VAL)
    (copy / "shoes-test-all.txt").write_text(paths)
    assert len(copies.read(_builder(copy, "guo2018_gallery"))["test_val"]) == 3


def test_metadata_counts_queries_whose_target_is_the_reference(copy):
    assert _builder(copy, "guo2018_index").info.metadata["self_pairs"] == {"train": 1, "test": 0}


def test_missing_and_broken_pictures_are_an_error(copy):
    (copy / "womens_clogs/0/img_womens_clogs_5.jpg").unlink()
    (copy / "womens_boots/1/img_womens_boots_1034.jpg").write_text("<html>not found</html>")
    for name, total in (("guo2018", 7), ("guo2018_gallery", 8)):  # no query needs the flats
        with pytest.raises(ValueError, match=f"2 of {total} pictures cannot be used: img_womens_clogs_5"):
            _builder(copy, name)
    assert len(copies.read(_builder(copy, "guo2018_index"))["train"]) == 3  # has no pictures


def test_skip_drops_rows_and_gallery_entries_alike(copy):
    (copy / "womens_clogs/0/img_womens_clogs_5.jpg").unlink()
    (copy / "womens_boots/1/img_womens_boots_1034.jpg").write_bytes(b"")
    galleries = copies.read(_builder(copy, "guo2018_gallery", "skip"))
    assert _ids(galleries["train"]) == ["womens_boots_12", "womens_rain_boots_7", "womens_high_heels_999"]
    assert _ids(galleries["test"]) == ["womens_pumps_1000", "womens_flats_3", "womens_sneakers_8"]
    assert _ids(galleries["test_val"]) == ["womens_pumps_1000", "womens_sneakers_8"]
    (copy / "womens_sneakers/0/img_womens_sneakers_8.jpg").rename(copy / "womens_clogs/0/img_womens_clogs_5.jpg")
    for name in ("guo2018_index", "guo2018"):
        builder = _builder(copy, name, "skip")
        rows = copies.read(builder)
        assert _ids(rows["train"], "query_id") == ["train-0", "train-1"]
        assert _ids(rows["test"], "query_id") == ["test-0"]
        assert builder.info.metadata["missing_ids"] == ["img_womens_sneakers_8"]
        assert builder.info.metadata["bad_ids"] == {"img_womens_boots_1034": "0 bytes"}
