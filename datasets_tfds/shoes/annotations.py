"""The relative captions of Guo et al., their name lists, VAL's shorter list, and where copies keep the pictures."""

import re
from pathlib import Path
from typing import NamedTuple

from datasets_tfds import pictures

CAPTIONS = "relative_captions_shoes.json"
TAGS = "captions_shoes.json"
NAME_LISTS = {"train": "train_im_names.txt", "test": "eval_im_names.txt"}
# VAL's own eval_im_names.txt beside a copy of the full one, or the list of paths it makes from it.
VAL_LISTS = ("val_protocol/eval_im_names.txt", "val_protocol/shoes-test-all.txt", "shoes-test-all.txt")
ROOTS = ("", "attributedata/", "womens/")  # the archive's tree itself, VAL's, ARTEMIS'
NAME = re.compile(r"img_(womens_\w+)_(\d+)\.jpg")
SOURCE = "https://github.com/XiaoxiaoGuo/fashion-retrieval (folder dataset/)"


class Query(NamedTuple):
    """One relative caption, which leads from the reference to the target."""

    reference_id: str
    target_id: str
    caption: str


def find(manual_dir):
    """The folder of the annotations: `manual_dir`, or the first one in it.

    Raises:
        FileNotFoundError: the captions or a name list are missing; says which.
    """
    root = Path(manual_dir)
    folder = next((path.parent for at in ("", "*/") for path in sorted(root.glob(at + CAPTIONS))), None)
    if folder is None:
        raise FileNotFoundError(f"{CAPTIONS} is neither in {root} nor in a folder there. It comes from {SOURCE}.")
    missing = [name for name in NAME_LISTS.values() if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {' and '.join(missing)}, to be had from {SOURCE}.")
    return folder


def read(folder):
    """Names and queries of both sides.

    Args:
        folder: what `find` returns.

    Returns:
        (split -> image ids in file order, split -> list of `Query` in file order).

    Raises:
        ValueError: a list or the captions are damaged or do not fit together; says file and row.
    """
    names, side = {}, {}
    for split, file in NAME_LISTS.items():
        names[split] = read_names(folder / file)
        both = next((name for name in names[split] if name in side), None)
        if both:
            raise ValueError(f"{folder / file}: {both} is on {NAME_LISTS[side[both]]} too. A name has one side.")
        side |= dict.fromkeys(names[split], split)
    queries = {split: [] for split in NAME_LISTS}
    for row, query in enumerate(_read_queries(folder / CAPTIONS)):
        sides = {side.get(query.reference_id), side.get(query.target_id)}
        if None in sides:
            raise ValueError(
                f"{folder / CAPTIONS}: row {row} has a picture that is on no name list. "
                f"VAL's {NAME_LISTS['test']} is too short; take the one from {SOURCE}."
            )
        if len(sides) == 2:
            raise ValueError(f"{folder / CAPTIONS}: row {row} has its pictures on different sides.")
        queries[sides.pop()].append(query)
    return names, queries


def read_names(path):
    """Image ids of a list of file names or paths, one on each line.

    Raises:
        ValueError: a line is no shoe's name or repeats one; says file and line.
    """
    ids = {}
    for number, line in enumerate(pictures.read_lines(path), 1):
        image_id = _image_id(line.strip().rpartition("/")[2], f"{path}: line {number}")
        if image_id in ids:
            raise ValueError(
                f"{path}: line {number}: {image_id} is on line {ids[image_id]} already. Remove one of them."
            )
        ids[image_id] = number
    if not ids:
        raise ValueError(f"{path} is empty.")
    return list(ids)


def val_galleries(folder, names, queries):
    """VAL's test galleries: {split: image ids in the order of the full list}; empty where VAL's list is not there.

    VAL's list (`test_val_list`) is shorter than the full one; in `test_val` the queries' pictures join it.

    Args:
        folder: what `find` returns.
        names: image ids of the full test list.
        queries: the test queries.

    Raises:
        ValueError: VAL's list has a name that the full list has not.
    """
    path = next((folder / name for name in VAL_LISTS if (folder / name).is_file()), None)
    if path is None:
        return {}
    listed = set(read_names(path))
    unknown = listed.difference(names)
    if unknown:
        raise ValueError(f"{path}: {min(unknown)} is not on {NAME_LISTS['test']}.")
    joined = listed.union(end for query in queries for end in (query.reference_id, query.target_id))
    return {
        "test_val": [name for name in names if name in joined],
        "test_val_list": [name for name in names if name in listed],
    }


def side_texts(manual_dir):
    """What describes single pictures, of both sides: {image id: caption}.

    Raises:
        FileNotFoundError: the annotations or the file of these captions are missing.
        ValueError: it is damaged; says file and row.
    """
    path = find(manual_dir) / TAGS
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. It comes from {SOURCE}.")
    return {image_id: caption.strip() for (image_id,), caption in _captions(path, ("ImageName",), "Caption")}


def category(image_id):
    """The archive's folder: `womens_rain_boots` of `img_womens_rain_boots_12`."""
    return image_id.removeprefix("img_").rpartition("_")[0]


def relpath(image_id):
    """Where the archive's tree keeps a picture: a folder for each kind, in it one for each thousand numbers."""
    number = int(image_id.rpartition("_")[2])
    return f"{category(image_id)}/{number // 1000}/{image_id}.jpg"


def locator(root):
    """The function image id -> relative paths to try: the known layouts, then wherever a file of that name lies."""
    found = {}
    for path in sorted(Path(root).rglob("img_womens_*.jpg")):
        found.setdefault(path.stem, []).append(path.relative_to(root).as_posix())

    def locate(image_id):
        known = [top + relpath(image_id) for top in ROOTS]
        return known + [path for path in found.get(image_id, []) if path not in known]

    return locate


def _read_queries(path):
    for ends, caption in _captions(path, ("ReferenceImageName", "ImageName"), "RelativeCaption"):
        yield Query(*ends, caption)


def _captions(path, name_keys, caption_key):
    """(image ids, caption) of each row of a file."""
    for row, item in enumerate(pictures.read_json(path, list)):
        try:
            ends = [_image_id(item[key], f"{path}: row {row}") for key in name_keys]
            caption = item[caption_key]
            if not isinstance(caption, str):
                raise TypeError(f"a caption is a string, not {caption!r}")
        except KeyError as error:
            raise ValueError(f"{path}: row {row} has no {error}.") from error
        except TypeError as error:
            raise ValueError(f"{path}: row {row}: {error}.") from error
        yield ends, caption


def _image_id(name, where):
    if not NAME.fullmatch(name):
        raise ValueError(f"{where}: expected a name like img_womens_boots_12.jpg. Received: {name!r}.")
    return name.removesuffix(".jpg")
