"""A folder of anybody's pictures: found, checked, brought to one form, encoded.

Dimension key: B batch, N pictures, D shared embedding.
"""

import collections
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from cir_tf.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")  # what a file is decides, not what its name says
SHOWN = 5  # bad pictures named one by one
BATCH = 64
THREADS = os.cpu_count() or 1  # Pillow decodes without holding Python's lock


class Listing(NamedTuple):
    """The pictures of a folder, in the order of their names.

    Attributes:
        folder: absolute `Path`.
        paths: {name: absolute `Path`}; a name is the path within the folder, with slashes.
        states: {name: (bytes, time of the last change in ns)}.
        links_out: number of symbolic links that leave the folder; they are not followed.
        closed: number of folders that may not be read.
    """

    folder: Path
    paths: dict
    states: dict
    links_out: int
    closed: int = 0


class Encoded(NamedTuple):
    """Attributes: names: N strings; vectors_ND: float32; bad: list of (name, reason) of pictures left out."""

    names: list
    vectors_ND: np.ndarray
    bad: list


def find(folder):
    """The `Listing` of a folder and all folders in it.

    Raises:
        UserError: there is no such folder, or no file in it is named like a picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    folder = folder.resolve()
    paths, links_out, closed = {}, 0, []
    for parent, folders, files in os.walk(folder, onerror=closed.append):
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        found = [Path(parent, name) for name in files if name.lower().endswith(SUFFIXES)]
        links_out += sum(_leaves(path, folder) for path in links)
        for path in found:
            if path.is_symlink() and _leaves(path, folder):
                links_out += 1
            else:
                paths[_name(path.relative_to(folder))] = path
    if not paths:
        raise UserError(f"{folder} holds no picture: no file ends in {', '.join(SUFFIXES)}")
    paths = dict(sorted(paths.items()))
    return Listing(folder, paths, {name: _state(path) for name, path in paths.items()}, links_out, len(closed))


def read(path):
    """A picture file as the bytes of a JPEG or PNG file that any reader decodes to the same RGB pixels.

    The first frame counts. Transparency is composed on white, since cut-out products have a transparent background;
    16-bit grey is scaled; CMYK, palettes and grey become RGB. The EXIF orientation is ignored, as all published
    readers of these datasets ignore it. A plain JPEG comes back as it is, anything else as a PNG.

    Raises:
        ValueError: the file cannot be decoded to its end; the message says why.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError("no regular file")
        if not path.stat().st_size:
            raise ValueError("0 bytes")
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return path.read_bytes() if image.format == "JPEG" and image.mode in ("RGB", "L") else _png(image)
    except Image.UnidentifiedImageError:
        raise ValueError("no picture, whatever its name says") from None
    except Image.DecompressionBombError:
        raise ValueError(f"more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # broken files make decoders fail in every way there is
        raise ValueError(str(error) or type(error).__name__) from error


def encode(listing, encode_batch):
    """Every readable picture as a vector.

    Args:
        listing: of `find`.
        encode_batch: function from a list of B picture files (bytes) to float32 [B, D].

    Returns:
        `Encoded`.

    Raises:
        UserError: not one picture can be read.
    """
    names, vectors, bad, batch = [], [], [], []
    with tqdm(total=len(listing.paths), desc="pictures", unit="", leave=False, dynamic_ncols=True) as bar:
        for name, data in _read_ahead(listing.paths):
            bar.update()
            if isinstance(data, ValueError):
                bad.append((name, str(data)))
                continue
            names.append(name)
            batch.append(data)
            if len(batch) == BATCH:
                vectors.append(encode_files(batch, encode_batch))
                batch = []
    if batch:
        vectors.append(encode_files(batch, encode_batch))
    if not names:
        raise UserError(f"{listing.folder} holds no readable picture; {_told(bad)}")
    return Encoded(names, np.concatenate(vectors), bad)


def encode_files(batch, encode_batch):
    """`encode_batch(batch)` as an array; a JPEG that only Pillow can read is handed over as PNG.

    Args:
        batch: list of B picture files, as `read` gives them.
        encode_batch: as for `encode`.
    """
    try:
        return np.asarray(encode_batch(batch))
    except tf.errors.InvalidArgumentError:
        return np.asarray(encode_batch([_png(Image.open(io.BytesIO(data))) for data in batch]))


def summary(listing, count, bad):
    """One line about what was indexed and what was not."""
    line = f"{count} pictures of {listing.folder} indexed"
    if listing.links_out:
        line += f"; {listing.links_out} links that leave the folder not followed"
    if listing.closed:
        line += f"; {listing.closed} folders may not be read"
    return f"{line}; {_told(bad)}" if bad else line


def _told(bad):
    shown = ", ".join(f"{name} ({reason})" for name, reason in bad[:SHOWN])
    return f"{len(bad)} cannot be read: {shown}" + (", …" if len(bad) > SHOWN else "")


def _read_ahead(paths):
    """Yield (name, bytes or ValueError) in order, while threads read what comes next."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = collections.deque()
        for name, path in paths.items():
            waiting.append((name, pool.submit(_read_or_error, path)))
            if len(waiting) > BATCH:
                name, data = waiting.popleft()
                yield name, data.result()
        for name, data in waiting:
            yield name, data.result()


def _read_or_error(path):
    try:
        return read(path)
    except ValueError as error:
        return error


def _png(image):
    if image.mode.startswith("I"):
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG", compress_level=1)
    return file.getvalue()


def _leaves(path, folder):
    try:
        return not path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a link to itself
        return True


def _name(path):
    """A relative path as text; bytes that are no UTF-8 are spelled out."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _state(path):
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns
