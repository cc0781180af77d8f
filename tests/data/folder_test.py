import io
import os
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cir_tf.data import folder
from cir_tf.errors import UserError
from datasets_tfds.own_images import annotations
from tests.tiny_run import file_of, picture

SIZE = (7, 5)
RED = (200, 30, 40)


def read(path, data):
    path.write_bytes(data)
    return np.asarray(tf.io.decode_image(folder.read(path), channels=3, expand_animations=False))


def cut_out(kind):
    """Opaque red at the left, half red in the middle, nothing at the right."""
    pixels = np.zeros((5, 9, 4), np.uint8)
    pixels[:, :6, :3], pixels[:, :3, 3], pixels[:, 3:6, 3] = RED, 255, 128
    return file_of(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_every_kind_of_file_is_read(tmp_path, kind):
    image = Image.new("RGB", SIZE, RED)
    found = read(tmp_path / "wrong_name.png", file_of(image, kind))
    assert found.shape == (5, 7, 3)
    np.testing.assert_allclose(found, np.broadcast_to(RED, found.shape), atol=4)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_composed_on_white(tmp_path, kind):
    found = read(tmp_path / "a.png", cut_out(kind))
    half = (np.array(RED) * 128 + 255 * 127) / 255
    for column, expected in ((1, RED), (4, half), (7, (255, 255, 255))):
        np.testing.assert_allclose(found[2, column], expected, atol=1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_transparent_colours_are_composed_on_white(tmp_path, mode):
    image = Image.new(mode, SIZE, 0)
    image.paste(1 if mode in ("P", "1") else Image.new("RGB", (2, 5), (90, 90, 90)).convert(mode), (0, 0, 2, 5))
    if mode == "P":
        image.putpalette([0, 0, 0, 90, 90, 90])
    found = read(tmp_path / "a.png", file_of(image, transparency=(0, 0, 0) if mode == "RGB" else 0))
    assert (found[:, 2:] == 255).all()
    assert (found[:, :2] == (255 if mode == "1" else 90)).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_counts(tmp_path, kind):
    others = [Image.new("RGB", SIZE, "blue")]
    data = file_of(Image.new("RGB", SIZE, RED), kind, save_all=True, append_images=others, duration=100)
    found = read(tmp_path / "a.gif", data)
    np.testing.assert_allclose(found, np.broadcast_to(RED, found.shape), atol=4)


def test_16_bit_grey_is_scaled(tmp_path):
    pixels = np.array([[0, 257, 25700, 64000, 65535]], np.uint16)
    found = read(tmp_path / "a.png", file_of(Image.fromarray(pixels)))
    assert found.tolist() == [[[value] * 3 for value in (0, 1, 100, 250, 255)]]  # as the builders have it


def test_cmyk_becomes_rgb(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = read(tmp_path / "a.jpg", file_of(image, "JPEG", quality=95))
    np.testing.assert_allclose(found, np.broadcast_to((255, 0, 0), found.shape), atol=6)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_jpeg_is_left_as_it_is_and_its_orientation_ignored(tmp_path, mode):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    data = file_of(picture(3, SIZE, mode), "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    assert folder.read(tmp_path / "a.jpg") == data
    assert read(tmp_path / "a.jpg", data).shape == (5, 7, 3)


def huge():
    """A PNG that says it has 20,000 x 20,000 pixels."""
    data = bytearray(file_of(Image.new("L", (1, 1))))
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


PNG, JPEG = file_of(picture(4, (60, 50))), file_of(picture(4, (60, 50)), "JPEG")
BAD = {
    "empty": (b"", "0 bytes"),
    "page": (b"<!doctype html><html></html>", "no picture, whatever its name says"),
    "cut_png": (PNG[: len(PNG) // 2], "truncated|broken"),
    "cut_jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "huge": (huge(), "pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_a_reason(tmp_path, name):
    data, reason = BAD[name]
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ValueError, match=reason) as error:
        folder.read(tmp_path / "a.jpg")
    assert str(error.value)


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match="no regular file"):
        folder.read(tmp_path / "pipe.jpg")


def test_pictures_are_found_in_all_folders_whatever_the_case(tmp_path):
    names = ["a.JPG", "b/c/d.webp", "b/e.Gif", "f.jpeg", "g.bmp", "h.png"]
    for name in [*names, "notes.txt", "b/.png.swp"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    found = folder.find(tmp_path)
    assert list(found.paths) == names
    assert found.paths["b/e.Gif"] == tmp_path / "b" / "e.Gif"
    assert found.states["f.jpeg"] == (2, (tmp_path / "f.jpeg").stat().st_mtime_ns)


def test_links_that_leave_the_folder_are_counted_and_not_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.png").write_bytes(PNG)
    (inside / "a.png").write_bytes(PNG)
    (inside / "file.png").symlink_to(outside / "secret.png")
    (inside / "folder").symlink_to(outside)
    (inside / "loop.png").symlink_to(inside / "loop.png")
    (inside / "notes.txt").symlink_to(outside / "notes.txt")
    (inside / "same.png").symlink_to(inside / "a.png")
    found = folder.find(inside)
    assert list(found.paths) == ["a.png", "same.png"]
    assert found.links_out == 3
    assert "3 links that leave the folder" in folder.summary(found, 2, [])


def test_folders_that_may_not_be_read_are_counted(tmp_path, monkeypatch):
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        picture(3).save(tmp_path / name / "a.png")
    scandir = os.scandir

    def guarded(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    listing = folder.find(tmp_path)
    assert (list(listing.paths), listing.closed) == (["open/a.png"], 1)
    assert folder.summary(listing, 1, []).endswith("indexed; 1 folders may not be read")
    with pytest.raises(PermissionError):
        annotations.find(tmp_path)


def test_name_that_is_no_utf8_is_spelled_out(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(PNG)
    found = folder.find(tmp_path)
    assert list(found.paths) == ["caf\\xe9.png"]
    assert folder.read(found.paths["caf\\xe9.png"])


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_bad_pictures_are_counted_and_the_rest_encoded_in_order(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(folder, "BATCH", batch)
    for number, (name, (data, _)) in enumerate(BAD.items()):
        (tmp_path / f"bad_{name}.png").write_bytes(data)
        (tmp_path / f"good_{number}.png").write_bytes(file_of(Image.new("RGB", (number + 1, 2))))
    (tmp_path / "x.jpg").write_bytes(b"x")
    found = folder.encode(
        folder.find(tmp_path), lambda files: np.array([[Image.open(io.BytesIO(data)).width] for data in files])
    )
    assert found.names == [f"good_{number}.png" for number in range(5)]
    assert found.vectors_ND.tolist() == [[1], [2], [3], [4], [5]]
    assert [name for name, _ in found.bad] == [*(f"bad_{name}.png" for name in sorted(BAD)), "x.jpg"]
    told = folder.summary(folder.find(tmp_path), 5, found.bad)
    assert "5 pictures of" in told and "6 cannot be read: bad_cut_jpeg.png (" in told and told.endswith(", …")


def test_jpeg_that_only_pillow_reads_is_handed_over_as_png():
    def encode(files):
        if any(data.startswith(b"\xff\xd8") for data in files):
            raise tf.errors.InvalidArgumentError(None, None, "Invalid JPEG data")
        return [[len(files)] for _ in files]

    assert folder.encode_files([PNG, JPEG], encode).tolist() == [[2], [2]]


def test_folders_without_pictures_are_told(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        folder.find(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="holds no picture"):
        folder.find(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no readable picture; 1 cannot be read: a\.png \(0 bytes\)"):
        folder.encode(folder.find(tmp_path), lambda files: files)
