"""The pictures of a user's folder by the names people give them, and what the tables say of them."""

import collections
import hashlib
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datasets_tfds.own_images import table

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif")
GALLERY = "pictures"  # TFDS keeps "all" for itself
TRIPLETS, IMAGES = ("triplets",), ("images", "attributes")
SHARES = {"train": 0.8, "validation": 0.9, "test": 1.0}  # up to this share of the references
SPLIT_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}


class Triplet(NamedTuple):
    """One row of the table of queries; an id without a picture is the name as it was written."""

    query_id: str
    split: str
    reference_id: str
    target_ids: tuple
    caption: str
    category: str

    @property
    def needs(self):
        """The pictures it cannot do without."""
        return self.reference_id, *self.target_ids


class Folder(NamedTuple):
    """What lies in a user's folder.

    Attributes:
        root: its Path.
        paths: image id -> path below the root, in the order of the paths.
        others: paths of other files, such as pictures in formats that are not read.
    """

    root: Path
    paths: dict
    others: list

    def locate(self, image_id):
        """Where to look for a picture; nowhere if it is not among the folder's."""
        return [self.paths[image_id]] if image_id in self.paths else []


def find(manual_dir):
    """The `Folder` at a path, with all folders in it; what starts with a dot is left out.

    An id is the path without its ending, or with it where several files differ in nothing else.

    Raises:
        FileNotFoundError: no file is named like a picture.
        ValueError: a link leads out of the folder, or a name is no text.
    """
    root, files = Path(manual_dir), []
    for parent, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                raise ValueError(f"{path} is a link out of {root}. Put the pictures there.")
        files += [Path(parent, name).relative_to(root).as_posix() for name in names if not name.startswith(".")]
    odd = [path for path in files if os.fsencode(path) != path.encode("utf-8", "replace")]
    if odd:
        raise ValueError(f"{root} holds a file whose name is not UTF-8: {min(odd)!r}. Rename it.")
    found = sorted(path for path in files if PurePosixPath(path).suffix.lower() in ENDINGS)
    if not found:
        raise FileNotFoundError(f"{root} holds no picture: no file ends in {', '.join(ENDINGS)}.")
    tables = [name + ending for name in TRIPLETS + IMAGES for ending in table.ENDINGS]
    others = sorted(set(files).difference(found, tables))
    count = collections.Counter(map(_stem, found))
    taken = set(found)
    ids = [_stem(path) if count[_stem(path)] == 1 and _stem(path) not in taken else path for path in found]
    return Folder(root, dict(zip(ids, found, strict=True)), others)


def _raise(error):
    raise error


def read_triplets(folder, skip=False):
    """The queries of a folder, and the numbers of the rows left out because they repeat another.

    Args:
        folder: `Folder`.
        skip: leave out repeated rows and keep names without a picture, instead of raising.

    Returns:
        (list of `Triplet` in the table's order, list of row numbers).

    Raises:
        FileNotFoundError: there is no table of queries.
        ValueError: the table is damaged, or rows cannot be used; tells file and rows.
    """
    path = table.find(folder.root, TRIPLETS)
    if path is None:
        raise FileNotFoundError(
            f"{folder.root} holds neither triplets.csv nor triplets.jsonl, so there are no queries. "
            "Write one, or build the gallery alone: --config=own_gallery"
        )
    columns, rows = table.read(path, ("reference", "text", "target"))
    resolve, seen, repeated = resolver(folder), {}, []

    def triplet(number, row):
        reference_id = resolve(row["reference"], skip)
        target_ids = tuple(dict.fromkeys(resolve(name, skip) for name in row["target"].split("|")))
        split = _split(row.get("split", "")) if "split" in columns else split_of(reference_id)
        first = seen.setdefault((reference_id, target_ids, row["text"].strip()), number)
        if first != number and not skip:
            raise ValueError(f"the same as row {first}; remove one of them")
        if first != number:
            repeated.append(number)
            return None
        category = row.get("category", "").strip()
        return Triplet(f"{split}-{number}", split, reference_id, target_ids, row["text"], category)

    return table.convert(path, rows, triplet), repeated


def read_classes(folder, skip=False):
    """(image id -> (class, category), numbers of the rows left out) of a folder's table of pictures.

    A class is written from all attributes: "colour: red, heel: high".

    Args:
        folder: `Folder`; without a table of pictures nothing has a class.
        skip: leave out repeated rows and unknown pictures, instead of raising.

    Raises:
        ValueError: the table is damaged, or rows cannot be used; tells file and rows.
    """
    path = table.find(folder.root, IMAGES)
    if path is None:
        return {}, []
    columns, rows = table.read(path, ("image",))
    names = [name for name in columns if name not in ("image", "category")]
    resolve, classes, left_out = resolver(folder), {}, []

    def one(number, row):
        image_id = resolve(row["image"], skip)
        if image_id in classes and not skip:
            raise ValueError(f"{row['image']!r} has a row already; remove one of them")
        if image_id in classes or image_id not in folder.paths:
            left_out.append(number)
            return
        values = {name: row.get(name, "").strip() for name in names}
        said = ", ".join(f"{name}: {value}" for name, value in values.items() if value)
        classes[image_id] = said, row.get("category", "").strip()

    table.convert(path, rows, one)
    return classes, left_out


def by_split(triplets):
    """Split -> its rows in the table's order."""
    parts = {}
    for triplet in triplets:
        parts.setdefault(triplet.split, []).append(triplet)
    return parts


def straddling(triplets):
    """How many references have queries in several splits, which only a `split` column can do."""
    pairs = {(triplet.reference_id, triplet.split) for triplet in triplets}
    return len(pairs) - len({reference_id for reference_id, _ in pairs})


def resolver(folder):
    """The function (name, allow_unknown) -> image id.

    A name is a path below the folder or a file's name alone, with its ending or without; capitals count only where
    they make a difference. A name without a picture raises ValueError, or comes back as it is.
    """
    ways = [collections.defaultdict(list) for _ in range(8)]
    for image_id, path in folder.paths.items():
        for way, form in zip(ways, _forms(path), strict=True):
            way[form].append(image_id)

    def resolve(name, allow_unknown=False):
        plain = PurePosixPath(_normal(name.strip().replace("\\", "/")))
        if plain.is_absolute() or ".." in plain.parts or re.match("[A-Za-z]:/", str(plain)):
            raise ValueError(f"the path {name!r} leaves the folder; write it as seen from {folder.root}")
        if not plain.name:
            raise ValueError("the name of a picture is empty")
        forms = [str(plain)] * 4 + [str(plain).casefold()] * 4
        found = next((way[form] for way, form in zip(ways, forms, strict=True) if form in way), [])
        if len(found) > 1:
            choices = " or ".join(folder.paths[image_id] for image_id in found[:3])
            raise ValueError(f"{name!r} can mean {choices}; write more of the path")
        if not found and not allow_unknown:
            raise ValueError(f"there is no picture {name!r}")
        return found[0] if found else str(plain)

    return resolve


def split_of(reference_id):
    """The split of all queries of a reference, by a hash of its id: the same on every machine, whatever is added."""
    share = int(hashlib.sha256(reference_id.encode()).hexdigest()[:8], 16) / 2**32
    return next(split for split, upto in SHARES.items() if share < upto)


def _split(name):
    name = name.strip().lower()
    if name == "all" or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot be a split; write train, validation or test")
    return SPLIT_NAMES.get(name, name)


def _forms(path):
    plain = PurePosixPath(_normal(path))
    forms = str(plain), str(plain.with_suffix("")), plain.name, plain.stem
    return *forms, *(form.casefold() for form in forms)


def _normal(name):
    """Umlauts are one character in a spreadsheet and two in some file systems."""
    return unicodedata.normalize("NFC", name)


def _stem(path):
    return PurePosixPath(path).with_suffix("").as_posix()
