"""The doctor on whole, on damaged and on wrong folders, for every dataset that comes from a copy."""

import importlib
import json

import pytest

from datasets_tfds import doctor, pictures
from tests.datasets_tfds.circo import toy as circo
from tests.datasets_tfds.cirr import toy as cirr
from tests.datasets_tfds.fashion200k import toy as fashion200k
from tests.datasets_tfds.fashion_iq import toy as fashion_iq
from tests.datasets_tfds.own_images import toy as own_images
from tests.datasets_tfds.shoes import toy as shoes

TOYS = {
    "circo": circo.write,
    "cirr": cirr.write,
    "fashion200k": fashion200k.write,
    "fashion_iq": fashion_iq.write,
    "own_images": lambda root: own_images.write(root, own_images.ROWS),
    "shoes": shoes.write,
}


@pytest.fixture
def folder(tmp_path):
    return own_images.write(tmp_path / "own", own_images.ROWS)


def _run(folder, tmp_path, name="own_images"):
    """Exit code and JSON."""
    code = doctor.main([name, f"--manual_dir={folder}", f"--json={tmp_path / 'report.json'}"])
    return code, json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TOYS)
def test_a_whole_copy_has_no_problems(tmp_path, name, capsys):
    TOYS[name](tmp_path / "copy")
    code, report = _run(tmp_path / "copy", tmp_path, name)
    assert (code, report["problems"]) == (0, []), capsys.readouterr().out
    assert report["pictures"] > 0
    assert report["annotations"]
    assert all((tmp_path / "copy" / path).is_file() for path in report["annotations"])


@pytest.mark.parametrize("name", TOYS)
def test_loss_is_what_a_build_that_skips_leaves_out(tmp_path, name):
    root = tmp_path / "copy"
    TOYS[name](root)
    found = importlib.import_module(f"datasets_tfds.{name}.survey").survey(root)
    split, row = next((split, part["rows"][0]) for split, part in found["splits"].items() if part["rows"])
    lost = next(iter(row[1]))
    local = pictures.Local(root, found["locate"], [lost], None)
    (root / local.relpath(lost)).write_bytes(b"")
    code, report = _run(root, tmp_path, name)
    assert code == 1
    assert row[0] in report["splits"][split]["lost_queries"]
    assert report["splits"][split]["broken"] == {lost: "0 bytes"}
    assert sum(part["gallery_lost"] for part in report["splits"].values()) >= 1


def test_every_loss_is_told_by_split(folder, tmp_path, capsys):
    header = ("reference", "target", "text", "split")
    ends = [
        ("IMG_000", "IMG_001", "a", "train"),
        ("IMG_000", "none.jpg", "b", "train"),
        ("IMG_011", "IMG_012", "c", "test"),
    ]
    own_images.write_csv(folder / "triplets.csv", [header, *ends])
    (folder / "bags/IMG_001.jpg").write_text("<html>")
    (folder / "shoes/IMG_020.jpg").write_bytes((folder / "shoes/IMG_021.jpg").read_bytes())
    code, report = _run(folder, tmp_path)
    assert code == 1
    assert report["splits"] == {
        "train": {
            "rows": 2,
            "rows_lost": 2,
            "gallery": 0,
            "gallery_lost": 0,
            "missing": ["none.jpg"],
            "broken": {"bags/IMG_001": "no picture, whatever its name says"},
            "lost_queries": ["train-2", "train-3"],
        },
        "test": {
            "rows": 1,
            "rows_lost": 0,
            "gallery": 0,
            "gallery_lost": 0,
            "missing": [],
            "broken": {},
            "lost_queries": [],
        },
        "pictures": {
            "rows": 0,
            "rows_lost": 0,
            "gallery": 30,
            "gallery_lost": 1,
            "missing": [],
            "broken": {"bags/IMG_001": "no picture, whatever its name says"},
            "lost_queries": [],
        },
    }
    assert report["duplicates"] == [["shoes/IMG_020", "shoes/IMG_021"]]
    assert (report["pictures"], report["annotations"]) == (29, ["triplets.csv"])
    out = capsys.readouterr().out
    assert "missing: none.jpg" in out
    assert "shoes/IMG_020 = shoes/IMG_021" in out
    assert "--on_missing=skip" in out
    train = next(line for line in out.splitlines() if line.startswith("train "))
    assert train.split() == ["train", "2", "2", "0", "0", "1", "1"]


def test_long_lists_are_cut_on_the_screen_only(folder, tmp_path, capsys):
    for number in range(11, 20):
        (folder / f"shoes/IMG_0{number}.jpg").write_bytes(b"")
    _, report = _run(folder, tmp_path)
    assert len(report["splits"]["pictures"]["broken"]) == 9
    out = capsys.readouterr().out
    assert "... (9 in all)" in out
    assert "IMG_019" not in out


def test_duplicates_alone_are_no_problem(folder, tmp_path):
    (folder / "again.jpg").write_bytes((folder / "bags/IMG_003.jpg").read_bytes())
    code, report = _run(folder, tmp_path)
    assert (code, report["duplicates"]) == (0, [["again", "bags/IMG_003"]])


def test_a_file_that_serves_two_ids_is_no_duplicate(tmp_path):
    own_images.write(tmp_path, names=["a_001", "b_001"])
    (tmp_path / "b_001.jpg").write_bytes((tmp_path / "a_001.jpg").read_bytes())
    assert doctor.duplicates(tmp_path, {"x": "a_001.jpg", "y": "a_001.jpg"}) == []
    assert doctor.duplicates(tmp_path, {"x": "a_001.jpg", "y": "a_001.jpg", "z": "b_001.jpg"}) == [["x", "z"]]


def test_mistakes_in_a_table_are_problems(folder, tmp_path, capsys):
    own_images.write_csv(folder / "triplets.csv", [("reference", "target", "text"), ("../a.jpg", "IMG_000", "x")])
    code, report = _run(folder, tmp_path)
    assert code == 1
    assert "row 2: the path '../a.jpg' leaves the folder" in report["problems"][0]
    assert "problem: " in capsys.readouterr().out


def test_repeated_rows_and_unknown_attributes_are_problems(folder, tmp_path):
    own_images.write_csv(folder / "triplets.csv", [("reference", "target", "text"), *[("IMG_000", "IMG_001", "x")] * 2])
    own_images.write_csv(folder / "images.csv", [("image", "colour"), ("IMG_000", "red"), ("none", "blue")])
    code, report = _run(folder, tmp_path)
    assert code == 1
    assert [line.split(":")[0] for line in report["problems"]] == ["images.csv", "triplets.csv"]
    assert all("[3]" in line for line in report["problems"])


def test_where_a_missing_picture_was_looked_for_is_told(tmp_path, capsys):
    shoes.write(tmp_path / "copy")
    (tmp_path / "copy/womens_flats").rename(tmp_path / "flats")
    code, report = _run(tmp_path / "copy", tmp_path, "shoes")
    assert (code, report["splits"]["test"]["missing"]) == (1, ["img_womens_flats_3"])
    assert "as womens_flats/0/img_womens_flats_3.jpg, attributedata/womens_flats/0/" in capsys.readouterr().out


def test_pictures_alone_are_fine(tmp_path, capsys):
    own_images.write(tmp_path / "own", names=own_images.NAMES[:3])
    assert _run(tmp_path / "own", tmp_path)[0] == 0
    assert "own_gallery" in capsys.readouterr().out


def test_files_that_are_not_read_are_told(folder, tmp_path):
    (folder / "bags/phone.heic").write_bytes(b"x")
    code, report = _run(folder, tmp_path)
    assert (code, report["notes"]) == (0, ["1 files not used: bags/phone.heic"])


def test_a_split_that_cannot_be_built_is_a_problem(tmp_path):
    fashion_iq.write(tmp_path / "copy", kinds=["dress"])
    code, report = _run(tmp_path / "copy", tmp_path, "fashion_iq")
    assert code == 1
    assert [line.split()[0] for line in report["problems"]] == ["shirt", "toptee"]
    assert set(report["splits"]) == {"dress/train", "dress/validation", "dress/test"}


def test_generated_datasets_have_nothing_to_look_at(capsys):
    assert doctor.main(["emoji_edits"]) == 0
    assert doctor.main(["css"]) == 0
    assert capsys.readouterr().out.count("is generated") == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nothing"], "there is no dataset 'nothing'; there are circo"),
        (["own_images"], "is not a folder"),
        (["own_images", "--manual_dir=/no/such/folder"], "is not a folder"),
        (["own_images", "--manual_dir={empty}"], "holds no picture"),
        (["shoes", "--manual_dir={empty}"], "relative_captions_shoes.json"),
        (
            ["own_images", "--manual_dir={folder}", "--json=/no/such/folder/x.json"],
            "cannot write /no/such/folder/x.json",
        ),
    ],
)
def test_where_it_cannot_look_it_says_so(folder, tmp_path, capsys, argv, said):
    (tmp_path / "empty").mkdir()
    assert doctor.main([one.format(empty=tmp_path / "empty", folder=folder) for one in argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
