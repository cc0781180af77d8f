"""Tiny builds of every view of Fashion200k, from whole and from damaged copies."""

import pytest
import tensorflow_datasets as tfds

from datasets_tfds.fashion200k import labels, survey
from datasets_tfds.fashion200k.fashion200k_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.fashion200k import toy

BLUE, TOP = "women/dresses/mini_dresses/42/42_0.jpeg", "women/tops/shirts/71/71_0.jpeg"


def _builder(root, name, on_missing="error"):
    return copies.prepare(Builder, root, name, on_missing)


def _column(rows, key):
    return [row[key].decode() for row in rows]


@pytest.fixture
def copy(tmp_path):
    return toy.write(tmp_path / "fashion200k")


class _ToyCopy(copies.ToyCopy):
    DATASET_CLASS = Builder
    write = staticmethod(toy.write)


class RowsTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["tirg", "tirg_index"]
    SPLITS = {"test": 3}


class GalleryTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["tirg_gallery"]
    SPLITS = {"train": 4, "test": 6}


def test_rows_say_how_the_captions_differ(copy):
    rows = copies.read(_builder(copy, "tirg_index"))["test"]
    ends = [tuple(line.split()) for line in toy.QUERIES]
    assert list(zip(_column(rows, "reference_id"), _column(rows, "target_id"), strict=True)) == ends
    assert _column(rows, "query_id") == ["test-0", "test-1", "test-2"]
    assert _column(rows, "text") == ["replace red with blue", "replace blazer with wool", "replace blazer with red"]
    assert _column(rows, "reference_class") == ["red embroidered dress", "wool blazer", "blazer wool"]
    assert _column(rows, "target_class") == ["blue embroidered dress", "blazer wool", "red embroidered dress"]
    assert _column(rows, "category") == ["dress", "skirt", "dress"]
    assert all(row["has_target"] and len(row["target_ids"]) == 0 for row in rows)


def test_gallery_is_in_the_order_of_the_sorted_label_files(copy):
    galleries = copies.read(_builder(copy, "tirg_gallery"))
    for split, rows in galleries.items():
        assert _column(rows, "image_id") == _column(rows, "relpath") == toy.paths(split)
        assert _column(rows, "category") == [kind for kind, *_ in toy.LABELS[split]]
        assert [row["detection_score"] for row in rows] == [float(score) for _, _, score, _ in toy.LABELS[split]]
        assert [row["image"].shape[1] for row in rows] == [toy.width(path) for path in toy.paths(split)]
    captions = ["red lace mini dress", "black lace mini dress", "crêpe pants nodotmark 1"]
    assert _column(galleries["train"], "target_class") == [*captions, "black andmark white starmarktopstarmark"]


def test_every_picture_with_the_targets_caption_is_a_hit(copy):
    gallery = copies.read(_builder(copy, "tirg_gallery"))["test"]
    rows = copies.read(_builder(copy, "tirg_index"))["test"]
    hits = [
        [entry["image_id"].decode() for entry in gallery if entry["target_class"] == row["target_class"]]
        for row in rows
    ]
    assert hits == [[BLUE, TOP], ["women/skirts/midi/61/61_0.jpeg"], toy.paths("test")[:2]]


@pytest.mark.parametrize("folder", ["", "fashion-200k"])
@pytest.mark.parametrize("strip", ["", "women/"])
def test_every_layout_gives_the_same_triplets(tmp_path, strip, folder):
    builder = _builder(toy.write(tmp_path / "copy", strip, folder), "tirg")
    rows = copies.read(builder)["test"]
    for row in rows:
        for role in ("reference", "target"):
            assert row[f"{role}_image"].shape == (2, toy.width(row[f"{role}_id"].decode()), 3)
    assert builder.info.metadata["layout"].startswith("women/") == (not strip)
    assert builder.info.metadata["pictures"] == 5


def test_missing_and_broken_pictures_are_an_error(copy):
    (copy / BLUE).unlink()
    (copy / TOP).write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=f"2 of 10 pictures cannot be used: {BLUE}"):
        _builder(copy, "tirg_gallery")
    with pytest.raises(ValueError, match=f"1 of 5 pictures cannot be used: {BLUE}"):  # no query needs the top
        _builder(copy, "tirg")
    assert len(copies.read(_builder(copy, "tirg_index"))["test"]) == 3  # has no pictures


def test_skip_drops_rows_and_gallery_entries_alike(copy):
    (copy / BLUE).unlink()
    (copy / toy.paths("train")[1]).write_bytes(b"")
    builder = _builder(copy, "tirg_gallery", "skip")
    galleries = copies.read(builder)
    assert _column(galleries["test"], "image_id") == [path for path in toy.paths("test") if path != BLUE]
    assert _column(galleries["train"], "image_id") == [toy.paths("train")[i] for i in (0, 2, 3)]
    assert (builder.info.metadata["missing"], builder.info.metadata["bad"]) == (1, 1)
    for name in ("tirg", "tirg_index"):
        assert _column(copies.read(_builder(copy, name, "skip"))["test"], "query_id") == ["test-1", "test-2"]


def test_queries_of_unlabelled_pictures_are_an_error_or_counted(copy):
    toy.append(copy / labels.QUERIES, f"{BLUE} {toy.paths('train')[0]}")  # of the training labels
    toy.append(copy / labels.QUERIES, f"{BLUE} {TOP}")
    for name in ("tirg", "tirg_index"):
        with pytest.raises(
            ValueError, match=rf"test_queries\.txt: line 4: {toy.paths('train')[0]} is in no test label"
        ):
            _builder(copy, name)
        builder = _builder(copy, name, "skip")
        assert _column(copies.read(builder)["test"], "query_id") == ["test-0", "test-1", "test-2", "test-4"]
        assert builder.info.metadata["unlabelled_queries"] == 1


def test_repeated_labels_are_an_error_or_counted(copy):
    toy.append(copy / "labels/top_test_detect_all.txt", f"{BLUE}\t9\tgreen dress")
    with pytest.raises(ValueError, match=rf"top_test_detect_all\.txt: line 2: {BLUE} has a line already"):
        _builder(copy, "tirg_gallery")
    builder = _builder(copy, "tirg_gallery", "skip")
    row = copies.read(builder)["test"][2]
    assert (row["image_id"].decode(), row["target_class"]) == (BLUE, b"blue embroidered dress")  # the first counts
    assert builder.info.metadata["repeated_labels_test"] == 1


@pytest.mark.parametrize(
    "line",
    ["women/tops/1/1_0.jpeg", "women/tops/1/1_0.jpeg\tblue top", "women/tops/1/1_0.jpeg\tx\tblue top", "", "\t1\tx"],
)
def test_bad_label_lines_are_named(copy, line):
    toy.append(copy / "labels/top_train_detect_all.txt", line)
    with pytest.raises(ValueError, match=r"top_train_detect_all\.txt: line 2: expected path, score and description"):
        labels.read(copy, "train", skip_repeated=True)


@pytest.mark.parametrize("line", [BLUE, f"{BLUE} {TOP} {TOP}", ""])
def test_bad_query_lines_are_named(copy, line):
    toy.append(copy / labels.QUERIES, line)
    with pytest.raises(ValueError, match=r"test_queries\.txt: line 4: expected two paths"):
        labels.read_queries(copy, labels.read(copy, "test")[0], skip_unknown=True)


def test_query_of_a_picture_without_description_is_named(copy):
    toy.append(copy / "labels/top_test_detect_all.txt", "women/tops/1/1_0.jpeg\t1\t ")
    toy.append(copy / labels.QUERIES, f"{BLUE} women/tops/1/1_0.jpeg")
    with pytest.raises(ValueError, match=r"line 4: women/tops/1/1_0\.jpeg has no description"):
        _builder(copy, "tirg_index")


def test_labels_must_be_utf_8(copy):
    path = copy / "labels/pants_train_detect_all.txt"
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    with pytest.raises(ValueError, match=r"pants_train_detect_all\.txt, line 1: not UTF-8"):
        labels.read(copy, "train")


def test_path_that_leaves_the_folder_is_refused(copy):
    toy.append(copy / "labels/top_test_detect_all.txt", "../secret.jpeg\t1\tblue top")
    with pytest.raises(ValueError, match=r"'\.\./secret\.jpeg' .* leaves the folder"):
        _builder(copy, "tirg_gallery", "skip")


def test_an_empty_list_of_queries_is_an_error(copy):
    (copy / labels.QUERIES).write_bytes(b"")
    with pytest.raises(ValueError, match=r"test_queries\.txt is empty"):
        _builder(copy, "tirg_index")


def test_survey_compares_with_the_published_counts(copy):
    notes = ["4 train pictures; papers report 172049", "6 test pictures; papers report 29789"]
    assert survey.survey(copy)["notes"] == [*notes, "3 queries; papers report 33480"]


def test_missing_files_are_told(copy):
    (copy / labels.QUERIES).unlink()
    assert len(copies.read(_builder(copy, "tirg_gallery"))["test"]) == 6  # needs no queries
    with pytest.raises(FileNotFoundError, match=r"test_queries\.txt is missing.*google/tirg"):
        _builder(copy, "tirg_index")
    (copy / "labels/skirt_test_detect_all.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 label files: labels/skirt_test_detect_all\.txt"):
        labels.find(copy)
    with pytest.raises(FileNotFoundError, match="has no folder labels/"):
        labels.find(copy / "women")
