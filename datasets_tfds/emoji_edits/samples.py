"""Draws `samples.png` of this folder: queries of the test roles, three of each kind of edit.

python -m datasets_tfds.emoji_edits.samples
"""

import io
import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from datasets_tfds.emoji_edits import edits
from datasets_tfds.emoji_edits.emoji_edits_dataset_builder import on_white
from datasets_tfds.emoji_edits.people import pictures

PATH = Path(__file__).with_name("samples.png")
PER_KIND = 3
SIDE, WORDS, GAP, TITLE = 72, 150, 14, 22


def sheet():
    """Image with a row for each kind of edit: reference, text over an arrow, target."""
    cell = 2 * SIDE + WORDS + 3 * GAP
    row_height = TITLE + SIDE + GAP
    image = Image.new("RGB", (PER_KIND * cell + GAP, len(edits.KINDS) * row_height + GAP), "white")
    draw = ImageDraw.Draw(image)
    for row, kind in enumerate(edits.KINDS):
        top = GAP + row * row_height
        draw.text((GAP, top), kind, "#5b6577", ImageFont.load_default(14))
        for column, query in enumerate(edits.queries("test", (kind,), PER_KIND)):
            _draw_query(image, draw, GAP + column * cell, top + TITLE, query)
    return image


def _draw_query(image, draw, left, top, query):
    _, text, reference, target = query
    for person, start in ((reference, left), (target, left + SIDE + WORDS)):
        image.paste(Image.open(io.BytesIO(on_white(pictures()[person.image_id]))), (start, top))
    middle, line = left + SIDE + WORDS / 2, top + SIDE - 12
    draw.multiline_text(
        (middle, line - 8), textwrap.fill(text, 18), "black", ImageFont.load_default(14), anchor="md", align="center"
    )
    draw.line((left + SIDE + 16, line, left + SIDE + WORDS - 18, line), "#98a3b5", 2)
    tip = left + SIDE + WORDS - 12
    draw.polygon(((tip, line), (tip - 8, line - 5), (tip - 8, line + 5)), "#98a3b5")


def main():
    """The command line; returns the exit code."""
    temporary = PATH.with_name(f"{PATH.name}.tmp")
    sheet().save(temporary, "PNG", optimize=True)
    temporary.replace(PATH)
    print(f"wrote {PATH} ({PATH.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
