"""FashionIQ's caption files and split lists, and where its pictures may lie."""

import hashlib
import itertools
import json
import string
from pathlib import Path
from typing import NamedTuple

from datasets_tfds import pictures

KINDS = ("dress", "shirt", "toptee")
SUBSETS = (*KINDS, "all")
SPLITS = {"train": "train", "validation": "val", "test": "test"}  # here: in the file names
SOURCE = "https://github.com/XiaoxiaoGuo/fashion-iq"
COMMIT = "f71b16c3b09ef03b02c0fed160fa072fb3b8aa16"
DIGESTS = {  # what `digest` gives there
    "dress": "828cfc8c80b11489",
    "shirt": "f9321e4a7eb39fa9",
    "toptee": "9badbdc0b873f66c",
    "all": "a80d7f920c406522",
}
CAPTION_FOLDERS = ("captions", "json")
PICTURE_FOLDERS = (
    "{kind}",
    "images",
    "image_data/{kind}",
    "image_data",
    "images/{kind}",
    "resized_images/{kind}",
    "resized_image/{kind}",
)
ENDINGS = ("jpg", "jpeg", "png")
ATTRIBUTES = "asin2attr.{kind}.train.json"
MOST_ATTRIBUTES = 20  # words of a side text


class Query(NamedTuple):
    """One row of a caption file."""

    query_id: str
    kind: str
    reference_id: str
    target_id: str  # "" where it is hidden
    captions: tuple


class Split(NamedTuple):
    """One split of a subset, in file order."""

    queries: list
    gallery: list  # image ids

    def union(self):
        """The part of the gallery that is a reference or a target, in the gallery's order."""
        used = {image_id for query in self.queries for image_id in (query.reference_id, query.target_id)}
        return [image_id for image_id in self.gallery if image_id in used]


def load(root, subset):
    """Reads and checks the annotations of a subset: split name -> `Split`.

    An image id is the product's id; in "all" it is `<kind>/<id>`, for 3,302 products are of two kinds.

    Args:
        root: the folder that holds `captions` (or `json`) and `image_splits`.
        subset: one of `SUBSETS`.

    Raises:
        FileNotFoundError: a file is missing; says where to get it.
        ValueError: a file is damaged; names file and row.
    """
    garments = KINDS if subset == "all" else (subset,)
    splits = {}
    for split, official in SPLITS.items():
        parts = [_read(Path(root), garment, official, f"{garment}/" if subset == "all" else "") for garment in garments]
        splits[split] = Split(*(list(itertools.chain(*lists)) for lists in zip(*parts, strict=True)))
    return splits


def kind(subset, image_id):
    """The kind of garment of an image id."""
    return image_id.split("/")[0] if subset == "all" else subset


def candidates(subset, image_id):
    """Where the picture of an image id may lie, below the user's folder; the first that is there counts."""
    garment, name = kind(subset, image_id), image_id.split("/")[-1]
    return [f"{folder.format(kind=garment)}/{name}.{end}" for folder in PICTURE_FOLDERS for end in ENDINGS]


def join(captions):
    """The captions as one text: no blanks, dots, commas, question marks at their ends, empty ones left out."""
    return " and ".join(filter(None, (caption.strip(" .,?" + string.whitespace) for caption in captions)))


def side_texts(root):
    """What describes single training pictures, as VAL has it: {`<kind>/<id>`: attributes}; the rest has none.

    Args:
        root: the folder of the annotations; the optional files of attributes are in it, or in a folder there.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged; names the picture.
    """
    found = {}
    for garment in KINDS:
        name = ATTRIBUTES.format(kind=garment)
        path = next((path for at in ("", "*/") for path in sorted(Path(root).glob(at + name))), None)
        if path is None:
            raise FileNotFoundError(f"{name} is neither in {root} nor in a folder there.")
        for image_id, lists in pictures.read_json(path, dict).items():
            _check_name(image_id, path)
            well_formed = isinstance(lists, list) and all(isinstance(words, list) for words in lists)
            if not well_formed or not all(isinstance(word, str) for words in lists for word in words):
                raise ValueError(f"{path}: {image_id} must have lists of attributes, and has {str(lists)[:80]}")
            if text := attribute_text(lists):
                found[f"{garment}/{image_id}"] = text
    return found


def attribute_text(lists):
    """One text of a picture's lists of attributes, the last list first: lower case, each once, at most the last 20.

    Reference: Chen et al., CVPR 2020 (VAL), released code.
    """
    words = [word.lower() for words in reversed(lists) for word in words]
    return " ".join(list(dict.fromkeys(words))[-MOST_ATTRIBUTES:])


def digest(splits):
    """A hash of all that the annotations say, however their files are written."""
    return hashlib.sha256(json.dumps(splits).encode()).hexdigest()[:16]


def version(subset, splits):
    """The commit that the annotations are from, or that they are from no known one."""
    found = digest(splits)
    return f"{SOURCE}, commit {COMMIT}" if found == DIGESTS[subset] else f"no known version (digest {found})"


def _read(root, garment, official, prefix):
    list_file = root / "image_splits" / f"split.{garment}.{official}.json"
    caption_files = [root / folder / f"cap.{garment}.{official}.json" for folder in CAPTION_FOLDERS]
    caption_file = next((file for file in caption_files if file.exists()), caption_files[0])
    for file in (list_file, caption_file):
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing. The annotations are at {SOURCE}.")
    gallery = {}
    for row, image_id in enumerate(pictures.read_json(list_file, list)):
        where = f"{list_file}, row {row} (from 0)"
        _check_name(image_id, where)
        if gallery.setdefault(image_id, row) != row:
            raise ValueError(f"{where}: the id {image_id!r} is in row {gallery[image_id]} already")
    queries = []
    for row, value in enumerate(pictures.read_json(caption_file, list)):
        where = f"{caption_file}, row {row} (from 0)"
        ends = _check_row(value, official, where)
        for key, image_id in ends.items():
            if image_id not in gallery:
                raise ValueError(f"{where}: the {key} {image_id!r} is not in {list_file.name}")
        target_id = prefix + ends["target"] if "target" in ends else ""
        query_id, reference_id = f"{garment}-{official}-{row}", prefix + ends["candidate"]
        queries.append(Query(query_id, garment, reference_id, target_id, tuple(value["captions"])))
    return queries, [prefix + image_id for image_id in gallery]


def _check_name(image_id, where):
    if not isinstance(image_id, str) or image_id != Path(image_id).name or image_id in ("", ".."):
        raise ValueError(f"{where}: {image_id!r} is no image id")


def _check_row(value, official, where):
    """The reference's and target's ids by their keys; without the target where it is hidden."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: not an object")
    keys = ["candidate", "captions"] + (["target"] if official != "test" else [])
    absent = [key for key in keys if key not in value]
    if absent:
        raise ValueError(f"{where}: no {absent[0]!r}, but {', '.join(map(repr, value)) or 'nothing'}")
    captions = value["captions"]
    if not isinstance(captions, list) or len(captions) != 2 or not all(isinstance(text, str) for text in captions):
        raise ValueError(f"{where}: 'captions' must be two texts, and is {str(captions)[:80]}")
    ends = {key: value[key] for key in ("candidate", "target") if key in value}
    for image_id in ends.values():
        _check_name(image_id, where)
    return ends
