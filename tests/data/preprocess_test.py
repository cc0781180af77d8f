import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cir_tf.data import preprocess


def encode(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))


def test_a_picture_of_the_right_size_is_not_touched(picture):
    np.testing.assert_array_equal(preprocess.decode(encode(picture, "PNG"), 9), np.asarray(picture))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_lossless_formats_decode_alike(picture, kind):
    picture = picture.convert("P").convert("RGB") if kind == "GIF" else picture
    np.testing.assert_array_equal(preprocess.decode(encode(picture, kind), 9), np.asarray(picture))


def test_the_first_frame_counts_and_transparency_is_dropped(picture):
    other = Image.new("RGB", (9, 9), "red")
    animated = encode(picture.convert("P"), "GIF", save_all=True, append_images=[other.convert("P")])
    np.testing.assert_array_equal(preprocess.decode(animated, 9), np.asarray(picture.convert("P").convert("RGB")))
    clear = picture.convert("RGBA")
    clear.putalpha(0)
    np.testing.assert_array_equal(preprocess.decode(encode(clear, "PNG"), 9), np.asarray(picture))


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros([8, 8, 3], np.uint8)
    stripes[::2] = 255
    small = preprocess.decode(encode(Image.fromarray(stripes), "PNG"), 2).numpy()
    assert 100 < small.min() <= small.max() < 155


def test_a_jpeg_decodes_as_in_pillow(picture):
    data = encode(picture.resize((40, 40)), "JPEG", quality=80)
    np.testing.assert_array_equal(preprocess.decode(data, 40), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize(
    ("width", "height", "scale"), [(40, 64, 4), (31, 99, 2), (30, 80, 2), (19, 200, 2), (18, 200, 1)]
)
def test_a_jpeg_is_decoded_no_smaller_than_needed(width, height, scale):
    gradient = np.mgrid[0:height, 0:width].sum(axis=0) * 255 / (height + width)
    data = encode(Image.fromarray(np.repeat(gradient[..., None], 3, -1).astype(np.uint8)), "JPEG", quality=95)
    small = Image.open(io.BytesIO(data))
    small.draft("RGB", (width // scale, height // scale))
    assert min(small.size) >= 10
    picture = encode(Image.fromarray(np.asarray(small)), "PNG")
    decoded = preprocess.decode(data, 10).numpy().astype(int)
    assert np.abs(decoded - preprocess.decode(picture, 10).numpy()).max() <= 1
    exact = np.asarray(Image.open(io.BytesIO(data)).resize((10, 10), Image.BOX)).astype(int)
    assert np.abs(decoded - exact).mean() < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_padding_keeps_the_shape(kind):
    data = encode(Image.new("RGB", (30, 20), (200, 100, 40)), kind)
    padded = preprocess.decode(data, 15, "pad").numpy().astype(int)
    assert np.abs(padded[2:12] - [200, 100, 40]).max() <= 2
    assert not padded[:2].any()
    assert not padded[12:].any()
    tall = preprocess.decode(encode(Image.new("RGB", (10, 50), "white"), kind), 15, "pad").numpy()
    assert tall[:, 6:9].min() >= 253
    assert not tall[:, :6].any()
    assert not tall[:, 9:].any()


def test_a_batch_mixes_sizes(picture):
    files = tf.constant([encode(picture, "PNG"), encode(picture.resize((20, 5)), "JPEG")])
    batch = preprocess.decode_batch(files, 9)
    assert batch.shape == (2, 9, 9, 3)
    np.testing.assert_array_equal(batch[0], np.asarray(picture))


def test_shift_moves_each_picture_its_own_way_and_repeats_the_border():
    rows, columns = np.mgrid[0:4, 0:5]
    image = np.stack([10 * rows + columns] * 2)[..., None].astype(np.uint8)
    moved = preprocess.shift(tf.constant(image), tf.constant([[0.0, 0.99], [0.5, 0.5]]), pixels=1).numpy()[..., 0]
    # First: one row up (the content moves down), one column right; second: not at all.
    np.testing.assert_array_equal(moved[0, 0], [1, 2, 3, 4, 4])
    np.testing.assert_array_equal(moved[0, 3], [21, 22, 23, 24, 24])
    np.testing.assert_array_equal(moved[1], image[1, ..., 0])


def test_forgotten_words_are_unknown_and_padding_stays():
    ids = tf.constant([[5, 6, -1], [7, 8, 9]])
    noise = tf.constant([[0.1, 0.9, 0.0], [0.29, 0.3, 0.31]])
    np.testing.assert_array_equal(preprocess.forget_words(ids, noise, 0.3, 0), [[0, 6, -1], [0, 8, 9]])
