"""Pictures to pixels, and what training does to them: functions of tensors, the same in `tf.data` and in an export.

Dimension key: B batch, H W C image, L words.
"""

import tensorflow as tf


def decode(encoded, size):
    """One encoded picture as uint8 [size, size, 3]: transparency dropped, first frame, squashed where it is not square.

    Args:
        encoded: scalar string, a JPEG, PNG, BMP, GIF or WebP file.
        size: side of the result, in pixels. Bilinear with anti-aliasing; a picture of that size is not touched.
    """
    picture = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    picture.set_shape([None, None, 3])
    if_other = lambda: tf.image.resize(tf.cast(picture, tf.float32), [size, size], antialias=True)  # noqa: E731
    same = tf.reduce_all(tf.equal(tf.shape(picture)[:2], size))
    resized = tf.cond(same, lambda: tf.cast(picture, tf.float32), if_other)
    return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8), [size, size, 3])


def decode_batch(encoded_B, size):
    """`decode` for a tensor of strings [B]: uint8 [B, size, size, 3]."""
    spec = tf.TensorSpec([size, size, 3], tf.uint8)
    return tf.map_fn(lambda encoded: decode(encoded, size), encoded_B, fn_output_signature=spec)


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
