"""How a picture of any shape fits the square that an encoder sees, by name.

The published systems resize with Pillow. In training and evaluation so do we, which is fast; in an export, where no
Python runs, the same arithmetic is done in TensorFlow, slower and equal to the last digit.

Dimension key: H W C image, I pixels of a side before, O after.
"""

import functools
import io
import zlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from cir_tf.data import crops

JPEG_SCALES = (1, 2, 4, 8)  # a JPEG can be decoded at these fractions of its size, for less work
SKIPPED = 3  # plain bilinear takes two pixels of three; where more become one, it would miss too many
PRECISION_BITS = 22  # of Pillow's weights, which are integers


class Fit(NamedTuple):
    """Attributes: graph: function (encoded, size) -> [size, size, 3] in TensorFlow; pillow: the same with bytes and
    an array; one of the two may be None, and without `graph` there is no export; dtype: of the result.
    """

    graph: Any
    pillow: Any = None
    dtype: Any = tf.uint8


def _fast(encoded, size, pad):
    """Bilinear, a JPEG first at the smallest of 1, 1/2, 1/4, 1/8 of its size that is not below the result's."""
    picture = tf.cond(tf.io.is_jpeg(encoded), lambda: _scaled_jpeg(encoded, size, pad), lambda: _not_jpeg(encoded))
    shape = tf.shape(picture)[:2]
    inner = _inner(shape, size, pad)
    kind = tf.reduce_max(tf.where(shape > SKIPPED * inner, 2, tf.cast(shape != inner, tf.int32)))
    picture = tf.switch_case(kind, [lambda: picture, lambda: _plain(picture, inner), lambda: _smooth(picture, inner)])
    if pad:
        before = (size - inner) // 2
        picture = tf.pad(picture, tf.concat([tf.stack([before, size - inner - before], axis=1), [[0, 0]]], axis=0))
    return picture


def _inner(shape, size, pad):
    """Height and width that a picture has within the square: int32 [2]."""
    if not pad:
        return tf.constant([size, size])
    sides = size * shape / tf.reduce_max(shape)
    return tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)


def _scaled_jpeg(encoded, size, pad):
    shape = tf.io.extract_jpeg_shape(encoded)[:2]
    scaled = -(-shape // tf.constant([[scale] for scale in JPEG_SCALES[1:]]))
    halvings = tf.reduce_sum(tf.cast(tf.reduce_all(scaled >= _inner(shape, size, pad), axis=1), tf.int32))
    return tf.switch_case(halvings, [functools.partial(_jpeg, encoded, ratio=scale) for scale in JPEG_SCALES])


def _jpeg(encoded, ratio=1):
    # The accurate transform is the one of Pillow, to the last digit.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE", ratio=ratio)


def _not_jpeg(encoded):
    # TensorFlow would drop the transparency of every kind of file but this one.
    is_webp = tf.strings.substr(tf.strings.join([encoded, bytes(12)]), 8, 4) == b"WEBP"
    picture = tf.cond(
        is_webp,
        lambda: tf.raw_ops.DecodeWebP(contents=encoded, channels=0)[0, :, :, :3],
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(picture, [None, None, 3])


def _plain(picture, inner):
    resized = tf.raw_ops.ResizeBilinear(images=picture[None], size=inner, half_pixel_centers=True)[0]
    return tf.cast(resized + 0.5, tf.uint8)


def _smooth(picture, inner):
    return tf.cast(tf.image.resize(picture, inner, antialias=True) + 0.5, tf.uint8)


def _tf1(encoded, size):
    picture = tf.cond(tf.io.is_jpeg(encoded), lambda: _jpeg(encoded), lambda: _not_jpeg(encoded))
    return tf1_resize(picture, size)


def tf1_resize(picture, size):
    """TensorFlow 1's bilinear, VAL's: no anti-aliasing, source pixel = i * before / after; float32 in 0..255."""
    return tf.raw_ops.ResizeBilinear(images=picture[None], size=[size, size], half_pixel_centers=False)[0]


def pad(image, padding):
    """A Pillow image with black on its sides, as many pixels as `padding` says, in its own mode."""
    across, down = (int(side) for side in padding(*image.size))
    if not across and not down:
        return image
    padded = Image.new(image.mode, (image.width + 2 * across, image.height + 2 * down))
    padded.paste(image, (across, down))
    return padded


def _pillow_crop(data, size, padding, resample):
    """Pad with black, bring the shorter side to `size`, cut out the middle: with Pillow, in its own modes."""
    with Image.open(io.BytesIO(data)) as image:
        image = pad(image, padding)
        width, height = image.size
        short = min(width, height)
        # One pass at a time: Pillow 13 begins with the other side where that is less work, which changes last digits.
        image = image.resize((int(size * width / short), height), resample)
        image = image.resize((image.width, int(size * height / short)), resample)
        left, top = (round((side - size) / 2) for side in image.size)
        return np.asarray(image.crop((left, top, left + size, top + size)).convert("RGB"))


def _graph_crop(encoded, size, padding, resample):
    """`_pillow_crop` in TensorFlow."""
    picture = tf.cond(tf.io.is_jpeg(encoded), lambda: _jpeg(encoded), lambda: _not_jpeg(encoded))
    height, width = (tf.cast(side, tf.float64) for side in tf.unstack(tf.shape(picture)[:2]))
    across, down = (tf.cast(side, tf.int32) for side in padding(width, height, tf.maximum))
    picture = tf.pad(picture, tf.stack([tf.stack([down, down]), tf.stack([across, across]), tf.constant([0, 0])]))
    shape = tf.shape(picture)[:2]
    sides = tf.cast(size * tf.cast(shape, tf.float64) / tf.cast(tf.reduce_min(shape), tf.float64), tf.int32)
    picture = tf.transpose(_resample(tf.transpose(picture, [1, 0, 2]), sides[1], resample), [1, 0, 2])
    picture = _resample(picture, sides[0], resample)
    top, left = tf.unstack(tf.cast(tf.round((sides - size) / 2), tf.int32))
    return picture[top : top + size, left : left + size]


def _resample(picture, size, resample):
    """Pillow's pass over the first axis, uint8 [I, W, C] to [O, W, C]: integer weights, sums rounded, cut to bytes."""
    support, weigh = FILTERS[resample]
    before = tf.shape(picture)[0]
    scale = tf.cast(before, tf.float64) / tf.cast(size, tf.float64)
    shrink = tf.maximum(scale, 1.0)
    centre_O1 = ((tf.range(tf.cast(size, tf.float64), dtype=tf.float64) + 0.5) * scale)[:, None]
    first_O1 = tf.maximum(tf.floor(centre_O1 - support * shrink + 0.5), 0)
    last_O1 = tf.floor(centre_O1 + support * shrink + 0.5)
    place_I = tf.range(tf.cast(before, tf.float64), dtype=tf.float64)
    weight_OI = weigh((place_I - centre_O1 + 0.5) * (1.0 / shrink))
    weight_OI = tf.where((place_I >= first_O1) & (place_I < last_O1), weight_OI, 0.0)
    weight_OI *= 2.0**PRECISION_BITS / tf.reduce_sum(weight_OI, axis=1, keepdims=True)
    weight_OI = tf.sign(weight_OI) * tf.floor(tf.abs(weight_OI) + 0.5)
    flat = tf.reshape(tf.cast(picture, tf.float64), [before, -1])  # sums stay below 2**53: exact
    sums = tf.floor((tf.matmul(weight_OI, flat) + 2.0 ** (PRECISION_BITS - 1)) / 2.0**PRECISION_BITS)
    return tf.cast(tf.reshape(tf.clip_by_value(sums, 0, 255), [size, tf.shape(picture)[1], 3]), tf.uint8)


def _triangle(x):
    return tf.maximum(1 - tf.abs(x), 0)


def _cubic(x):
    x = tf.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
    return tf.where(x < 1, near, tf.where(x < 2, far, 0))


def _no_padding(width, height, greater=max):
    del greater
    return 0 * width, 0 * height


def _square(width, height, greater=max):
    longer = greater(width, height)
    return (longer - width) / 2, (longer - height) / 2


def target_padding(width, height, greater=max, ratio=1.25):
    """CLIP4Cir's: the shorter side grows until the longer one is at most `ratio` times as long."""
    longer = greater(width, height) / ratio
    return greater(longer - width, 0 * width) / 2, greater(longer - height, 0 * height) / 2


def _published(padding, resample):
    arguments = {"padding": padding, "resample": resample}
    return Fit(functools.partial(_graph_crop, **arguments), functools.partial(_pillow_crop, **arguments))


def _crop_and_flip(data, size):
    """At random, but the same for the same bytes, so that an evaluation repeats."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(crops.crop_and_flip(image, size, np.random.default_rng(zlib.crc32(data))))


BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
FILTERS = {BILINEAR: (1.0, _triangle), BICUBIC: (2.0, _cubic)}
FITS = {
    "squash": Fit(functools.partial(_fast, pad=False)),
    "pad": Fit(functools.partial(_fast, pad=True)),
    "tf1_squash": Fit(_tf1, dtype=tf.float32),  # VAL
    "shorter_crop": _published(_no_padding, BILINEAR),  # TIRG, torchvision's usual transform
    "clip": _published(_no_padding, BICUBIC),
    "squarepad": _published(_square, BICUBIC),  # CLIP4Cir, MLCL, CaLa, FTI4CIR: with `clip` behind it
    "targetpad": _published(target_padding, BICUBIC),
    "crop_and_flip": Fit(None, _crop_and_flip),  # ComqueryFormer's test pictures; as reference and in the gallery alike
}
