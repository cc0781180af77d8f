"""The results of one query on one sheet: a picture made with Pillow, or a self-contained HTML page."""

import base64
import html
import io
import textwrap
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cir_tf.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".html")
COLUMNS = 5
TILE, QUERY_TILE, GAP, MARGIN = 168, 240, 20, 36  # pixels
CAPTION = 46  # pixels below a tile for two lines
INK, PALE, LINE, ACCENT = "#1d2129", "#6a7280", "#e3e6ea", "#2457c5"

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{text}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; color: {INK}; margin: 2rem; display: flex; flex-wrap: wrap; gap: 2.5rem }}
aside {{ width: 15rem }}
main {{ flex: 1; min-width: 20rem; display: grid; grid-template-columns: repeat(auto-fill, 11rem); gap: 1.2rem;
        align-content: start }}
figure {{ margin: 0; overflow-wrap: anywhere }}
img {{ width: 100%; aspect-ratio: 1; object-fit: contain; border: 1px solid {LINE}; border-radius: 8px }}
figcaption, h1 {{ color: {PALE}; font-size: 0.85rem; font-weight: normal; margin: 0 0 0.4rem }}
b {{ color: {ACCENT} }} p {{ font-size: 1.2rem }}
</style>
<aside><h1>Query</h1>{query}<p>{text}</p></aside>
<main>{results}</main>
</html>
"""


class Entry(NamedTuple):
    """One result. Attributes: name: shown below; score; picture: a picture file's bytes."""

    name: str
    score: float
    picture: bytes


def check(path):
    """Refuse early what `write` could not write.

    Raises:
        UserError: the file's name ends in nothing this module can make, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"results go to a file that ends in {', '.join(SUFFIXES)}; not {path.name!r}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for the results")


def write(path, query, text, entries):
    """Write a query and its results, best first.

    Args:
        path: where to; its suffix decides the form.
        query: the query picture's bytes.
        text: the query's text.
        entries: list of `Entry`.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    check(path)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if path.suffix.lower() == ".html":
            unfinished.write_text(_page(query, text, entries), encoding="utf-8")
        else:
            draw(query, text, entries).save(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def draw(query, text, entries):
    """The sheet as an RGB `Image`: the query with its text at the left, the results in rows at the right."""
    lines = textwrap.wrap(text, 24, max_lines=8, placeholder=" …") or ["(no text)"]
    columns = min(COLUMNS, len(entries))
    rows = -(-len(entries) // columns)
    left = MARGIN + QUERY_TILE + 2 * MARGIN
    width = left + columns * (TILE + GAP) - GAP + MARGIN
    top = MARGIN + 28
    height = top + max(QUERY_TILE + 20 + 26 * len(lines), rows * (TILE + CAPTION + GAP) - GAP) + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    fonts = {size: ImageFont.load_default(size) for size in (12, 15, 17, 20)}
    pen.text((MARGIN, MARGIN), "Query", PALE, fonts[15])
    pen.text((left, MARGIN), "Results", PALE, fonts[15])
    pen.line([(left - MARGIN, MARGIN), (left - MARGIN, height - MARGIN)], LINE)
    _tile(sheet, (MARGIN, top), QUERY_TILE, query)
    for row, line in enumerate(lines):
        pen.text(
            (MARGIN, top + QUERY_TILE + 16 + 26 * row),
            _fitted(line, QUERY_TILE + MARGIN // 2, fonts[20]),
            INK,
            fonts[20],
        )
    for place, entry in enumerate(entries):
        x, y = left + place % columns * (TILE + GAP), top + place // columns * (TILE + CAPTION + GAP)
        _tile(sheet, (x, y), TILE, entry.picture)
        pen.text((x, y + TILE + 6), f"{place + 1}", ACCENT, fonts[17])
        pen.text((x + TILE, y + TILE + 6), f"{entry.score:.3f}", INK, fonts[15], anchor="ra")
        pen.text((x, y + TILE + 28), _fitted(entry.name, TILE, fonts[12]), PALE, fonts[12])
    return sheet


def _tile(sheet, corner, side, picture):
    box = [*corner, corner[0] + side - 1, corner[1] + side - 1]
    ImageDraw.Draw(sheet).rounded_rectangle(box, 8, "white", LINE)
    with Image.open(io.BytesIO(picture)) as image:
        fitted = ImageOps.contain(image.convert("RGB"), (side - 14, side - 14))
    place = [start + (side - length) // 2 for start, length in zip(corner, fitted.size, strict=True)]
    sheet.paste(fitted, tuple(place))


def _fitted(line, width, font):
    """The line, without its middle where it is too long for `width` pixels."""
    shown, kept = line, len(line)
    while font.getlength(shown) > width:
        kept -= 1
        shown = f"{line[: kept // 3]}…{line[len(line) - (kept - kept // 3) :]}"
    return shown


def _page(query, text, entries):
    def figure(picture, caption):
        with Image.open(io.BytesIO(picture)) as image:
            small, file = ImageOps.contain(image.convert("RGB"), (2 * TILE, 2 * TILE)), io.BytesIO()
        small.save(file, "JPEG", quality=90)
        source = base64.b64encode(file.getvalue()).decode("ascii")
        return f'<figure><figcaption>{caption}</figcaption><img alt="" src="data:image/jpeg;base64,{source}"></figure>'

    captions = [
        f"<b>{place}</b> · {entry.score:.3f}<br>{html.escape(entry.name)}" for place, entry in enumerate(entries, 1)
    ]
    results = "\n".join(figure(entry.picture, caption) for entry, caption in zip(entries, captions, strict=True))
    colours = {"INK": INK, "PALE": PALE, "LINE": LINE, "ACCENT": ACCENT}
    return PAGE.format(text=html.escape(text) or "(no text)", query=figure(query, ""), results=results, **colours)
