"""Search of a folder with an exported model, as a user does it."""

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cir_tf import export, search, sheet
from cir_tf.data import folder
from cir_tf.errors import UserError, run_command
from tests.tiny_run import file_of, make_run, picture, write_pictures

COUNT = 9


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config, model = make_run(workdir)
    write_pictures(workdir / "pictures", 2)
    return export.export_run(config, model, workdir, index="scann", images=workdir / "pictures")


@pytest.fixture(scope="module")
def model(exported):
    return search.load(exported)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with good and bad pictures, a query beside it, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "images", COUNT)
    (tmp_path / "images" / "empty.png").write_bytes(b"")
    (tmp_path / "images" / "page.jpg").write_bytes(b"<html>")
    picture(40).save(tmp_path / "query.png")
    return tmp_path


def command(exported, *others, query="query.png", text="make her red"):
    arguments = [f"--model={exported}", "--images=images", f"--query={query}", f"--text={text}", *others]
    return search.main(arguments)


def expected(model, query, text):
    """Names and scores of all good pictures, from the exported vectors, best first."""
    listing = folder.find("images")
    names = [name for name in listing.paths if name not in ("empty.png", "page.jpg")]
    gallery_ND = model.endpoints.encode_gallery([folder.read(listing.paths[name]) for name in names]).numpy()
    score_N = gallery_ND @ model.endpoints.encode_query([query], [text]).numpy()[0]
    return [(names[row], score_N[row]) for row in np.argsort(-score_N)]


def test_ranking_is_printed_and_a_sheet_written(place, exported, model, capsys):
    assert command(exported) == 0
    printed = capsys.readouterr()
    *lines, last = printed.out.splitlines()
    ranking = expected(model, (place / "query.png").read_bytes(), "make her red")
    assert [line.split() for line in lines] == [
        [str(rank), f"{score:.4f}", name] for rank, (name, score) in enumerate(ranking, 1)
    ]
    assert last == "written: search.png"
    assert "9 pictures of" in printed.err
    assert "2 cannot be read: empty.png (0 bytes), page.jpg (no picture" in printed.err
    with Image.open("search.png") as image:
        assert image.width > 1000 and len(set(image.convert("L").tobytes())) > 50


def test_k_bounds_the_results(place, exported, capsys):
    command(exported, "--k=3")
    assert len(capsys.readouterr().out.splitlines()) == 3 + 1


@pytest.mark.parametrize("query", ["images/p02.PNG", "copy.png", "link.png"])
def test_query_picture_itself_is_left_out(place, exported, model, capsys, query):
    shutil.copy("images/p02.PNG", "copy.png")
    shutil.copy("images/p02.PNG", "images/again.png")
    (place / "link.png").symlink_to("images/p02.PNG")
    command(exported, "--k=7", query=query)
    names = [line.split()[2] for line in capsys.readouterr().out.splitlines()[:-1]]
    ranking = expected(model, (place / query).read_bytes(), "make her red")
    assert names == [name for name, _ in ranking if name not in ("p02.PNG", "again.png")][:7]
    assert len(names) == 7


def test_second_search_reads_the_kept_index(place, exported, capsys, monkeypatch):
    command(exported)
    first = capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(folder, "encode", None)  # would be called to encode the folder again
        command(exported)
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err.splitlines() == first.err.splitlines()[-1:]  # without the progress bar
    picture(50).save("images/p02.PNG")
    command(exported)
    assert capsys.readouterr().out != first.out
    assert len(list((place / "cache" / "cir_tf").iterdir())) == 1


@pytest.mark.parametrize("harm", ["manifest.json", "vectors.npy"])
def test_damaged_index_is_made_again(place, exported, capsys, harm):
    command(exported, "--index_dir=kept")
    first = capsys.readouterr()
    (place / "kept" / harm).write_bytes(b"{")
    command(exported, "--index_dir=kept")
    assert capsys.readouterr().out == first.out
    assert json.loads((place / "kept" / "manifest.json").read_text())["count"] == COUNT


def test_index_that_cannot_be_kept_is_no_obstacle(place, exported, capsys):
    (place / "file").write_text("x")
    command(exported, "--index_dir=file/index", "--k=2")
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    assert "the index is not kept for the next time" in printed.err


def test_without_scann_numpy_finds_the_same(place, exported, model, capsys, monkeypatch):
    found = search.search(model, "images", "query.png", "red", 5, "one")
    monkeypatch.setitem(sys.modules, "scann", None)
    assert search.search(model, "images", "query.png", "red", 5, "two") == found
    with pytest.raises(UserError, match="--index=exact"):
        search.load(exported)


@pytest.mark.parametrize(
    ("text", "warning"),
    [("  ", "the text is empty"), ("zebra crossing", "no word of 'zebra crossing'"), ("zebra red", "")],
)
def test_texts_that_say_nothing_are_warned_about(place, model, capsys, text, warning):
    assert search.search(model, "images", "query.png", text, 2).entries
    said = capsys.readouterr().err
    assert warning in said and ("warning" in said) == bool(warning)


@pytest.mark.parametrize("mode", ["RGBA", "L", "CMYK", "P"])
def test_query_of_every_kind_is_read(place, model, mode):
    picture(41, mode=mode).save("other.tiff" if mode == "CMYK" else "other.png")
    if mode == "CMYK":
        picture(41, mode=mode).save("other.png", "JPEG")
    assert len(search.search(model, "images", "other.png", "red", 4).entries) == 4


def wrong(place):
    """Arguments that are wrong, each with what is said of it."""
    (place / "empty").mkdir()
    (place / "bad").mkdir()
    (place / "bad" / "a.png").write_bytes(b"x")
    (place / "alone").mkdir()
    shutil.copy("query.png", "alone/same.png")
    (place / "cut.png").write_bytes((place / "query.png").read_bytes()[:200])
    (place / "broken").mkdir()
    (place / "broken" / "manifest.json").write_text('{"format": "cir_tf export 1", "index": "exact"}')
    (place / "broken" / "saved_model.pb").write_bytes(b"nonsense")
    return {
        "--model=nowhere": "there is no folder nowhere",
        "--model=empty": "empty is no export of cir_tf",
        "--model=broken": "the export in broken cannot be read",
        "--model=query.png": "there is no folder query.png",
        "--images=nowhere": "there is no folder nowhere",
        "--images=empty": "holds no picture",
        "--images=bad": "holds no readable picture",
        "--images=alone": "holds no readable picture besides the query",
        "--query=nowhere.png": "cannot read the query picture nowhere.png",
        "--query=cut.png": "cannot read the query picture cut.png",
        "--k=0": "--k must be at least 1",
        "--to=search.txt": "ends in .png",
        "--to=nowhere/search.png": "there is no folder nowhere",
    }


def test_mistakes_are_told_in_one_line(place, exported, capsys):
    for argument, message in wrong(place).items():
        with pytest.raises(SystemExit) as stop:
            run_command(lambda argv: command(exported, *argv), [argument])
        said = capsys.readouterr().err.splitlines()
        assert stop.value.code == 2
        assert said[-1].startswith("error: ") and message in said[-1], (argument, said)
        assert not (place / "search.png").exists()


def entries(count):
    return [
        sheet.Entry(f"folder/<{row}> {'long ' * 9}.png", 0.9 - row / 7, file_of(picture(row))) for row in range(count)
    ]


@pytest.mark.parametrize("count", [1, 5, 12])
def test_sheet_has_room_for_every_result(tmp_path, count):
    query = Image.new("RGB", (9, 40), "red")
    image = sheet.draw(file_of(query), "W" * 90 + " words" * 90, entries(count))
    pixels = np.asarray(image).astype(int)
    assert (pixels[[0, -1]] == 255).all() and (pixels[:, [0, -1]] == 255).all()
    is_red = (pixels == [255, 0, 0]).all(axis=2)
    assert 5 * 200 < is_red.sum() < 60 * 240
    sheet.write(tmp_path / "a.png", file_of(query), "", entries(count))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_page_is_self_contained_and_escaped(tmp_path):
    sheet.write(tmp_path / "a.html", file_of(picture(1)), "<script>alert(1)</script> {text}", entries(3))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; {text}" in page
    assert "folder/&lt;2&gt;" in page
    assert page.count("src=") == page.count('src="data:image/jpeg;base64,') == 4
    assert "http" not in page


def test_sheet_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        sheet.write(tmp_path / "a.png", file_of(picture(1)), "red", entries(1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_loaded_model_is_held(model):
    assert isinstance(model.endpoints.encode_gallery([file_of(picture(1))]), tf.Tensor)
