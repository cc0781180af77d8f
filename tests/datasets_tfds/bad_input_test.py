"""One damage at a time, to every dataset that comes from a copy: the commands say it in one line, or count it."""

import importlib
import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from datasets_tfds import build, doctor, pictures
from tests.datasets_tfds.circo import toy as circo
from tests.datasets_tfds.cirr import toy as cirr
from tests.datasets_tfds.fashion200k import toy as fashion200k
from tests.datasets_tfds.fashion_iq import toy as fashion_iq
from tests.datasets_tfds.imagenet_captions import toy as imagenet_captions
from tests.datasets_tfds.mit_states import toy as mit_states
from tests.datasets_tfds.own_images import toy as own_images
from tests.datasets_tfds.shoes import toy as shoes

TOYS = {
    "circo": circo.write,
    "cirr": cirr.write,
    "fashion200k": fashion200k.write,
    "fashion_iq": fashion_iq.write,
    "imagenet_captions": imagenet_captions.write,
    "mit_states": mit_states.write,
    "own_images": lambda root: own_images.write(root, own_images.ROWS),
    "shoes": shoes.write,
}


def _encode(kind, *more, width=20, **options):
    image = Image.new("RGB", (width, 20), "red")
    image.save(file := io.BytesIO(), kind, **options, **({"save_all": True, "append_images": more} if more else {}))
    return file.getvalue()


BLUE = Image.new("RGB", (20, 20), "blue")
BROKEN = {
    "0 bytes": b"",
    "no picture, whatever its name says": b"<!DOCTYPE html><html>not found</html>",
    "cut off": _encode("JPEG")[:-60],
    "30 x 20 pixels, more than 500": _encode("PNG", width=30),
}
ODD = {"GIF": _encode("GIF", BLUE), "WebP": _encode("WEBP", BLUE, lossless=True)}


@pytest.fixture(params=TOYS)
def copy(request, tmp_path, monkeypatch):
    """(name, root, survey) of a whole copy; more than 500 pixels are a bomb."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    root = tmp_path / "copy"
    TOYS[request.param](root)
    return request.param, root, importlib.import_module(f"datasets_tfds.{request.param}.survey").survey


def _picture(root, survey):
    """Id and path of a picture that every view needs."""
    found = survey(root)
    parts = found["splits"].values()
    image_id = next(
        ids[0] for part in parts for ids in ([*part["rows"][0][1]] if part["rows"] else part["gallery"],) if ids
    )
    base = Path(found.get("root", root))
    return image_id, base / pictures.Local(base, found["locate"], [image_id], None).relpath(image_id)


def _look(name, root, capsys):
    """Exit code of the doctor, and what it prints."""
    code = doctor.main([name, f"--manual_dir={root}"])
    said = capsys.readouterr()
    return code, said.out + said.err


def _gallery(name, root, capsys, policy):
    """Exit code, output and errors of a build of the default subset's gallery."""
    views = {config.view: config.name for config in _configs(name)[:3]}
    place = root.parent / f"data_{policy}"
    shutil.rmtree(place, ignore_errors=True)
    arguments = [name, f"--config={views['gallery']}", f"--manual_dir={root}", f"--data_dir={place}"]
    return build.main([*arguments, f"--on_missing={policy}"]), *capsys.readouterr()


def _configs(name):
    return importlib.import_module(f"datasets_tfds.{name}.{name}_dataset_builder").Builder.BUILDER_CONFIGS


def _is_one_error(error, *parts):
    return error.startswith("error: ") and error.count("\n") == 1 and all(part in error for part in parts)


def test_a_broken_picture_is_named_with_the_reason_or_counted(copy, capsys):
    name, root, survey = copy
    image_id, path = _picture(root, survey)
    for reason, data in BROKEN.items():
        if name == "cirr" and "pixels" in reason:  # the one dataset with such pictures
            continue
        path.write_bytes(data)
        code, said = _look(name, root, capsys)
        assert code == 1
        assert reason in said
        code, _, error = _gallery(name, root, capsys, "error")
        assert code == 2
        assert _is_one_error(error, image_id.removeprefix("dress/"), reason)  # the doctor looks at all kinds
    code, out, _ = _gallery(name, root, capsys, "skip")
    assert (code, "missing 0, bad 1" in out or name == "cirr") == (0, True)
    assert "dropped for want of pictures" in out


def test_an_animation_under_another_name_is_stored_anew_and_counted(copy, capsys):
    name, root, survey = copy
    _, path = _picture(root, survey)
    path.write_bytes(_encode("JPEG"))
    _, plain, _ = _gallery(name, root, capsys, "error")
    for data in ODD.values():
        path.write_bytes(data)
        assert _look(name, root, capsys)[0] == 0
        code, out, _ = _gallery(name, root, capsys, "error")
        assert (code, _reencoded(out)) == (0, _reencoded(plain) + 1)


def _reencoded(out):
    return int(out.split("reencoded ")[1].split(",")[0])


def test_a_link_out_of_the_folder_is_refused(copy, capsys):
    name, root, survey = copy
    _, path = _picture(root, survey)
    outside = root.parent / "secret.jpg"
    shutil.move(path, outside)
    path.symlink_to(outside)
    code, said = _look(name, root, capsys)
    assert code == 1
    assert "is a link out of" in said
    for policy in ("error", "skip"):
        code, _, error = _gallery(name, root, capsys, policy)
        assert code == 2
        assert _is_one_error(error, path.name, "is a link out of")


def _cut(path, data):
    if path.suffix == ".json":
        return data[: len(data) * 2 // 3]
    return data[: data.rstrip().rfind(b"\n") + 6]  # within the last line


@pytest.mark.parametrize("damage", ["cut", "not UTF-8", "empty"])
def test_a_damaged_annotation_file_is_named(copy, capsys, damage):
    name, root, survey = copy
    subset = _configs(name)[0].subset
    for path in survey(root)["annotations"]:
        data = path.read_bytes()
        if len(data) < 8 or (name == "fashion_iq" and subset not in path.name):
            continue
        if name == "fashion200k" and damage == "empty" and path.suffix == ".txt" and "queries" not in path.name:
            continue  # a label file may have any number of lines; the doctor compares the sum
        path.write_bytes({"cut": _cut(path, data), "not UTF-8": data[:3] + b"\xe9" + data[3:], "empty": b""}[damage])
        code, said = _look(name, root, capsys)
        assert code in (1, 2), path.name
        assert path.name in said
        code = build.main([name, f"--manual_dir={root}", f"--data_dir={root.parent / path.stem}"])
        assert code == 2, path.name
        assert _is_one_error(capsys.readouterr().err, path.name)
        path.write_bytes(data)
