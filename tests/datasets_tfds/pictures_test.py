"""Odd and broken pictures, and a user's folder under each policy."""

import io
import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cir_tf.data import folder
from datasets_tfds import pictures

PIXELS_HWC = np.asarray(
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 4), np.uint8)).resize((31, 22), Image.BILINEAR)
)
HTML = b"<!DOCTYPE html><html><body>not found</body></html>"


def _encode(image, form="JPEG", **options):
    image.save(buffer := io.BytesIO(), form, **options)
    return buffer.getvalue()


def _picture(mode="RGB", turn=0):
    image = Image.fromarray(np.roll(PIXELS_HWC, turn, axis=1))
    return image.convert("RGB").convert(mode) if mode != "RGBA" else image


def _write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _decoded(data):
    return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()


ANIMATION = {"save_all": True, "append_images": [_picture(turn=5), _picture(turn=9)]}
PALETTE = _picture().quantize(16)
HIGH_HW = np.arange(22 * 31, dtype=np.uint16).reshape(22, 31) * 90
ODD = {
    "GIF": _encode(_picture(), "GIF"),
    "animated GIF": _encode(_picture(), "GIF", **ANIMATION),
    "WebP": _encode(_picture(), "WEBP", lossless=True),
    "animated WebP": _encode(_picture(), "WEBP", lossless=True, **ANIMATION),
    "CMYK JPEG": _encode(_picture("CMYK")),
    "RGBA PNG": _encode(_picture("RGBA"), "PNG"),
    "palette PNG": _encode(PALETTE, "PNG"),
    "palette PNG with alpha": _encode(PALETTE, "PNG", transparency=bytes(range(0, 160, 10))),
    "grey and alpha PNG": _encode(_picture("LA"), "PNG"),
    "one bit PNG": _encode(_picture("1"), "PNG"),
    "animated PNG": _encode(_picture(), "PNG", **ANIMATION),
    "BMP": _encode(_picture(), "BMP"),
    "TIFF": _encode(_picture(), "TIFF"),
    "JPEG without its end mark": _encode(_picture())[:-2] + b"\xff\xe9",
}
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter turn
KEPT = {
    "JPEG": _encode(_picture(), quality=95),
    "grey JPEG": _encode(_picture("L")),
    "progressive JPEG": _encode(_picture(), progressive=True),
    "turned JPEG": _encode(_picture(), exif=TURNED),
    "JPEG with damaged EXIF": _encode(_picture(), exif=TURNED.tobytes()[:-5]),
    "JPEG of several pictures": _encode(_picture(), "MPO", **ANIMATION),
    "PNG": _encode(_picture(), "PNG"),
    "grey PNG": _encode(_picture("L"), "PNG"),
}
BAD = {
    "0 bytes": b"",
    "no picture, whatever its name says": HTML,
    "cut off": KEPT["JPEG"][:-60],
    "damaged": KEPT["PNG"][:60] + bytes(200) + KEPT["PNG"][260:],
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_pictures_become_png_of_their_first_frame_with_alpha_dropped(tmp_path, kind):
    path = _write(tmp_path / "a.jpg", ODD[kind])
    data = pictures.read(path)
    image = Image.open(io.BytesIO(data))
    with Image.open(path) as original:
        original.info.clear()
        expected_HWC = np.asarray(original.convert("RGB"))
    assert (image.format, image.mode, set(image.info)) == ("PNG", "RGB", set())
    np.testing.assert_array_equal(np.asarray(image), expected_HWC)
    np.testing.assert_array_equal(_decoded(data), expected_HWC)


@pytest.mark.parametrize(
    "kind", ["RGBA PNG", "palette PNG with alpha", "grey and alpha PNG", "RGB PNG with a transparent colour"]
)
def test_transparency_on_white_is_what_the_search_makes_of_it(tmp_path, kind):
    others = {
        "RGB PNG with a transparent colour": _encode(_picture(), "PNG", transparency=_picture().getpixel((3, 5))),
        "grey and alpha PNG": _encode(_picture("RGBA").convert("LA"), "PNG"),
    }
    path = _write(tmp_path / "a.png", (ODD | others)[kind])
    white = _decoded(pictures.read(path, on_white=True))
    np.testing.assert_array_equal(white, _decoded(folder.read(path)))
    assert (white != _decoded(pictures.read(path))).any()
    local = pictures.Local(tmp_path, lambda name: [name], ["a.png"], on_white=True)
    np.testing.assert_array_equal(_decoded(local.bytes("a.png")), white)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of opening the picture here
@pytest.mark.parametrize("kind", KEPT)
def test_plain_pictures_keep_their_bytes(tmp_path, kind):
    data = pictures.read(_write(tmp_path / "a.png", KEPT[kind]))
    assert data == KEPT[kind]
    expected_HWC = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert _decoded(data).shape == expected_HWC.shape == (22, 31, 3)  # also where EXIF asks for a quarter turn
    assert np.abs(_decoded(data) - expected_HWC).mean() < 4


def test_16_bits_are_scaled_not_clipped(tmp_path):
    data = pictures.read(_write(tmp_path / "a.png", _encode(Image.fromarray(HIGH_HW), "PNG")))
    expected_HWC = np.repeat((HIGH_HW >> 8).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(_decoded(data), expected_HWC)
    assert len(np.unique(expected_HWC)) > 200


def test_a_jpeg_with_a_stray_mark_is_stored_as_png(tmp_path):
    """Pillow has all rows before it comes to the mark; TensorFlow fails at it."""
    data = KEPT["JPEG"]
    place = data.rfind(b"\xff\xd9") - 12
    read = pictures.read(_write(tmp_path / "a.jpg", data[:place] + b"\xff\xe5" + data[place:]))
    assert read.startswith(b"\x89PNG")
    assert _decoded(read).shape == (22, 31, 3)


def test_16_bits_with_a_transparent_grey_are_those_of_the_search(tmp_path):
    path = _write(tmp_path / "a.png", _encode(Image.fromarray(HIGH_HW), "PNG", transparency=900))
    found = _decoded(pictures.read(path, on_white=True))
    np.testing.assert_array_equal(found, _decoded(folder.read(path)))
    assert len(np.unique(found)) > 200


def test_pixels_that_are_no_whole_numbers_are_refused(tmp_path):
    path = _write(tmp_path / "a.tiff", _encode(Image.fromarray(np.full((5, 7), 0.5, np.float32)), "TIFF"))
    with pytest.raises(pictures.BadPicture, match="no whole numbers"):
        pictures.read(path)


@pytest.mark.parametrize("reason", BAD)
def test_bad_files_are_refused_with_the_reason(tmp_path, reason):
    with pytest.raises(pictures.BadPicture, match=reason):
        pictures.read(_write(tmp_path / "a.jpg", BAD[reason]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_is_accepted_of_a_cut_file_can_be_decoded(tmp_path, kind):
    data, accepted = KEPT[kind], 0
    for length in range(len(data) - 40, len(data)):
        path = _write(tmp_path / "a.jpg", data[:length])
        try:
            read = pictures.read(path)
        except pictures.BadPicture:
            continue
        accepted += 1
        assert _decoded(read).shape == (22, 31, 3)
    assert accepted < 40


def test_a_program_in_postscript_is_not_run(tmp_path):
    with pytest.raises(pictures.BadPicture, match="no picture"):
        pictures.read(_write(tmp_path / "a.jpg", _encode(_picture(), "EPS")))


def test_a_bomb_is_refused_unless_the_limit_is_lifted(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = _write(tmp_path / "a.png", KEPT["PNG"])
    with pytest.raises(pictures.BadPicture, match="31 x 22 pixels, more than 100"):
        pictures.read(path)
    assert pictures.read(path, lift_limit=True) == KEPT["PNG"]
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.fixture
def copy(tmp_path):
    """a and b are fine, c is a GIF, d is a web page, e is nowhere."""
    for name, data in (("a.jpg", KEPT["JPEG"]), ("old/b.png", KEPT["PNG"]), ("old/c.png", ODD["GIF"]), ("d.jpg", HTML)):
        _write(tmp_path / "copy" / "images" / name, data)
    return tmp_path / "copy"


def _locate(image_id):
    return [f"images/{image_id}.jpg", f"images/old/{image_id}.png"]


def test_everything_is_found_and_counted(copy):
    local = pictures.Local(copy, _locate, "edcbaa", on_missing="skip")
    assert local.missing == ["e"]
    assert local.bad == [("d", "no picture, whatever its name says")]
    assert [image_id for image_id in "abcde" if local.keeps(image_id)] == ["a", "b", "c"]
    assert local.bytes("a") == KEPT["JPEG"]
    assert Image.open(io.BytesIO(local.bytes("c"))).format == "PNG"
    assert local.relpath("c") == "images/old/c.png"
    metadata = json.loads(json.dumps(local.metadata()))
    stamp = metadata.pop("stamp")
    assert metadata == {
        "pictures": 3,
        "missing": 1,
        "missing_ids": ["e"],
        "bad": 1,
        "bad_ids": {"d": "no picture, whatever its name says"},
        "reencoded": 1,
        "layout": "images/<id>.jpg",
        "on_missing": "skip",
    }
    assert pictures.Local(copy, _locate, "cabde", on_missing="skip").metadata()["stamp"] == stamp
    assert pictures.Local(copy, _locate, "abc").layout == "images/old/<id>.png"  # most of them
    _write(copy / "images" / "a.jpg", KEPT["progressive JPEG"])
    assert pictures.Local(copy, _locate, "abcde", on_missing="skip").metadata()["stamp"] != stamp


def test_the_first_candidate_that_exists_counts(copy):
    _write(copy / "images" / "old" / "a.png", KEPT["PNG"])
    assert pictures.Local(copy, _locate, "a").bytes("a") == KEPT["JPEG"]


def test_error_policy_gives_the_total_the_names_and_where_it_looked(copy):
    with pytest.raises(ValueError, match=r"2 of 5 pictures cannot be used: e \(missing\), d \(no picture") as error:
        pictures.Local(copy, _locate, "abcde")
    assert "images/e.jpg, images/old/e.png" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"9 of 10 .*5 \(missing\), \.\.\."):
        pictures.Local(copy, _locate, "a123456789")


def test_skip_policy_says_what_it_leaves_out(copy, caplog):
    pictures.Local(copy, _locate, "abcde", on_missing="skip")
    assert "Left out, with all that needs them: 2 of 5 pictures cannot be used: e (missing)" in caplog.text


def test_a_copy_without_any_picture_is_an_error_unless_only_looked_at(copy):
    with pytest.raises(ValueError, match="2 of 2 pictures cannot be used"):
        pictures.Local(copy, _locate, "de", on_missing="skip")
    local = pictures.Local(copy, _locate, "de", on_missing=None)
    assert (local.missing, len(local.bad), local.metadata()["pictures"]) == (["e"], 1, 0)


def test_unknown_policy_is_refused(copy):
    with pytest.raises(ValueError, match="Received: on_missing='drop'"):
        pictures.Local(copy, _locate, "a", on_missing="drop")


@pytest.mark.parametrize("candidate", ["../secret.jpg", "images/../../secret.jpg", "/etc/hosts"])
def test_a_path_that_leaves_the_folder_is_refused(copy, candidate):
    _write(copy.parent / "secret.jpg", KEPT["JPEG"])
    with pytest.raises(ValueError, match=r"of picture 'a' leaves the folder"):
        pictures.Local(copy, lambda _: [candidate], ["a"], on_missing="skip")


def test_links_may_stay_inside_but_not_lead_out(copy):
    outside = _write(copy.parent / "secret.jpg", KEPT["JPEG"])
    (copy / "images" / "f.jpg").symlink_to("a.jpg")
    assert pictures.Local(copy, _locate, "f").bytes("f") == KEPT["JPEG"]
    (copy / "images" / "g.jpg").symlink_to(outside)
    with pytest.raises(ValueError, match=r"g\.jpg is a link out of"):
        pictures.Local(copy, _locate, "fg")


def test_a_root_that_is_a_link_itself_is_fine(copy):
    (copy.parent / "link").symlink_to(copy)
    assert pictures.Local(copy.parent / "link", _locate, "ab").metadata()["pictures"] == 2


def test_a_folder_or_a_broken_link_of_that_name_is_missing(copy):
    (copy / "images" / "f.jpg").mkdir()
    (copy / "images" / "g.jpg").symlink_to("nowhere.jpg")
    assert pictures.Local(copy, _locate, "afg", on_missing="skip").missing == ["f", "g"]


def test_odd_metadata_makes_no_picture_bad(copy):
    _write(copy / "images" / "f.jpg", KEPT["JPEG with damaged EXIF"])
    assert pictures.Local(copy, _locate, "f").keeps("f")  # warnings are errors in these tests


def test_few_pictures_are_in_memory_at_once(copy, monkeypatch):
    for i in range(40):
        _write(copy / "images" / f"p{i}.jpg", KEPT["JPEG"])
    lock, now, most, real = threading.Lock(), 0, 0, pictures._decode

    def decode(*arguments):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return real(*arguments)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(pictures, "_decode", decode)
    monkeypatch.setattr(pictures.os, "cpu_count", lambda: 3)
    local = pictures.Local(copy, _locate, [f"p{i}" for i in range(40)])
    assert local.metadata()["pictures"] == 40
    assert most <= 3
    assert "JFIF" not in str(vars(local))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"a": 1},\n {"b": 2', r"a\.json, line 2: cut off or not JSON"),
        (b"", r"a\.json, line 1: cut off or not JSON"),
        (b'["x",\n "caf\xe9"]', r"a\.json, line 2: not UTF-8"),
        (b'{"a": 1, "b": 2, "a": 3}', r"a\.json: 'a' is there twice"),
        (b'"text"', r"a\.json must hold a list or a dict, and holds a str"),
        (b"[" * 100_000, r"a\.json"),
    ],
)
def test_damaged_json_is_one_clear_line(tmp_path, data, message):
    with pytest.raises(ValueError, match=message) as error:
        pictures.read_json(_write(tmp_path / "a.json", data))
    assert "\n" not in str(error.value)


def test_json_of_another_type_than_expected_is_refused(tmp_path):
    path = _write(tmp_path / "a.json", b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert pictures.read_json(path, dict) == {"a": "é"}
    with pytest.raises(ValueError, match="must hold a list, and holds a dict"):
        pictures.read_json(path, list)


def test_lines_lose_their_ends_only(tmp_path):
    path = _write(tmp_path / "a.txt", "a \r\n\nb\u2028c\n".encode())
    assert pictures.read_lines(path) == ["a ", "", "b\u2028c"]
    with pytest.raises(ValueError, match=r"a\.txt, line 3: not UTF-8"):
        pictures.read_lines(_write(path, b"a\nb\nc\xff\n"))
