"""A user's own copy of a dataset: its annotation files and its pictures, checked before anything is written."""

import collections
import concurrent.futures
import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

# Pillow opens more than this; an EPS file, for one, would start another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
LISTED = 5  # names in a message
JPEG_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
CHUNK = 4096  # pictures handed to the threads at a time
_PILLOW_LIMIT = threading.Lock()


class BadPicture(ValueError):  # noqa: N818 - it names the file, not the program's fault
    """A file that is no usable picture; the message says why."""


def read(path, lift_limit=False, on_white=False):
    """Bytes of a picture that TensorFlow decodes to the pixels of Pillow's `convert("RGB")`, alpha dropped.

    JPEG and PNG files of 8 bits in colour or grey keep their bytes. Of anything else the first frame is stored as PNG,
    16 bits scaled to 8. EXIF orientation is ignored.

    Args:
        path: the file.
        lift_limit: read pictures of more than `PIL.Image.MAX_IMAGE_PIXELS` pixels too.
        on_white: compose transparency on white instead of dropping it.

    Raises:
        BadPicture: it cannot be decoded to its end, or has too many pixels.
        OSError: there is no such file.
    """
    with _quiet():
        data, image = _decode(path, lift_limit, on_white)
    if image is None:
        return data
    # Runs alone: twice as fast as the lowest level, and smaller where a photo is noisy.
    image.save(buffer := io.BytesIO(), "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


class Local:
    """The pictures of a dataset in a user's folder, each one decoded once to see that it can be.

    Attributes:
        missing: ids without a file, in order.
        bad: (id, reason) of files that are no usable pictures, in order.
        layout: where most files were found, such as "images/<id>.jpg"; "" where none was.
    """

    def __init__(self, root, locate, ids, on_missing="error", lift_limit=False, on_white=False):
        """Looks for all pictures and decodes them, in parallel.

        Args:
            root: the user's folder.
            locate: function id -> candidate paths below `root`, in order; the first that exists counts.
            ids: strings; repeated ones count once.
            on_missing: "error", "skip" (see `keeps`), or None to look only, whatever is found.
            lift_limit, on_white: as in `read`.

        Raises:
            ValueError: a path leaves `root`; with "error" any missing or bad picture, with "skip" all of them.
        """
        if on_missing not in ("error", "skip", None):
            raise ValueError(f'on_missing must be "error" or "skip". Received: on_missing={on_missing!r}.')
        self._root, self._on_missing, self._reading = Path(root), on_missing, (lift_limit, on_white)
        ids = list(dict.fromkeys(ids))
        self._paths, self.layout = _find(self._root, locate, ids)  # id -> path below root
        self.missing = [image_id for image_id in ids if image_id not in self._paths]
        looks = self._check(list(self._paths))
        self.bad = [(image_id, reason) for image_id, (reason, _, _) in looks.items() if reason]
        self._sizes = {image_id: size for image_id, (reason, size, _) in looks.items() if not reason}
        self._reencoded = {image_id for image_id, (_, _, is_odd) in looks.items() if is_odd}
        if on_missing and (self.missing or self.bad):
            self._complain(ids, locate)

    def keeps(self, image_id):
        """Whether there is a usable picture. Rows and gallery entries that need another one must both be dropped."""
        return image_id in self._sizes

    def bytes(self, image_id):
        """The picture, as `read` gives it."""
        path = self._root / self._paths[image_id]
        return read(path, *self._reading) if image_id in self._reencoded else path.read_bytes()

    def relpath(self, image_id):
        """Where the picture lies, below the root."""
        return self._paths[image_id]

    def metadata(self):
        """What was found, as plain values for `tfds.core.MetadataDict`; `stamp` hashes sorted ids and file sizes."""
        stamp = hashlib.sha256("".join(f"{key}\t{self._sizes[key]}\n" for key in sorted(self._sizes)).encode())
        return {
            "pictures": len(self._sizes),
            "missing": len(self.missing),
            "missing_ids": self.missing,
            "bad": len(self.bad),
            "bad_ids": dict(self.bad),
            "reencoded": len(self._reencoded),
            "layout": self.layout,
            "on_missing": self._on_missing,
            "stamp": stamp.hexdigest()[:16],
        }

    def _check(self, ids):
        """One parallel pass over the files: id -> why it is bad or "", size, whether it must be stored anew."""
        with _quiet(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            chunks = (pool.map(self._look, ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK))
            looks = itertools.chain.from_iterable(chunks)
            bar = tqdm(looks, "checking pictures", len(ids), leave=False, unit=" pictures", disable=None)
            return dict(zip(ids, bar, strict=True))

    def _look(self, image_id):
        try:
            data, image = _decode(self._root / self._paths[image_id], *self._reading)
        except (BadPicture, OSError) as error:
            return str(error), 0, False
        return "", len(data), image is not None

    def _complain(self, ids, locate):
        reasons = [(image_id, "missing") for image_id in self.missing] + self.bad
        names = [f"{image_id} ({reason})" for image_id, reason in reasons]
        text = f"{len(names)} of {len(ids)} pictures cannot be used: {_first(names)}."
        if self.missing:
            text += f" Looked in {self._root} for {_first([str(path) for path in locate(self.missing[0])])}."
        if self._on_missing == "skip" and self._sizes:
            logging.warning("Left out, with all that needs them: %s", text)
            return
        hint = ' Add them, or drop what needs them with on_missing="skip".' if self._sizes else ""
        raise ValueError(text + hint)


def read_json(path, kind=(list, dict)):
    """The value in a JSON file.

    Args:
        path: the file.
        kind: the type that its value must have, or several.

    Raises:
        ValueError: cut off, not JSON, not UTF-8, a key twice in an object, or another type.
    """
    text = _read_text(path)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: cut off or not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(value, kind):
        wanted = " or a ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise ValueError(f"{path} must hold a {wanted}, and holds a {type(value).__name__}")
    return value


def read_lines(path):
    """The lines of a text file, without their ends; ValueError where it is not UTF-8."""
    lines = _read_text(path).split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def _read_text(path):
    data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, line {data.count(bytes([10]), 0, error.start) + 1}: not UTF-8") from error


def _unique(pairs):
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        key = collections.Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{key!r} is there twice")
    return mapping


def _first(names):
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def _find(root, locate, ids):
    """The first existing candidate of each id, and the most frequent kind of candidate."""
    folders = {}  # listed once: faster than asking for every candidate
    paths, used, examples = {}, collections.Counter(), {}
    for image_id in ids:
        for number, candidate in enumerate(locate(image_id)):
            path = os.path.normpath(candidate)
            if path.partition(os.sep)[0] in ("", os.pardir):
                raise ValueError(f"the path {str(candidate)!r} of picture {image_id!r} leaves the folder {root}")
            folder, name = os.path.split(path)
            if folder not in folders:
                folders[folder] = _list(root, root / folder)
            if name not in folders[folder] or not (folders[folder][name] or _is_file_inside(root, root / path)):
                continue
            paths[image_id] = Path(path).as_posix()
            used[number] += 1
            examples.setdefault(number, Path(path).with_stem("<id>").as_posix())
            break
    return paths, examples[used.most_common(1)[0][0]] if used else ""


def _list(root, folder):
    """The names in a folder, and of each whether it surely is a file, with no link on the way."""
    if not folder.is_dir():
        return {}
    is_plain = os.path.realpath(folder) == str(Path(os.path.realpath(root)) / folder.relative_to(root))
    with os.scandir(folder) as entries:
        return {entry.name: is_plain and entry.is_file(follow_symlinks=False) for entry in entries}


def _is_file_inside(root, path):
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(root)):
        raise ValueError(f"{path} is a link out of {root}, to {real}. Put the pictures there.")
    return real.is_file()


@contextlib.contextmanager
def _quiet():
    """No word of odd metadata. Entered once around the threads, for the filters are the process's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(path, lift_limit, on_white):
    """The file's bytes, and None where they can be kept, else the first frame as an 8-bit RGB image."""
    data = Path(path).read_bytes()
    if not data:
        raise BadPicture("0 bytes")
    try:
        with _open(data, lift_limit) as image:
            if _can_be_kept(data, image):
                image.draft(image.mode, (1, 1))  # of a JPEG all bytes are decoded, but few pixels computed
                image.load()
                return data, None
            image.load()
            if image.mode == "F":
                raise BadPicture("pixels that are no whole numbers")
            if image.mode.startswith("I"):  # 16 bits, which convert would clip
                high_HW = (np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)
                image = Image.fromarray(high_HW)
            if on_white and image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image.info.clear()  # a transparent colour or a colour profile would travel on
            return data, image.convert("RGB")
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture("no picture, whatever its name says") from None
    except Exception as error:  # on damaged bytes Pillow raises nearly everything
        is_cut = "truncated" in str(error).lower()
        raise BadPicture("cut off" if is_cut else f"damaged: {error}") from error


def _open(data, lift_limit):
    with _PILLOW_LIMIT:  # Pillow's limit is a global; opening reads the header only
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if not lift_limit and limit is not None and image.width * image.height > limit:
        raise BadPicture(f"{image.width} x {image.height} pixels, more than {limit} in all")
    return image


def _can_be_kept(data, image):
    if image.mode not in ("RGB", "L"):
        return False
    if image.format in ("JPEG", "MPO"):
        return _is_whole_jpeg(data)
    is_plain = image.format == "PNG" and data[24] == 8 and "transparency" not in image.info and not image.is_animated
    return is_plain and _is_whole_png(data)


def _is_whole_jpeg(data):
    """Whether one segment follows the other up to the end mark: Pillow overlooks what TensorFlow stumbles upon."""
    start = 2
    while data[start : start + 1] == b"\xff":
        kind = data[start + 1 : start + 2]
        if kind == b"\xff":  # filling
            start += 1
            continue
        if kind == b"\xd9":
            return True
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if end < start + 4:
            return False
        if kind == b"\xda":  # behind it, coded pixels up to the next mark that is none of theirs
            mark = JPEG_MARK.search(data, end)
            end = mark.start() if mark else len(data)
        start = end
    return False


def _is_whole_png(data):
    """Whether every chunk is there and unharmed: Pillow overlooks harm behind the pixels, TensorFlow does not."""
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if zlib.crc32(data[start + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[start + 4 : start + 8] == b"IEND":
            return True
        start = end + 4
    return False
