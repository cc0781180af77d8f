"""Random pictures, by their seeds."""

import io

import numpy as np
import pytest
from PIL import Image

from cir_tf.data import augment, crops, triplets
from cir_tf.tokenizers import WordTokenizer
from tests.small import WORDS, small_rows, stored_triplets


@pytest.fixture
def gradient():
    """240 x 160: red grows to the right, green to the bottom, blue is constant."""
    down, across = np.mgrid[0:160, 0:240]
    return Image.fromarray(np.stack([across, down, np.full_like(down, 90)], -1).astype(np.uint8))


def file_of(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_a_seed_gives_one_picture(name, gradient):
    data = file_of(gradient)
    first = augment.pixels(data, 32, name, 5)
    assert first.shape == (32, 32, 3)
    assert first.dtype == augment.AUGMENTATIONS[name].dtype
    np.testing.assert_array_equal(first, augment.pixels(data, 32, name, 5))
    assert any((first != augment.pixels(data, 32, name, seed)).any() for seed in range(6, 16))


def box(image, generator, area, size=64):
    """Where a crop of a gradient lies: left, top, width, height, to a pixel or two."""
    pixels = np.asarray(crops.random_crop(image, size, generator, area), float)
    left, right = pixels[:, 0, 0].mean(), pixels[:, -1, 0].mean()
    top, bottom = pixels[0, :, 1].mean(), pixels[-1, :, 1].mean()
    return left, top, (right - left) * size / (size - 1), (bottom - top) * size / (size - 1)


def test_crops_have_the_area_and_the_shape_that_are_asked_for(gradient):
    generator = np.random.default_rng(0)
    boxes = np.array([box(gradient, generator, (0.1, 0.4)) for _ in range(400)])
    shares, ratios = boxes[:, 2] * boxes[:, 3] / (240 * 160), boxes[:, 2] / boxes[:, 3]
    assert 0.09 < shares.min() < 0.12
    assert 0.38 < shares.max() < 0.42
    assert abs(shares.mean() - 0.25) < 0.02
    assert 0.72 < ratios.min() < 0.78
    assert 1.28 < ratios.max() < 1.38
    assert abs(np.log(ratios).mean()) < 0.03  # log-uniform: as often higher than wide
    assert boxes[:, 0].min() < 5
    assert (boxes[:, 0] + boxes[:, 2]).max() > 234


def test_where_no_draw_fits_the_middle_is_taken():
    """160 x 20 is 8 : 1; no crop of all its area at 3:4 to 4:3 fits, so the middle 27 x 20 is cut out."""
    across = np.broadcast_to(np.arange(160)[None, :, None], (20, 160, 3)).astype(np.uint8)
    left, _, width, _ = box(Image.fromarray(across), np.random.default_rng(1), (0.9, 1.0))
    assert abs(width - 27) < 2
    assert abs(left - (160 - 27) / 2) < 2


def test_half_of_the_crops_are_mirrored(gradient):
    data = file_of(gradient)
    mirrored = [
        pixels[:, 0, 0].mean() > pixels[:, -1, 0].mean()
        for pixels in (augment.pixels(data, 24, "crop_and_flip", seed).astype(int) for seed in range(200))
    ]
    assert 80 <= sum(mirrored) <= 120


def test_eight_symmetries_are_all_different(gradient):
    square = gradient.resize((9, 9))
    found = set()
    for turn, mirror in augment.SYMMETRIES:
        image = mirror(square) if mirror else square
        found.add((image.transpose(turn) if turn else image).tobytes())
    assert len(found) == 8


def test_half_of_the_strong_pictures_are_grey(gradient):
    data = file_of(gradient)
    pictures = [augment.pixels(data, 24, "strong", seed) for seed in range(120)]
    grey = [(picture == picture[..., :1]).all() for picture in pictures]
    assert 45 <= sum(grey) <= 75


def test_hue_turns_round_the_circle():
    red = Image.new("RGB", (3, 2), (200, 0, 0))
    third = np.asarray(augment._turn_hue(red, 1 / 3)).astype(int)
    assert np.abs(third - [0, 200, 0]).max() <= 5
    np.testing.assert_array_equal(augment._turn_hue(red, 0.0), red)


def test_perspective_moves_the_corners_inwards():
    white = Image.new("L", (101, 61), 255)

    class Largest:
        def integers(self, low, high, size):
            return np.broadcast_to(np.array(high) - 1, size)

    bent = np.asarray(augment._perspective(white, Largest(), 0.5))
    # Corners move by int(0.5 * 50) = 25 and int(0.5 * 30) = 15.
    assert bent[15:45, 26:75].min() > 250
    assert not bent[:14].any()
    assert not bent[:, :24].any()
    assert not bent[:, 77:].any()


def test_val_mirrors_before_it_resizes_as_tensorflow_1_does(gradient):
    """V5's rule on red, which is the column: 240 columns to 32, i * 7.5 from the left, or 239 less that from the right.

    Mirroring afterwards would give i * 7.5 in the other order.
    """
    columns = np.arange(32) * 7.5
    seen = {}
    for seed in range(40):
        pixels = augment.pixels(file_of(gradient), 32, "tf1_flip", seed)
        np.testing.assert_allclose(pixels[:, 5, 1], np.arange(32) * 5, atol=1e-4)
        is_mirrored = pixels[0, 0, 0] > pixels[0, -1, 0]
        np.testing.assert_allclose(pixels[7, :, 0], 239 - columns if is_mirrored else columns, atol=1e-4)
        seen[is_mirrored] = seen.get(is_mirrored, 0) + 1
    assert min(seen.values()) > 10


def test_val_crops_squares_of_sides_up_to_279(gradient):
    """Red and green tell the side (240 / step, 160 / step) and the corner of every crop."""
    sides, corners = [], []
    for seed in range(300):
        pixels = augment.pixels(file_of(gradient), 256, "tf1_flip_and_crop", seed)
        assert pixels.shape == (256, 256, 3)
        side = round(160 / np.median(np.diff(pixels[:, 9, 1])))
        assert side == round(240 / abs(np.median(np.diff(pixels[9, :, 0]))))
        sides.append(side)
        top, left = pixels[0, 0, 1] * side / 160, pixels[0, :, 0].min() * side / 240
        np.testing.assert_allclose(top, round(top), atol=1e-3)
        corners.append((round(top), left, side - 256))
    assert (min(sides), max(sides)) == (256, 279)
    assert len(set(sides)) == 24
    tops, lefts, room = np.array(corners).T
    assert (tops <= room).all()
    assert abs((tops[room > 0] / room[room > 0]).mean() - 0.5) < 0.06
    assert lefts.max() > 20
    assert np.abs(tops - lefts).max() > 10


@pytest.mark.parametrize("name", ["strong", "tf1_flip_and_crop"])
def test_training_takes_them_and_goes_on_alike(name):
    data = stored_triplets(small_rows(), WordTokenizer(sorted(WORDS)))
    changes = {"reference": name, "target": "", "shift_pixels": 0, "unknown_word_share": 0.0}

    def take(start, count, **more):
        batches = triplets.batches(data, 4, 5, start, changes | more)
        return [{key: value.numpy() for key, value in batch.items()} for batch in batches.take(count)]

    whole, rest, plain = take(0, 4), take(2, 2), take(0, 4, reference="")
    for one, other in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one["reference_image"], other["reference_image"])
    for one, other in zip(whole, plain, strict=True):
        np.testing.assert_array_equal(one["target_image"], other["target_image"])
        assert (one["reference_image"] != other["reference_image"]).any()
    with pytest.raises(ValueError, match=r"crop_and_flip, strong, .*, or ''\. Received: 'weak'"):
        take(0, 1, target="weak")
