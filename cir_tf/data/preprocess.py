"""Pictures to pixels, and what training does to them: functions of tensors, the same in `tf.data` and in an export.

Dimension key: B batch, H W C image, L words.
"""

import functools

import tensorflow as tf

FITS = ("squash", "pad")
JPEG_SCALES = (1, 2, 4, 8)  # a JPEG can be decoded at these fractions of its size, for less work
SKIPPED = 3  # plain bilinear takes two pixels of three; where more become one, it would miss too many


def decode(encoded, size, fit="squash"):
    """One encoded picture as uint8 [size, size, 3]: transparency dropped, first frame.

    A JPEG is decoded at the smallest of 1, 1/2, 1/4 and 1/8 of its size that is not below the result's. Bilinear from
    there on, with anti-aliasing where more than three pixels become one; a picture of that size is not touched.

    Args:
        encoded: scalar string, a JPEG, PNG, BMP, GIF or WebP file.
        size: side of the result, in pixels.
        fit: how a picture that is not square becomes one: "squash", or "pad" (its sides, with black).
    """
    picture = tf.cond(tf.io.is_jpeg(encoded), lambda: _jpeg(encoded, size, fit), lambda: _other(encoded))
    shape = tf.shape(picture)[:2]
    inner = _inner(shape, size, fit)
    kind = tf.reduce_max(tf.where(shape > SKIPPED * inner, 2, tf.cast(shape != inner, tf.int32)))
    picture = tf.switch_case(kind, [lambda: picture, lambda: _plain(picture, inner), lambda: _smooth(picture, inner)])
    if fit == "pad":
        before = (size - inner) // 2
        picture = tf.pad(picture, tf.concat([tf.stack([before, size - inner - before], axis=1), [[0, 0]]], axis=0))
    return tf.ensure_shape(picture, [size, size, 3])


def _inner(shape, size, fit):
    """Height and width that a picture has within the square: int32 [2]."""
    if fit == "squash":
        return tf.constant([size, size])
    sides = size * shape / tf.reduce_max(shape)
    return tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)


def _jpeg(encoded, size, fit):
    shape = tf.io.extract_jpeg_shape(encoded)[:2]
    scaled = -(-shape // tf.constant([[scale] for scale in JPEG_SCALES[1:]]))
    halvings = tf.reduce_sum(tf.cast(tf.reduce_all(scaled >= _inner(shape, size, fit), axis=1), tf.int32))
    # The accurate transform is the one of Pillow, to the last digit.
    read = functools.partial(tf.io.decode_jpeg, encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.switch_case(halvings, [functools.partial(read, ratio=scale) for scale in JPEG_SCALES])


def _other(encoded):
    picture = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(picture, [None, None, 3])


def _plain(picture, inner):
    resized = tf.raw_ops.ResizeBilinear(images=picture[None], size=inner, half_pixel_centers=True)[0]
    return tf.cast(resized + 0.5, tf.uint8)


def _smooth(picture, inner):
    return tf.cast(tf.image.resize(picture, inner, antialias=True) + 0.5, tf.uint8)


def decode_batch(encoded_B, size, fit="squash"):
    """`decode` for a tensor of strings [B]: uint8 [B, size, size, 3]."""
    spec = tf.TensorSpec([size, size, 3], tf.uint8)
    return tf.map_fn(lambda encoded: decode(encoded, size, fit), encoded_B, fn_output_signature=spec)


def shift(image_BHWC, noise_B2, pixels):
    """Move each picture by up to `pixels` in both directions, repeating its border.

    Args:
        image_BHWC: [B, H, W, C].
        noise_B2: uniform in [0, 1), float [B, 2]: vertical and horizontal.
        pixels: int, the largest move.
    """
    height, width = image_BHWC.shape[1:3]
    move_B2 = tf.cast(tf.floor(noise_B2 * (2 * pixels + 1)), tf.int32) - pixels
    row_BH = tf.clip_by_value(tf.range(height) + move_B2[:, :1], 0, height - 1)
    column_BW = tf.clip_by_value(tf.range(width) + move_B2[:, 1:], 0, width - 1)
    flat = row_BH[:, :, None] * width + column_BW[:, None, :]
    pixels_BPC = tf.reshape(image_BHWC, [tf.shape(image_BHWC)[0], height * width, image_BHWC.shape[-1]])
    return tf.gather(pixels_BPC, flat, batch_dims=1)


def forget_words(ids_BL, noise_BL, share, unknown_id):
    """Make a share of the words unknown, so that a model learns to live with words it has never met.

    Args:
        ids_BL: int32 [B, L], padding negative.
        noise_BL: uniform in [0, 1), float [B, L].
        share: of the words, 0..1.
        unknown_id: the id of an unknown word.
    """
    return tf.where((noise_BL < share) & (ids_BL >= 0), unknown_id, ids_BL)
