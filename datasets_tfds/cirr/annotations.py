"""The annotation files of CIRR rc2, as galleries and rows of the schema."""

from pathlib import PurePosixPath
from typing import NamedTuple

from datasets_tfds import pictures, schema

OFFICIAL = {"train": "train", "validation": "val", "test": "test1"}
PICTURE_FOLDERS = ("", "img_raw", "cirr/img_raw", "cirr")
AUXILIARY = 4  # answers for each pair in the extended files


class Split(NamedTuple):
    """One split of a copy."""

    relpaths: dict  # image name -> path of its picture below one of the picture folders, in file order
    rows: list  # rows of the index view, in file order


def load(root, with_rows=True):
    """The splits whose files are in a copy, and what is absent of the others.

    Args:
        root: Path of the copy; the files lie in its `cirr/` or in itself.
        with_rows: False reads the lists of pictures only.

    Returns:
        (dict split -> Split, dict split -> reason why it is left out).

    Raises:
        FileNotFoundError: no split is complete.
        ValueError: a file is damaged; says which one and where.
    """
    splits, left_out = {}, {}
    for split, official in OFFICIAL.items():
        names = [f"image_splits/split.rc2.{official}.json"]
        if with_rows:
            names.append(f"captions/cap.rc2.{official}.json")
        paths = [_find(root, name) for name in names]
        absent = [name for name, path in zip(names, paths, strict=True) if path is None]
        if absent:
            left_out[split] = f"{' and '.join(absent)} not found"
            continue
        relpaths = read_gallery(paths[0])
        extended = _find(root, f"captions_ext/cap.ext.rc2.{official}.json")
        splits[split] = Split(relpaths, read_rows(split, paths[1], relpaths, extended) if with_rows else [])
    if not splits:
        raise FileNotFoundError(
            f"{root} has the annotations of no split of CIRR ({'; '.join(left_out.values())}). Put the folders "
            "captions, captions_ext and image_splits of https://github.com/Cuberick-Orion/CIRR (branch cirr_dataset) "
            "into it, or into its folder cirr."
        )
    return splits, left_out


def candidates(relpath):
    """Where a copy may keep a picture, the first choice first."""
    return [str(PurePosixPath(folder, relpath)) for folder in PICTURE_FOLDERS]


def needs(split, row):
    """The pictures a row cannot do without: reference, target, and the six members where they are ranked."""
    return [row["reference_id"], *row["target_ids"], *(row["group_ids"] if split != "train" else ())]


def read_gallery(path):
    """Image name -> path below a picture folder, in file order.

    Raises:
        ValueError: a damaged file, or a path that leaves the folder.
    """
    relpaths = {}
    for name, relpath in pictures.read_json(path, dict).items():
        plain = PurePosixPath(relpath) if isinstance(relpath, str) else PurePosixPath()
        if not plain.name or plain.is_absolute() or ".." in plain.parts:
            raise ValueError(f"{path}: the path of {name!r} does not point into the folder: {relpath!r}.")
        relpaths[name] = str(plain)
    return relpaths


def read_rows(split, path, relpaths, extended_path=None):
    """Rows of the index view, in file order.

    Args:
        split: a key of `OFFICIAL`.
        path: the caption file.
        relpaths: the split's pictures, from `read_gallery`.
        extended_path: the file of auxiliary answers, or None; then the answers are empty.

    Raises:
        ValueError: a damaged file, a pair id that comes twice, an image that the split does not have.
    """
    extended = None if extended_path is None else _extended(extended_path)
    rows = {}
    for place, raw in enumerate(pictures.read_json(path, list)):
        where = f"{path}: row {place}"
        row = _row(split, raw, where)
        if row["query_id"] in rows:
            raise ValueError(f"{where}: the pair id {row['query_id']} comes twice.")
        unknown = [name for name in needs(split, row) if name not in relpaths]
        if unknown:
            raise ValueError(f"{where}: the image {unknown[0]!r} is not in the split's list of pictures.")
        if extended is not None:
            if row["query_id"] not in extended:
                raise ValueError(f"{extended_path} has no row of pair {row['query_id']}.")
            row["caption_extend"] = extended[row["query_id"]]
        rows[row["query_id"]] = row
    return list(rows.values())


def _row(split, raw, where):
    caption = schema.value(raw, "caption", str, where)
    target = schema.value(raw, "target_hard", str, where, "" if split == "test" else None)
    soft = schema.value(raw, "target_soft", dict, where, {})
    group = schema.value(raw, "img_set", dict, where, {})
    members = schema.value(group, "members", list, where, [])
    if not all(isinstance(name, str) for name in members):
        raise ValueError(f"{where}: 'members' should be a list of names.")
    if split != "train" and len(set(members)) != 6:
        raise ValueError(f"{where}: 'members' should be six different images.")
    return schema.query_row(
        str(schema.value(raw, "pairid", int, where)),
        schema.value(raw, "reference", str, where),
        caption.strip(),
        target,
        captions=[caption],
        group_ids=members,
        soft_target_ids=list(soft),
        soft_target_weights=[float(schema.value(soft, name, (int, float), where)) for name in soft],
        caption_extend=[""] * AUXILIARY,
        group_id=schema.value(group, "id", int, where, -1),
    )


def _extended(path):
    """Pair id as text -> the four auxiliary answers, placeholders included."""
    answers = {}
    for place, raw in enumerate(pictures.read_json(path, list)):
        where = f"{path}: row {place}"
        texts = schema.value(raw, "caption_extend", dict, where)
        pair = str(schema.value(raw, "pairid", int, where))
        answers[pair] = [schema.value(texts, str(k), str, where) for k in range(AUXILIARY)]
    return answers


def _find(root, name):
    return next((path for path in (root / "cirr" / name, root / name) if path.is_file()), None)
