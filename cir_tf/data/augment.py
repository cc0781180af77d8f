"""Random pictures for training, by name: what the published systems do, drawn from a generator.

Dimension key: H W C image.
"""

import io
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from cir_tf.data import crops, fits

LARGEST = 279  # side from which VAL cuts its crops, at most


class Augmentation(NamedTuple):
    """Attributes: change: function (Pillow image, size, generator) -> Pillow image or array; dtype: of the pixels."""

    change: Any
    dtype: Any = np.uint8


def pixels(data, size, name, seed):
    """A picture file as [size, size, 3] in 0..255, changed at random.

    Args:
        data: the bytes of the file.
        size: side of the result, in pixels.
        name: one of `AUGMENTATIONS`.
        seed: int; the same seed gives the same pixels.
    """
    with Image.open(io.BytesIO(data)) as image:
        changed = AUGMENTATIONS[name].change(image, size, np.random.default_rng(seed))
    return np.asarray(changed.convert("RGB") if isinstance(changed, Image.Image) else changed)


def named(name):
    """The name itself; ValueError lists the names where it is none, and not ""."""
    if name and name not in AUGMENTATIONS:
        raise ValueError(f"An augmentation is one of {', '.join(AUGMENTATIONS)}, or ''. Received: {name!r}.")
    return name


def strong(image, size, generator):
    """Crop, colours, symmetries, contrast, perspective, grey: MLCL's second view of the reference.

    Reference: MLCL's released code; its crop is 288 pixels, whatever the encoder sees.
    """
    image = fits.pad(image, fits.target_padding)
    image = crops.random_crop(image, size, generator, area=(0.08, 1.0)).convert("RGB")
    image = _colours(image, generator)
    turn, mirror = SYMMETRIES[generator.integers(len(SYMMETRIES))]
    image = mirror(image) if mirror else image
    image = image.transpose(turn) if turn else image
    if generator.random() < 0.5:
        image = ImageOps.autocontrast(image)
    if generator.random() < 0.5:
        image = _perspective(image, generator, distortion=0.5)
    return ImageOps.grayscale(image) if generator.random() < 0.5 else image


def flip(image, size, generator):
    """Mirrored half of the time, then `fits.tf1_resize`: VAL."""
    image = image.convert("RGB")
    image = ImageOps.mirror(image) if generator.random() < 0.5 else image
    with tf.device("CPU"):
        return fits.tf1_resize(np.asarray(image), size).numpy()


def flip_and_crop(image, size, generator):
    """`flip` at a size of up to 279, each equally often, of which a random square is cut out: VAL on FashionIQ."""
    side = int(generator.integers(size, max(size, LARGEST) + 1))
    pixels_HWC = flip(image, side, generator)
    top, left = generator.integers(side - size + 1, size=2)
    return pixels_HWC[top : top + size, left : left + size]


def _colours(image, generator):
    """One of MLCL's seven jitters, each equally often; of several the order is random."""
    brightness, contrast, saturation, hue = JITTERS[generator.integers(len(JITTERS))]
    changes = [
        (brightness, lambda image, by: ImageEnhance.Brightness(image).enhance(1 + by)),
        (contrast, lambda image, by: ImageEnhance.Contrast(image).enhance(1 + by)),
        (saturation, lambda image, by: ImageEnhance.Color(image).enhance(1 + by)),
        (hue, _turn_hue),
    ]
    for place in generator.permutation(len(changes)):
        amount, change = changes[place]
        if amount:
            image = change(image, generator.uniform(-amount, amount))
    return image


def _turn_hue(image, by):
    """All colours further round the circle, by a share of it."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue, int) + int(by * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")


def _perspective(image, generator, distortion):
    """The picture as if its corners were moved inwards by up to half of `distortion` of a side; black outside."""
    width, height = image.size
    across, down = int(distortion * (width // 2)), int(distortion * (height // 2))
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)])
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    moved = corners + inwards * generator.integers(0, (across + 1, down + 1), (4, 2))
    # Eight unknowns a..h of x' = (a x + b y + c) / (g x + h y + 1) and y' alike, from the moved to the first corners.
    rows = []
    for (x, y), (to_x, to_y) in zip(moved, corners, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -to_x * x, -to_x * y])
        rows.append([0, 0, 0, x, y, 1, -to_y * x, -to_y * y])
    coefficients = np.linalg.solve(np.array(rows, float), corners.reshape(-1).astype(float))
    perspective = Image.Transform.PERSPECTIVE
    return image.transform(image.size, perspective, coefficients.tolist(), Image.Resampling.BILINEAR)


TURN = Image.Transpose
SYMMETRIES = (  # a quarter turn after a reflection, or none of it
    (None, None),
    (None, ImageOps.mirror),
    (None, ImageOps.flip),
    (TURN.ROTATE_90, None),
    (TURN.ROTATE_180, None),
    (TURN.ROTATE_270, None),
    (TURN.ROTATE_90, ImageOps.mirror),
    (TURN.ROTATE_270, ImageOps.mirror),
)
JITTERS = (  # brightness, contrast, saturation, hue
    (0.5, 0, 0, 0),
    (0, 0.5, 0, 0),
    (0, 0, 0.5, 0),
    (0, 0, 0, 0.5),
    (0.1, 0.1, 0.1, 0.1),
    (0.3, 0.3, 0.3, 0.3),
    (0.5, 0.5, 0.5, 0.5),
)
AUGMENTATIONS = {
    "crop_and_flip": Augmentation(crops.crop_and_flip),
    "strong": Augmentation(strong),
    "tf1_flip": Augmentation(flip, np.float32),
    "tf1_flip_and_crop": Augmentation(flip_and_crop, np.float32),
}
