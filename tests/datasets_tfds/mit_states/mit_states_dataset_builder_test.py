"""Tiny builds of every view of MIT-States, from whole and from damaged copies, and the queries at full size."""

import pytest
import tensorflow_datasets as tfds

from datasets_tfds import build, doctor
from datasets_tfds.mit_states import listing, survey
from datasets_tfds.mit_states.mit_states_dataset_builder import Builder
from tests.datasets_tfds import copies
from tests.datasets_tfds.mit_states import toy

QUERIES = [  # reference, wanted adjective
    ("moldy fig/a.jpg", "ripe"),
    ("moldy tomato/x.jpg", "ripe"),
    ("moldy tomato/x.jpg", "sliced"),
    ("ripe fig/a.jpg", "moldy"),
    ("ripe tomato/10.jpg", "moldy"),
    ("ripe tomato/10.jpg", "sliced"),
    ("ripe tomato/9.jpg", "moldy"),
    ("ripe tomato/9.jpg", "sliced"),
    ("sliced tomato/a.jpg", "moldy"),
    ("sliced tomato/a.jpg", "ripe"),
    ("sliced tomato/b.jpg", "moldy"),
    ("sliced tomato/b.jpg", "ripe"),
]


def _build(root, name, on_missing="error"):
    """The prepared builder, and {split: rows}."""
    builder = copies.prepare(Builder, root, name, on_missing)
    return builder, copies.read(builder)


def _column(rows, key):
    return [row[key].decode() for row in rows]


def _ends(rows):
    return list(zip(_column(rows, "reference_id"), _column(rows, "text"), strict=True))


@pytest.fixture
def copy(tmp_path):
    return toy.write(tmp_path / "copy")


class _ToyCopy(copies.ToyCopy):
    DATASET_CLASS = Builder
    write = staticmethod(toy.write)


class RowsTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["tirg", "tirg_index"]
    SPLITS = {"test": 12}


class GalleryTest(_ToyCopy, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["tirg_gallery"]
    SPLITS = {"train": 4, "test": 9}


def test_every_test_photo_asks_for_every_other_adjective_of_its_noun(copy):
    _, splits = _build(copy, "tirg_index")
    rows = splits["test"]
    assert list(splits) == ["test"]
    assert _ends(rows) == QUERIES
    assert _column(rows, "query_id") == [f"test-{row}" for row in range(12)]
    assert _column(rows, "target_class")[:3] == ["ripe fig", "ripe tomato", "sliced tomato"]
    assert _column(rows, "reference_class")[:3] == ["moldy fig", "moldy tomato", "moldy tomato"]
    assert _column(rows, "category")[:3] == ["fig", "tomato", "tomato"]
    assert all(row["target_id"] == b"" and not row["has_target"] and len(row["target_ids"]) == 0 for row in rows)


@pytest.mark.parametrize("folder", ["", "release_dataset"])
def test_every_layout_gives_the_same_sorted_galleries(tmp_path, folder):
    builder, galleries = _build(toy.write(tmp_path / "copy", folder), "tirg_gallery")
    for split, ids in (("train", toy.TRAIN), ("test", toy.TEST)):
        rows = galleries[split]
        assert _column(rows, "image_id") == ids
        assert _column(rows, "relpath") == [f"images/{name}" for name in ids]
        assert _column(rows, "target_class") == [name.split("/")[0] for name in ids]
        assert _column(rows, "category") == [name.split("/")[0].split()[1] for name in ids]
        assert [row["image"].shape for row in rows] == [(2, toy.width(name), 3) for name in ids]
    assert builder.info.metadata["pictures"] == 13


def test_triplets_show_the_reference_and_no_target(copy):
    rows = _build(copy, "tirg")[1]["test"]
    assert [row["reference_image"].shape[1] for row in rows] == [toy.width(name) for name, _ in QUERIES]
    assert all(row["target_image"].shape == (1, 1, 3) and not row["target_image"].any() for row in rows)


def test_broken_pictures_are_an_error(copy):
    (copy / "images/old car/b.jpg").write_bytes(b"")
    (copy / "images/ripe tomato/9.jpg").write_text("<html>")
    with pytest.raises(ValueError, match=r"2 of 13 pictures cannot be used: old car/b\.jpg \(0 bytes\), ripe tomato/9"):
        _build(copy, "tirg_gallery")
    with pytest.raises(ValueError, match=r"1 of 7 pictures cannot be used: ripe tomato/9\.jpg \(no picture"):
        _build(copy, "tirg")
    assert len(_build(copy, "tirg_index")[1]["test"]) == 12  # has no pictures


def test_skip_drops_rows_and_gallery_entries_alike(copy):
    (copy / "images/old car/b.jpg").write_bytes(b"")
    (copy / "images/ripe tomato/9.jpg").write_text("<html>")
    builder, galleries = _build(copy, "tirg_gallery", "skip")
    assert [len(rows) for rows in galleries.values()] == [3, 8]
    assert builder.info.metadata["dropped"] == {"train": 1, "test": 1}
    for name in ("tirg", "tirg_index"):
        builder, splits = _build(copy, name, "skip")
        assert _ends(splits["test"]) == [ends for ends in QUERIES if ends[0] != "ripe tomato/9.jpg"]
        assert _column(splits["test"], "query_id")[-1] == "test-11"
        assert builder.info.metadata["dropped"] == {"test": 2}


def test_skip_drops_queries_for_a_class_without_pictures(copy):
    (copy / "images/moldy tomato/x.jpg").write_bytes(b"")
    rows = _build(copy, "tirg_index", "skip")[1]["test"]
    expected = [ends for ends in QUERIES if "tomato" not in ends[0] or "moldy" not in (ends[0].split()[0], ends[1])]
    assert _ends(rows) == expected
    assert ("ripe fig/a.jpg", "moldy") in expected  # of another noun


def test_link_out_of_the_folder_is_refused(copy, tmp_path):
    (tmp_path / "secret.jpg").write_bytes((copy / "images/old fan/a.jpg").read_bytes())
    (copy / "images/old fan/z.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ValueError, match="is a link out of"):
        _build(copy, "tirg_gallery", "skip")


def test_what_is_not_there_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "copy").mkdir()
    arguments = ["mit_states", f"--manual_dir={tmp_path / 'copy'}", f"--data_dir={tmp_path / 'data'}"]
    (tmp_path / "copy/readme.txt").write_text("x")
    assert build.main(arguments) == 2
    assert "has no folder images/" in capsys.readouterr().err
    (tmp_path / "copy/images/tomato").mkdir(parents=True)
    assert build.main(arguments) == 2
    assert "holds no picture named like 'sliced tomato/1.jpg'" in capsys.readouterr().err


def test_training_nouns_alone_have_no_queries(tmp_path):
    toy.write(tmp_path / "copy")
    for name in toy.TEST:
        (tmp_path / "copy/images" / name).unlink()
    builder, galleries = _build(tmp_path / "copy", "tirg_gallery")
    assert list(galleries) == ["train"]
    assert "test" in builder.info.metadata["left_out"]
    with pytest.raises(ValueError, match="makes no row of tirg_index"):
        _build(tmp_path / "copy", "tirg_index")


def test_names_must_be_utf_8(copy):
    (copy / "images/old fan" / b"\xff.jpg".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    with pytest.raises(ValueError, match="a name that is not UTF-8"):
        listing.read(copy)


def test_there_are_49_test_nouns():
    assert len(listing.TEST_NOUNS) == 49


def test_queries_of_a_full_sized_copy():
    nouns = sorted(listing.TEST_NOUNS)
    photos = [
        listing.Photo(f"{adjective:02} {noun}/{file}.jpg", f"{adjective:02}", noun)
        for adjective in range(9)
        for noun in nouns
        for file in range(24)
    ]
    rows = listing.rows(photos)
    assert len(rows) == 49 * 9 * 24 * 8 == 84672
    assert len({row["query_id"] for row in rows}) == len(rows)


def test_doctor_tells_what_a_broken_picture_costs(copy, capsys):
    assert doctor.main(["mit_states", f"--manual_dir={copy}"]) == 0
    (copy / "images/ripe tomato/9.jpg").write_bytes(b"")
    assert doctor.main(["mit_states", f"--manual_dir={copy}"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("test ")]
    assert lines == [["test", "12", "0", "9", "0", "0", "0"], ["test", "12", "2", "9", "1", "0", "1"]]


def test_doctor_counts_what_the_build_drops_for_want_of_a_class(copy, capsys):
    (copy / "images/moldy tomato/x.jpg").write_bytes(b"")
    assert doctor.main(["mit_states", f"--manual_dir={copy}"]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("test "))
    dropped = _build(copy, "tirg_index", "skip")[0].info.metadata["dropped"]["test"]
    assert line.split()[:3] == ["test", "12", str(dropped)]
    assert dropped == 6  # two of the picture itself, four that ask for its class


def test_survey_compares_with_the_published_counts(copy):
    found = survey.survey(copy)
    wanted = ["ripe tomato/10.jpg", "ripe tomato/9.jpg"]
    assert found["splits"]["test"]["rows"][1] == ("test-1", ["moldy tomato/x.jpg"], wanted)
    assert found["notes"] == ["4 train pictures; papers report 43207", "9 test pictures; papers report 10546"]
