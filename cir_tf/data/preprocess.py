"""Pictures to pixels, and what training does to them: functions of tensors, the same in `tf.data` and in an export.

Dimension key: B batch, H W C image, L words.
"""

import numpy as np
import tensorflow as tf

from cir_tf.data.fits import FITS
from cir_tf.errors import UserError


def fit_named(name):
    """The `Fit` of that name; ValueError lists the names."""
    if name not in FITS:
        raise ValueError(f"fit must be one of {', '.join(FITS)}. Received: fit={name!r}.")
    return FITS[name]


def check_export(name):
    """Raise `UserError` where there is no such fit, or where it is random."""
    try:
        graph = fit_named(name).graph
    except ValueError as error:
        raise UserError(str(error)) from error
    if not graph:
        raise UserError(f"no export with fit={name!r}, which is random: choose another, or train with --no_export")


def decode(encoded, size, fit="squash"):
    """One encoded picture as [size, size, 3], uint8 (or float32 in 0..255): transparency dropped, first frame.

    Args:
        encoded: scalar string, a JPEG, PNG, BMP, GIF or WebP file.
        size: side of the result, in pixels.
        fit: how it becomes a square of that size, a name of `fits.FITS` whose fit has a `graph`.
    """
    return tf.ensure_shape(fit_named(fit).graph(encoded, size), [size, size, 3])


def decode_batch(encoded_B, size, fit="squash"):
    """`decode` for a tensor of strings [B]: [B, size, size, 3]."""
    spec = tf.TensorSpec([size, size, 3], fit_named(fit).dtype)
    return tf.map_fn(lambda encoded: decode(encoded, size, fit), encoded_B, fn_output_signature=spec)


def decode_from(encoded_N, position_B, size, fit="squash"):
    """The pictures at some positions, [B, size, size, 3], for `tf.data`: with Pillow where `decode` only imitates it.

    Args:
        encoded_N: as for `triplets.Pictures`.
        position_B: int tensor.
        size, fit: as for `decode`.
    """
    pillow, dtype = fit_named(fit).pillow, FITS[fit].dtype
    if not pillow:
        encoded_B = tf.ensure_shape(tf.numpy_function(encoded_N.take, [position_B], tf.string), [None])
        return decode_batch(encoded_B, size, fit)
    read = lambda position_B: np.stack([pillow(data, size) for data in encoded_N.take(position_B)])  # noqa: E731
    return tf.ensure_shape(tf.numpy_function(read, [position_B], dtype), [None, size, size, 3])


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
