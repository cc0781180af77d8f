"""The original CSS archive, after its dictionary has been turned into `css.json`; and what `css.json` must hold.

`{"train" | "test": {"objects_img": [[object]], "labels": [one for each image], "mods": [{"from", "to", "to_str"}]}}`
"""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from datasets_tfds.css import render, scenes
from datasets_tfds.pictures import FORMATS

JSON_NAME = "css.json"
NPY_NAME = "css_toy_dataset_novel2_small.dup.npy"
LISTED = 5  # bad pictures named in a message


def plain(data):
    """Checks a decoded archive and keeps what is used of it, as plain JSON values.

    Args:
        data: dict of the archive's structure; `labels` may be absent, and then every image has its own.

    Raises:
        ValueError: the data is not the archive's; says where.
    """
    try:
        return {split: _plain_split(split, _part(data, split, "the file")) for split in scenes.SPLITS}
    except TypeError as error:
        raise ValueError(f"a value has the wrong type: {error}") from error


def load(folder):
    """Reads `css.json` of a folder: split name -> `scenes.Split`.

    Raises:
        FileNotFoundError: no `css.json`; says what to do.
        ValueError: it is damaged; says where.
    """
    path = Path(folder) / JSON_NAME
    if not path.exists():
        npy = Path(folder) / NPY_NAME
        if npy.exists():
            raise FileNotFoundError(
                f"{path} is missing. Make it from the archive's pickled dictionary: "
                f"python -m datasets_tfds.css.convert_original --allow_pickle {npy}"
            )
        raise FileNotFoundError(f"Neither {JSON_NAME} nor {NPY_NAME} is in {folder}. Put the CSS archive there.")
    try:
        data = plain(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is damaged, convert the archive again: {error}") from error
    return {split: _split(data[split]) for split in scenes.SPLITS}


def picture_path(folder, image_id):
    """Where the archive keeps a 3-D picture."""
    return Path(folder) / "images" / f"{image_id}.png"


def check_pictures(paths):
    """Decodes every picture once.

    Raises:
        ValueError: some cannot be read; names the first few and counts them.
    """
    bad = []
    for path in paths:
        try:
            _read(path)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            bad.append(f"{path.name} ({'missing' if isinstance(error, FileNotFoundError) else 'unreadable'})")
    if bad:
        more = ", ..." if len(bad) > LISTED else ""
        raise ValueError(f"{len(bad)} pictures cannot be read: {', '.join(bad[:LISTED])}{more}. Unpack them again.")


def read_png(path):
    """PNG bytes of the first frame of a picture in RGB, alpha dropped."""
    return encode_png(_read(path))


def encode_png(image_HWC):
    """PNG bytes of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image_HWC).save(buffer, "PNG")
    return buffer.getvalue()


def _read(path):
    with Image.open(path, formats=FORMATS) as image:
        if image.mode.startswith("I"):  # 16 bits: scaled, where Pillow's convert would clip
            return np.repeat((np.asarray(image)[..., None] >> 8).astype(np.uint8), 3, axis=2)
        return np.asarray(image.convert("RGB"))


def _part(mapping, key, where):
    if not isinstance(mapping, dict) or key not in mapping:
        raise ValueError(f"{where} has no {key!r}")
    return mapping[key]


def _plain_split(split, part):
    objects = [
        [_plain_object(item, f"object list {i} of {split}") for item in items]
        for i, items in enumerate(_part(part, "objects_img", split))
    ]
    labels = part["labels"] if part.get("labels") is not None else range(len(objects))
    labels = [str(label) for label in labels]
    if len(labels) != len(objects):
        raise ValueError(f"{split} has {len(objects)} images and {len(labels)} labels")
    mods = [_plain_mod(mod, len(objects), f"mod {i} of {split}") for i, mod in enumerate(_part(part, "mods", split))]
    return {"objects_img": objects, "labels": labels, "mods": mods}


def _plain_object(item, where):
    words = {key: str(_part(item, key, where)) for key in ("shape", "color", "size")}
    known = {"shape": scenes.SHAPES, "color": render.RGB, "size": scenes.SIZES}
    for key, word in words.items():
        if word not in known[key]:
            raise ValueError(f"{where} has the unknown {key} {word!r}")
    row, column = _part(item, "pos", where)
    return words | {"pos": [float(row), float(column)]}


def _plain_mod(mod, images, where):
    ends = {key: [int(i) for i in _part(mod, key, where)] for key in ("from", "to")}
    if len(ends["from"]) != len(ends["to"]):
        raise ValueError(f"{where} has {len(ends['from'])} references and {len(ends['to'])} targets")
    if not all(0 <= i < images for i in ends["from"] + ends["to"]):
        raise ValueError(f"{where} points at an image that is not there")
    return ends | {"to_str": str(_part(mod, "to_str", where))}


def _split(part):
    """All (from, to) pairs of all mods, in file order."""
    mods = part["mods"]
    number_Q = np.repeat(np.arange(len(mods)), [len(mod["from"]) for mod in mods])
    return scenes.Split(
        objects_N=part["objects_img"],
        labels_N=part["labels"],
        reference_Q=np.array([i for mod in mods for i in mod["from"]], int),
        target_Q=np.array([i for mod in mods for i in mod["to"]], int),
        texts_Q=[mods[m]["to_str"].strip() for m in number_Q],
        modification_Q=number_Q,
    )
