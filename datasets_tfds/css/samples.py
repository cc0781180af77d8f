"""Draws `samples.png` of this folder: queries of the generated training side, in both kinds of picture.

python -m datasets_tfds.css.samples
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from datasets_tfds.css import render, scenes

PATH = Path(__file__).with_name("samples.png")
SEED = 0
SCALE, GAP, CAPTION = 2, 6, 14


def sheet():
    """Image of one query of each kind, row by row: flat reference, 3-D reference, sentence, target."""
    data = scenes.make_split("train", SEED, 1600, 1600)
    kind_Q = np.array([scenes.edit_kind(text) for text in data.texts_Q])
    rows = [np.flatnonzero(kind_Q == kind)[k] for k, kind in enumerate(scenes.KINDS)]
    side = SCALE * render.SIDE
    width, height = 3 * (side + GAP) + GAP, side + CAPTION + 2 * GAP
    image = Image.new("RGB", (width, len(rows) * height), "white")
    draw = ImageDraw.Draw(image)
    for place, row in enumerate(rows):
        top = place * height + GAP
        draw.text((GAP, top), f"(flat, 3-D) + {data.texts_Q[row]!r} = target", "black")
        for k, picture in enumerate(_pictures(data, row)):
            tile = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
            image.paste(tile, (GAP + k * (side + GAP), top + CAPTION))
    return image


def _pictures(data, row):
    reference, target = data.reference_Q[row], data.target_Q[row]
    return (
        render.draw_2d(data.objects_N[reference]),
        *(render.draw_3d(data.objects_N[i], np.random.default_rng([SEED, 0, i])) for i in (reference, target)),
    )


def main():
    """The command line; returns the exit code."""
    temporary = PATH.with_name(f"{PATH.name}.tmp")
    sheet().save(temporary, "PNG", optimize=True)
    temporary.replace(PATH)
    print(f"wrote {PATH} ({PATH.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
