"""Builds of one's own folder: queries, galleries, what is missing."""

import json

import pytest
import tensorflow_datasets as tfds
from PIL import Image

from datasets_tfds import build, doctor
from datasets_tfds.own_images.own_images_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.own_images import toy


def _builder(root, name, on_missing="error"):
    return copies.prepare(Builder, root, name, on_missing)


def _rows(builder):
    """Rows of all splits as they are read back, by id."""
    key = "image_id" if "image_id" in builder.info.features else "query_id"
    found = [row for split in builder.info.splits for row in tfds.as_numpy(builder.as_dataset(split=split))]
    return {row[key].decode(): row for row in found}


@pytest.fixture
def folder(tmp_path):
    return toy.write(tmp_path / "own", toy.ROWS)


class _ToyFolder(copies.ToyCopy):
    DATASET_CLASS = Builder

    @staticmethod
    def write(root):
        rows = [("reference", "target", "text", "split"), *((*row, "test") for row in toy.ROWS)]
        toy.write(root)
        toy.write_csv(root / "triplets.csv", rows)


class RowsTest(_ToyFolder, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["own", "own_index"]
    SPLITS = {"test": 4}


class GalleryTest(_ToyFolder, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["own_gallery"]
    SPLITS = {"pictures": 30}


def test_doctor_build_and_reading_back(folder, tmp_path, capsys):
    assert doctor.main(["own_images", f"--manual_dir={folder}"]) == 0
    data_dir = tmp_path / "data"
    assert build.main(["own_images", f"--manual_dir={folder}", f"--data_dir={data_dir}"]) == 0
    capsys.readouterr()
    opened = {
        name: tfds.core.read_only_builder.builder_from_files("own_images", config=name, data_dir=data_dir)
        for name in ("own", "own_index", "own_gallery")
    }
    gallery, index, triplets = (_rows(opened[name]) for name in ("own_gallery", "own_index", "own"))
    assert list(gallery) == toy.NAMES
    for name, row in gallery.items():
        assert row["image"].shape == (4, toy.width(name), 3)
        assert (row["relpath"].decode(), row["target_class"]) == (f"{name}.jpg", b"")
    assert list(index) == list(triplets)
    assert {int(query_id.split("-")[1]) for query_id in index} == {2, 3, 4, 5}
    for row in triplets.values():
        for role in ("reference", "target"):
            assert row[f"{role}_image"].shape == (4, toy.width(row[f"{role}_id"].decode()), 3)
    heel = next(row for query_id, row in index.items() if query_id.endswith("-4"))
    assert (heel["reference_id"], heel["text"]) == (b"shoes/IMG_011", b"higher heel")
    assert (heel["target_id"], list(heel["target_ids"])) == (b"shoes/IMG_012", [b"shoes/IMG_012", b"shoes/IMG_013"])
    smaller = next(row for query_id, row in index.items() if query_id.endswith("-3"))
    assert (smaller["text"], list(smaller["captions"])) == (b"smaller", [b" smaller "])
    # A reference's queries are never in two splits.
    assert len({query_id.split("-")[0] for query_id in index if query_id[-1] in "23"}) == 1


def test_attributes_stand_in_the_gallery(folder):
    toy.write_csv(folder / "images.csv", [("image", "colour", "category"), ("IMG_003", "red", "bags")])
    builder = _builder(folder, "own_gallery")
    rows = _rows(builder)
    assert (rows["bags/IMG_003"]["target_class"], rows["bags/IMG_003"]["category"]) == (b"colour: red", b"bags")
    assert (rows["bags/IMG_004"]["target_class"], len(rows)) == (b"", 30)
    assert builder.info.metadata["files_not_used"] == []


def test_pictures_alone_make_a_gallery_and_nothing_else(tmp_path, capsys):
    folder = toy.write(tmp_path / "own", names=toy.NAMES[:2])
    argv = ["own_images", f"--manual_dir={folder}", f"--data_dir={tmp_path}"]
    assert build.main([*argv, "--config=own_gallery"]) == 0
    assert build.main(argv) == 2
    assert "--config=own_gallery" in capsys.readouterr().err


def test_missing_and_broken_pictures_are_an_error(folder):
    (folder / "bags/IMG_001.jpg").write_text("<html>")
    for name in ("own", "own_gallery"):
        with pytest.raises(ValueError, match=r"bags/IMG_001 \(no picture"):
            _builder(folder, name)
    (folder / "bags/IMG_001.jpg").unlink()
    with pytest.raises(ValueError, match=r"triplets\.csv, row 2: there is no picture 'bags/IMG_001\.jpg'"):
        _builder(folder, "own_index")


def test_skip_drops_rows_and_gallery_entries_alike(folder):
    (folder / "bags/IMG_001.jpg").unlink()
    (folder / "shoes/IMG_013.jpg").write_bytes(b"")
    for name in ("own", "own_index"):
        builder = _builder(folder, name, "skip")
        rows = _rows(builder)
        assert {query_id.split("-")[1] for query_id in rows} == {"3", "5"}
        assert sum(builder.info.metadata["dropped"].values()) == 2
        assert builder.info.metadata["missing_ids"] == ["bags/IMG_001.jpg"]
        assert builder.info.metadata["bad_ids"] == {"shoes/IMG_013": "0 bytes"}
    assert list(_rows(_builder(folder, "own_gallery", "skip"))) == [
        name for name in toy.NAMES if name not in ("bags/IMG_001", "shoes/IMG_013")
    ]


def test_nothing_left_is_an_error(tmp_path):
    folder = toy.write(tmp_path / "own", [toy.ROWS[0]])
    (folder / "bags/IMG_001.jpg").unlink()
    with pytest.raises(ValueError, match="makes no row of own_index"):
        _builder(folder, "own_index", "skip")


def test_an_odd_picture_is_stored_as_one_that_can_be_read(folder):
    (folder / "shoes/IMG_029.jpg").rename(folder / "shoes/IMG_029.gif")
    Image.new("P", (69, 4), 3).save(folder / "shoes/IMG_029.gif")
    builder = _builder(folder, "own_gallery")
    assert _rows(builder)["shoes/IMG_029"]["image"].shape == (4, 69, 3)
    assert builder.info.metadata["reencoded"] == 1


def test_json_lines_build_too(folder):
    (folder / "triplets.csv").unlink()
    line = {"reference": "IMG_000", "text": "grün", "target": "IMG_001", "split": "train"}
    (folder / "triplets.jsonl").write_text(json.dumps(line, ensure_ascii=False), encoding="utf-8")
    assert _rows(_builder(folder, "own_index"))["train-1"]["text"].decode() == "grün"
