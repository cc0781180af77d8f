"""Random crops, drawn from a generator."""

import math

from PIL import Image, ImageOps

TRIES = 10
SIDES = 3 / 4, 4 / 3  # aspect ratios


def crop_and_flip(image, size, generator):
    """A crop of 0.75 to 1.33 of the area, mirrored half of the time: ComqueryFormer, in training and test."""
    image = random_crop(image.convert("RGB"), size, generator, area=(0.75, 1.33))
    return ImageOps.mirror(image) if generator.random() < 0.5 else image


def random_crop(image, size, generator, area):
    """A random part of a picture as a square, bilinear; a centred one where ten draws do not fit in.

    The part has a share of the area that is uniform in `area`, and an aspect ratio that is log-uniform in 3/4 to 4/3.
    """
    width, height = image.size
    for _ in range(TRIES):
        wanted = width * height * generator.uniform(*area)
        ratio = math.exp(generator.uniform(*map(math.log, SIDES)))
        across, down = round(math.sqrt(wanted * ratio)), round(math.sqrt(wanted / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = generator.integers(width - across + 1), generator.integers(height - down + 1)
            break
    else:
        ratio = min(max(width / height, SIDES[0]), SIDES[1])
        across, down = min(width, round(height * ratio)), min(height, round(width / ratio))
        left, top = (width - across) // 2, (height - down) // 2
    box = int(left), int(top), int(left + across), int(top + down)
    return image.crop(box).resize((size, size), Image.Resampling.BILINEAR)
