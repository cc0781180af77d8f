"""The annotation files of CIRCO and COCO's list of unlabeled pictures, as a gallery and rows of the schema."""

import json
from pathlib import Path

from datasets_tfds import pictures, schema

OFFICIAL = {"validation": "val", "test": "test"}
LIST = "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
PICTURE_FOLDER = "COCO2017_unlabeled/unlabeled2017"


def load(root, with_rows=True):
    """The gallery and the rows of a copy.

    Args:
        root: Path of the copy.
        with_rows: False reads the list of pictures only.

    Returns:
        (dict image id -> file name, in the list's order; dict split -> rows of the index view).

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged; says which one and where.
    """
    paths = {split: root / "annotations" / f"{name}.json" for split, name in OFFICIAL.items()} if with_rows else {}
    for path in (root / LIST, *paths.values()):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing. CIRCO needs annotations/ of https://github.com/miccunifi/CIRCO and, in "
                "COCO2017_unlabeled/, what COCO's unlabeled2017.zip and image_info_unlabeled2017.zip unpack to."
            )
    files = read_gallery(root / LIST)
    return files, {split: read_rows(split, path, files) for split, path in paths.items()}


def read_gallery(path):
    """Decimal image id -> file name, in file order.

    Raises:
        ValueError: a damaged file, an id that comes twice, or a name that is no plain file name.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"), object_hook=_essential)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cut off, or not JSON in UTF-8 ({error})") from error
    images = schema.value(listed, "images", list, str(path))
    files = {}
    for place, image in enumerate(images):
        where = f"{path}: image {place}"
        if not isinstance(image, tuple) or [type(part) for part in image] != [int, str]:
            raise ValueError(f"{where}: 'id' or 'file_name' is missing or of the wrong type.")
        image_id, name = str(image[0]), image[1]
        if Path(name).name != name:
            raise ValueError(f"{where}: {name!r} is not the plain name of a file.")
        if image_id in files:
            raise ValueError(f"{where}: the id {image_id} comes twice.")
        files[image_id] = name
    return files


def read_rows(split, path, files):
    """Rows of the index view, in file order; the hard target comes first in `target_ids`.

    Args:
        split: a key of `OFFICIAL`.
        path: the annotation file.
        files: a container of the gallery's ids, from `read_gallery`.

    Raises:
        ValueError: a damaged file, an id that comes twice, an image that is not in the gallery.
    """
    rows = {}
    for place, raw in enumerate(pictures.read_json(path, list)):
        where = f"{path}: row {place}"
        row = _row(split, raw, where)
        if row["query_id"] in rows:
            raise ValueError(f"{where}: the id {row['query_id']} comes twice.")
        unknown = [image_id for image_id in schema.needs(row) if image_id not in files]
        if unknown:
            raise ValueError(f"{where}: the image {unknown[0]} is not in {Path(LIST).name}.")
        rows[row["query_id"]] = row
    return list(rows.values())


def _row(split, raw, where):
    caption = schema.value(raw, "relative_caption", str, where)
    accepted = []
    if split != "test":
        accepted = [schema.value(raw, "target_img_id", int, where), *schema.value(raw, "gt_img_ids", list, where)]
    aspects = schema.value(raw, "semantic_aspects", list, where, [])
    if any(type(image_id) is not int for image_id in accepted) or any(type(aspect) is not str for aspect in aspects):
        raise ValueError(f"{where}: 'gt_img_ids' should hold numbers and 'semantic_aspects' strings.")
    targets = list(dict.fromkeys(map(str, accepted)))
    return schema.query_row(
        str(schema.value(raw, "id", int, where)),
        str(schema.value(raw, "reference_img_id", int, where)),
        caption.strip(),
        targets[0] if targets else "",
        captions=[caption],
        target_ids=targets,
        shared_concept=schema.value(raw, "shared_concept", str, where),
        semantic_aspects=aspects,
    )


def _essential(mapping):
    """Keeps two values of each picture while COCO's large file is read, instead of all eight."""
    return (mapping.get("id"), mapping["file_name"]) if "file_name" in mapping else mapping
