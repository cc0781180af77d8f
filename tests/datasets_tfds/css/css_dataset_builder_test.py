"""Small builds of every view, from the generator and from a fake original archive."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from datasets_tfds.css import convert_original, original, render, scenes
from datasets_tfds.css.css_dataset_builder import Builder

CONFIGS = {config.name: config for config in Builder.BUILDER_CONFIGS}
OBJECTS = {
    "train": [
        [{"shape": "circle", "color": "red", "size": "small", "pos": (0.2, 0.5)}],
        [],
        [{"shape": "circle", "color": "red", "size": "small", "pos": (0.2, 0.5)}],
        [{"shape": "triangle", "color": "cyan", "size": "large", "pos": (0.5, 0.8)}],
    ],
    "test": [[], [{"shape": "rectangle", "color": "brown", "size": "large", "pos": (0.5, 0.5)}]],
}
MODS = {
    "train": [
        {"from": [0, 2], "to": [1, 1], "to_str": " remove red circle "},
        {"from": [1], "to": [3], "to_str": "add large cyan triangle to middle-right"},
    ],
    "test": [{"from": [1], "to": [0], "to_str": "remove brown object"}],
}


def _build(folder, name, **fields):
    """Prepares a small copy of a config and returns {split: rows}."""
    config = dataclasses.replace(CONFIGS[name], name=f"small_{name}", **fields)
    builder = Builder(data_dir=folder / "data", config=config)
    manual = tfds.download.DownloadConfig(manual_dir=folder / "manual")
    builder.download_and_prepare(download_config=manual)
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def _build_generated(folder, name):
    return _build(folder, name, pictures=32, queries=24, seed=5)


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "manual"
    (folder / "images").mkdir(parents=True)
    data = {split: {"objects_img": OBJECTS[split], "mods": MODS[split]} for split in OBJECTS}
    data["train"]["labels"] = [7, 8, 7, 9]
    np.save(folder / original.NPY_NAME, np.array(data, object), allow_pickle=True)
    rng = np.random.default_rng(0)
    for split, objects in OBJECTS.items():
        for i in range(len(objects)):
            pixels = rng.integers(0, 256, (16, 24, 4), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"css_{split}_{i:06d}.png")
    return tmp_path


def _convert(archive):
    convert_original.convert(archive / "manual" / original.NPY_NAME)


def test_configs_are_three_views_of_each_subset_the_generated_first():
    subsets = ("css3d_generated", "css2d_generated", "css3d", "css2d", "css3d_tiny")
    assert list(CONFIGS) == [subset + view for subset in subsets for view in ("", "_index", "_gallery")]
    assert {config.reference_2d for name, config in CONFIGS.items() if "2d" in name} == {True}
    assert {config.subset for config in CONFIGS.values() if not config.is_generated} == {"css3d", "css2d"}


def test_generated_rows_and_gallery_join_by_id(tmp_path):
    rows = _build_generated(tmp_path, "css3d_generated_index")
    galleries = _build_generated(tmp_path, "css3d_generated_gallery")
    assert set(rows) == set(galleries) == set(scenes.GENERATED_SPLITS)
    for split in scenes.GENERATED_SPLITS:
        data = scenes.make_split(split, 5, 32, 24)
        gallery = {row["image_id"].decode(): row for row in galleries[split]}
        assert list(gallery) == [f"css_{split}_{i:06d}" for i in range(32)]
        assert [row["query_id"].decode() for row in rows[split]] == [f"{split}-{i}" for i in range(24)]
        assert [row["text"].decode() for row in rows[split]] == data.texts_Q
        for row in rows[split]:
            target = gallery[row["target_id"].decode()]
            assert (
                row["target_class"] == target["target_class"] != gallery[row["reference_id"].decode()]["target_class"]
            )
            assert row["category"].decode() == scenes.edit_kind(row["text"].decode())
            assert row["has_target"]
            assert len(row["target_ids"]) == 0
            assert row["modification_id"].decode().isdigit()
        assert gallery[f"css_{split}_000003"]["image"].shape == (render.SIDE, render.SIDE, 3)


def test_triplets_show_the_pictures_of_the_gallery(tmp_path):
    triplets = _build_generated(tmp_path, "css2d_generated")["test"]
    galleries = _build_generated(tmp_path, "css2d_generated_gallery")
    solid, flat = ({r["image_id"]: r["image"] for r in galleries[name]} for name in ("test", "test_2d"))
    assert set(galleries) == {split + form for split in scenes.GENERATED_SPLITS for form in ("", "_2d")}
    assert list(solid) == list(flat)
    for row in triplets:
        np.testing.assert_array_equal(row["reference_image"], flat[row["reference_id"]])
        np.testing.assert_array_equal(row["target_image"], solid[row["target_id"]])
    data = scenes.make_split("test", 5, 32, 24)
    np.testing.assert_array_equal(flat[b"css_test_000009"], render.draw_2d(data.objects_N[9]))


def test_3d_references_are_3d_pictures_and_builds_repeat(tmp_path):
    first, again = (_build_generated(tmp_path / name, "css3d_generated")["train"] for name in ("first", "again"))
    assert first[0]["reference_image"].shape == (render.SIDE, render.SIDE, 3)
    for a, b in zip(first, again, strict=True):
        assert a["query_id"] == b["query_id"]
        np.testing.assert_array_equal(a["reference_image"], b["reference_image"])
        np.testing.assert_array_equal(a["target_image"], b["target_image"])


def test_original_rows_are_all_pairs_of_all_modifications(archive):
    _convert(archive)
    rows = _build(archive, "css2d_index")
    keys = ("query_id", "reference_id", "target_id", "text", "target_class", "category", "modification_id")
    assert [tuple(row[key].decode() for key in keys) for row in rows["train"]] == [
        ("train-0", "css_train_000000", "css_train_000001", "remove red circle", "8", "remove", "0"),
        ("train-1", "css_train_000002", "css_train_000001", "remove red circle", "8", "remove", "0"),
        ("train-2", "css_train_000001", "css_train_000003", MODS["train"][1]["to_str"], "9", "add", "1"),
    ]
    assert [row["target_class"] for row in rows["test"]] == [b"0"]


def test_original_pictures_are_read_as_rgb_and_drawings_are_made(archive):
    _convert(archive)
    galleries = _build(archive, "css2d_gallery")
    assert {split: len(rows) for split, rows in galleries.items()} == {
        "train": 4,
        "test": 2,
        "train_2d": 4,
        "test_2d": 2,
    }
    row = galleries["train"][2]
    pixels = np.asarray(Image.open(archive / "manual/images/css_train_000002.png"))
    np.testing.assert_array_equal(row["image"], pixels[..., :3])
    assert (row["image_id"], row["target_class"]) == (b"css_train_000002", b"7")
    np.testing.assert_array_equal(galleries["train_2d"][3]["image"], render.draw_2d(OBJECTS["train"][3]))


def test_sixteen_bit_picture_is_scaled(archive):
    path = archive / "manual/images/css_train_000001.png"
    Image.fromarray(np.array([[0, 256, 65535]], np.uint16)).save(path)
    _convert(archive)
    image = _build(archive, "css3d_gallery")["train"][1]["image"]
    np.testing.assert_array_equal(image, np.repeat([[[0], [1], [255]]], 3, axis=2))


@pytest.mark.parametrize(
    ("mode", "form"), [("P", "PNG"), ("LA", "PNG"), ("RGB", "WEBP"), ("P", "GIF"), ("CMYK", "JPEG")]
)
def test_pictures_of_other_kinds_become_rgb_png(tmp_path, mode, form):
    path = tmp_path / "css_train_000000.png"
    Image.new("RGB", (5, 3), (40, 40, 200)).convert(mode).save(path, form)
    with Image.open(io.BytesIO(original.read_png(path))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (5, 3))


def test_unread_pictures_stop_the_build_with_names_and_count(archive):
    _convert(archive)
    images = archive / "manual/images"
    (images / "css_test_000001.png").unlink()
    (images / "css_train_000000.png").write_bytes((images / "css_train_000000.png").read_bytes()[:200])
    (images / "css_train_000003.png").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"3 pictures cannot be read: css_train_000000.png \(unreadable\)") as error:
        _build(archive, "css3d")
    assert "css_test_000001.png (missing)" in str(error.value)
    assert len(_build(archive, "css3d_index")["train"]) == 3  # needs no pictures


def test_pickle_alone_names_the_command_to_run(archive):
    with pytest.raises(FileNotFoundError, match=r"python -m datasets_tfds.css.convert_original --allow_pickle .*\.npy"):
        _build(archive, "css3d_index")


def test_folder_of_something_else_says_what_is_missing(archive):
    (archive / "manual" / original.NPY_NAME).unlink()
    with pytest.raises(FileNotFoundError, match="Put the CSS archive there"):
        _build(archive, "css3d_index")


def test_damaged_json_is_named(archive):
    (archive / "manual" / original.JSON_NAME).write_text('{"train": ')
    with pytest.raises(ValueError, match=r"css\.json is damaged"):
        _build(archive, "css3d_index")


def test_metadata_says_that_generated_data_is_not_the_papers(tmp_path):
    info = Builder(data_dir=tmp_path, config="css3d_generated_index").info
    assert "not the paper's" in info.metadata["source"]
    assert "not the paper's data" in info.description
    assert "Empirical Odyssey" in info.citation
    assert Builder(data_dir=tmp_path, config="css3d_generated").info.supervised_keys is not None
