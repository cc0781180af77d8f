"""Tiny builds of the one view, from every layout and from damaged copies."""

from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from datasets_tfds import build, doctor
from datasets_tfds.imagenet_captions import captions
from datasets_tfds.imagenet_captions.imagenet_captions_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.imagenet_captions import toy


def _build(root, on_missing="error"):
    """The prepared builder, and the rows of its split."""
    builder = copies.prepare(Builder, root, "test_gallery", on_missing)
    return builder, copies.read(builder)["train"]


def _column(rows, key):
    return [row[key].decode() for row in rows]


class GalleryTest(copies.ToyCopy, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = {"train": 3}
    write = staticmethod(toy.write)


@pytest.mark.parametrize(
    ("folder", "captions_folder"), [("", ""), ("ImageNet", ""), ("ImageNet1K", ""), ("ImageNet1K", "ImageNet1K")]
)
def test_every_layout_gives_the_same_rows_in_the_files_order(tmp_path, folder, captions_folder):
    _, rows = _build(toy.write(tmp_path / "copy", folder, captions_folder))
    assert _column(rows, "image_id") == toy.IDS
    assert _column(rows, "subject") == [pair["subject"] for pair in toy.PAIRS]
    assert _column(rows, "attribute") == [pair["attribute"] for pair in toy.PAIRS]
    assert _column(rows, "relpath") == [str(toy.path(Path(), name, folder)) for name in toy.IDS]
    assert [row["image"].shape for row in rows] == [(2, 3, 3), (2, 4, 3), (2, 5, 3)]


def test_only_the_gallery_is_offered(tmp_path):
    builder, _ = _build(toy.write(tmp_path / "copy"))
    assert [config.name for config in Builder.BUILDER_CONFIGS] == ["test_gallery"]
    assert "non-commercial" in builder.info.redistribution_info.license
    assert builder.info.metadata["reencoded"] == 1  # the PNG is kept


def test_unusable_pictures_are_an_error_or_counted(tmp_path):
    root = toy.write(tmp_path / "copy")
    toy.path(root, toy.IDS[0]).unlink()
    toy.path(root, toy.IDS[2]).write_text("<html>")
    with pytest.raises(ValueError, match="2 of 3 pictures cannot be used: ILSVRC2012_test_00000042"):
        _build(root)
    builder, rows = _build(root, "skip")
    assert _column(rows, "image_id") == [toy.IDS[1]]
    assert builder.info.metadata["dropped"] == {"train": 2}
    assert (builder.info.metadata["missing"], builder.info.metadata["bad"]) == (1, 1)


def test_doctor_tells_what_is_missing(tmp_path, capsys):
    root = toy.write(tmp_path / "copy", "ImageNet")
    assert doctor.main(["imagenet_captions", f"--manual_dir={root}"]) == 0
    toy.path(root, toy.IDS[0], "ImageNet").unlink()
    assert doctor.main(["imagenet_captions", f"--manual_dir={root}"]) == 1
    assert "train: missing: ILSVRC2012_test_00000042" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"img_id": 42}, r"row 3: 'img_id' is missing or of the wrong type"),
        ({"img_id": "42"}, r"row 3: 'img_id' should be eight digits\. Received: '42'"),
        ({"img_id": "../../42"}, r"row 3: 'img_id' should be eight digits"),
        ({"img_id": "00000007"}, r"row 3: the id 00000007 comes twice"),
        ({"subject": None}, r"row 3: 'subject' is missing or of the wrong type"),
        ({"attribute": ["red"]}, r"row 3: 'attribute' is missing or of the wrong type"),
    ],
)
def test_bad_rows_are_named(tmp_path, change, said):
    root = toy.write(tmp_path / "copy", pairs=[*toy.PAIRS, {**toy.PAIRS[0], "img_id": "00000001", **change}])
    with pytest.raises(ValueError, match=rf"blip_pairs\.json: {said}"):
        captions.read(captions.find(root))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-9], "cut off or not JSON"),
        (lambda data: data.replace(b"a dog", b"a d\xf6g"), "not UTF-8"),
        (lambda data: b'{"0": ' + data + b"}", "must hold a list"),
    ],
)
def test_damaged_captions_are_told_in_one_line(tmp_path, capsys, damage, said):
    path = toy.write(tmp_path / "copy") / captions.FILE
    path.write_bytes(damage(path.read_bytes()))
    arguments = [f"--manual_dir={tmp_path / 'copy'}", f"--data_dir={tmp_path / 'data'}"]
    assert build.main(["imagenet_captions", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_missing_captions_are_told(tmp_path):
    (toy.write(tmp_path / "copy") / captions.FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"blip_pairs\.json is neither in .* FTI4CIR"):
        captions.find(tmp_path / "copy")
