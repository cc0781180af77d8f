"""Every published way to a square picture, in Pillow and in TensorFlow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cir_tf import export, train
from cir_tf.data import fits, preprocess
from cir_tf.errors import UserError
from tests.small import small_config

PUBLISHED = [name for name, fit in fits.FITS.items() if fit.pillow and fit.graph]
SHAPES = [(300, 601), (601, 300), (100, 640), (57, 91), (33, 20), (48, 48), (401, 320)]


def noisy(width, height, kind, mode="RGB"):
    """A picture file of every brightness, with hard edges."""
    rng = np.random.default_rng(width * height)
    soft = np.asarray(Image.fromarray(rng.integers(0, 255, (5, 4, 3), np.uint8)).resize((width, height)), int)
    pixels = np.clip(soft + rng.integers(-60, 60, soft.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("JPEG", "RGB"), ("JPEG", "L")])
@pytest.mark.parametrize("name", PUBLISHED)
def test_an_export_sees_the_pixels_of_pillow(name, kind, mode):
    graph = tf.function(lambda encoded: preprocess.decode(encoded, 48, name))
    for width, height in SHAPES:
        data = noisy(width, height, kind, mode)
        expected = fits.FITS[name].pillow(data, 48)
        assert expected.shape == (48, 48, 3)
        np.testing.assert_array_equal(graph(tf.constant(data)), expected, err_msg=f"{width} x {height}")


def test_training_and_export_see_the_same(monkeypatch):
    files = np.array([noisy(*shape, "JPEG") for shape in SHAPES], object)
    for name, fit in fits.FITS.items():
        if not fit.graph:
            continue
        found = preprocess.decode_from(files, tf.constant([4, 0, 2]), 16, name)
        assert found.dtype == fit.dtype
        np.testing.assert_array_equal(found, preprocess.decode_batch(files[[4, 0, 2]], 16, name), err_msg=name)


@pytest.mark.parametrize(
    ("padding", "shape", "expected"),
    [
        (fits.target_padding, (300, 600), (90, 0)),
        (fits.target_padding, (1000, 333), (0, 233)),
        (fits.target_padding, (500, 400), (0, 0)),
        (fits.target_padding, (401, 320), (0, 0)),
        (fits._square, (300, 601), (150, 0)),
        (fits._square, (90, 40), (0, 25)),
        (fits._no_padding, (90, 40), (0, 0)),
    ],
)
def test_padding_of_the_specification(padding, shape, expected):
    assert tuple(int(side) for side in padding(*shape)) == expected


def test_padding_is_black_and_on_both_sides():
    file = io.BytesIO()
    Image.new("RGB", (30, 90), "white").save(file, "PNG")
    square = preprocess.decode(file.getvalue(), 18, "squarepad").numpy()
    assert not square[:, :4].any()
    assert not square[:, 14:].any()
    assert square[:, 8:10].min() == 255


def test_the_middle_of_the_longer_side_is_cut_out():
    """1 x 3 as 20 x 60, shorter side to 10: 10 x 30, of which 10 .. 20 stay: the middle third, blue."""
    pixels = np.repeat(np.array([[[255, 0, 0]], [[0, 0, 255]], [[0, 255, 0]]], np.uint8), 20, 0).repeat(20, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    cut = preprocess.decode(file.getvalue(), 10, "shorter_crop").numpy()
    np.testing.assert_array_equal(cut[1:9], np.broadcast_to([0, 0, 255], (8, 10, 3)))


@pytest.mark.parametrize(
    ("size", "expected"), [(3, [0, 3, 34 / 3]), (8, [0, 0.625, 1.75, 3.625, 6.5, 9.875, 14.25, 16])]
)
def test_golden_tensorflow_1_bilinear(size, expected):
    """V5: the row 0 1 4 9 16, repeated over the height, so that the other side does nothing."""
    row = np.array([0, 1, 4, 9, 16], np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(row[None, :, None], (7, 5, 3)).copy()).save(file, "PNG")
    found = preprocess.decode(file.getvalue(), size, "tf1_squash").numpy()
    np.testing.assert_allclose(found[1, :, 2], expected, atol=5e-7 * 16)


def test_a_random_fit_repeats_itself_and_takes_each_picture_another_way():
    """The published test pictures of ComqueryFormer: its crops and mirrors of training, seeded by the bytes."""
    across = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (180, 200, 3)).copy()
    mirrored, firsts = 0, set()
    for blue in range(40):
        across[..., 2] = blue
        file = io.BytesIO()
        Image.fromarray(across).save(file, "PNG")
        files = np.array([file.getvalue()], object)
        picture = preprocess.decode_from(files, tf.constant([0]), 24, "crop_and_flip")[0].numpy().astype(int)
        np.testing.assert_array_equal(picture, fits.FITS["crop_and_flip"].pillow(files[0], 24))
        columns = picture[5, :, 0]
        mirrored += columns[0] > columns[-1]
        firsts.add(columns.min())
        assert np.ptp(columns) > 130  # 3/4 of the area at 3:4 is 142 wide, the outermost pixels are means
    assert 10 < mirrored < 30
    assert len(firsts) > 10


def test_a_random_fit_is_refused_before_training_and_in_an_export(tmp_path):
    with pytest.raises(UserError, match="no export with fit='crop_and_flip', which is random"):
        export.export_run(small_config(fit="crop_and_flip"), None, tmp_path)
    with pytest.raises(UserError, match="or train with --no_export") as caught:
        train.main(["--config.fit=crop_and_flip", f"--workdir={tmp_path / 'run'}"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="fit must be one of"):
        train.main(["--config.fit=crop", f"--workdir={tmp_path / 'run'}"])


def test_an_unknown_fit_lists_the_names():
    with pytest.raises(ValueError, match=r"squash, pad, .*targetpad, crop_and_flip\. Received: fit='crop'"):
        preprocess.decode(b"", 8, "crop")


@pytest.mark.parametrize("name", [name for name, fit in fits.FITS.items() if fit.graph])
def test_webp_with_transparency_and_animations_are_read_as_other_files(name):
    rng = np.random.default_rng(5)
    frames = [Image.fromarray(rng.integers(0, 255, (30, 41, 4), np.uint8)) for _ in range(2)]
    moving = {"save_all": True, "append_images": frames[1:]}
    for options in ({}, moving):
        file, plain = io.BytesIO(), io.BytesIO()
        frames[0].save(file, "WEBP", lossless=True, exact=True, **options)
        Image.open(io.BytesIO(file.getvalue())).convert("RGB").save(plain, "PNG")
        found = preprocess.decode(tf.constant(file.getvalue()), 16, name)
        np.testing.assert_array_equal(found, preprocess.decode(tf.constant(plain.getvalue()), 16, name))
