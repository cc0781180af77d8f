"""Thumbnails: small, made once, equal pictures shared."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cir_tf.data import source
from cir_tf.data.album import SIDE, Album, thumbnail
from cir_tf.errors import UserError


def _file(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def _opened(uri):
    head, _, text = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert head == f"data:image/{image.format.lower()}"
    return image


def _slope(height, width):
    """Red rises to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([red, green, np.full_like(red, 30)], axis=-1)


@pytest.mark.parametrize(("kind", "size"), [("PNG", (900, 1400)), ("JPEG", (1400, 900)), ("BMP", (40, 30))])
def test_thumbnail_shows_the_picture_within_the_limit(kind, size):
    image = _opened(thumbnail(_file(_slope(*size), kind)))
    assert image.format == "WEBP" and max(image.size) == min(SIDE, max(size))
    assert image.size[0] / image.size[1] == pytest.approx(size[1] / size[0], rel=0.02)
    pixels = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(pixels, _slope(*pixels.shape[:2]), atol=16)


def test_thumbnails_are_small():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1400, 3))
    assert len(thumbnail(_file(noise))) < 12_000


@pytest.fixture
def album(monkeypatch):
    """The album of two galleries, and the list of galleries that were read."""
    read = []

    def read_gallery(builder, split):
        read.append((*builder, split))
        images = {"a": np.full((8, 8, 3), 10), "b": _slope(20, 30), "c": np.full((8, 8, 3), 10)}
        return source.Gallery([*images], np.array([_file(image) for image in images.values()], object), [""] * 3)

    monkeypatch.setattr(source, "open_builder", lambda *place: place)
    monkeypatch.setattr(source, "read_gallery", read_gallery)
    return Album("/data"), read


def test_equal_pictures_are_one(album):
    album, read = album
    numbers = [album.number("fruit", "small", split, name) for split in ("test", "all") for name in "abca"]
    assert numbers == [0, 1, 0, 0] * 2
    assert len(album.uris) == 2
    assert read == [("fruit", "small_gallery", "/data", "test"), ("fruit", "small_gallery", "/data", "all")]


def test_picture_that_is_not_there_is_told(album):
    with pytest.raises(UserError, match=r"fruit/small_gallery test has no picture 'gone'.*other data"):
        album[0].number("fruit", "small", "test", "gone")
