"""The label files of Fashion200k and TIRG's list of test queries."""

from pathlib import Path
from typing import NamedTuple

from datasets_tfds import pictures
from datasets_tfds.fashion200k import captions

KINDS = ("dress", "jacket", "pants", "skirt", "top")
SPLITS = ("train", "test")
QUERIES = "test_queries.txt"


class Label(NamedTuple):
    """One picture; `caption` is the cleaned description, and the class."""

    image_id: str
    caption: str
    kind: str
    detection_score: float


def find(manual_dir):
    """The folder that holds `labels/` with all ten files: `manual_dir`, or the first one in it.

    Raises:
        FileNotFoundError: no such folder, or some of its files are missing; says which.
    """
    folders = [path for path in (Path(manual_dir), *sorted(Path(manual_dir).glob("*/"))) if (path / "labels").is_dir()]
    if not folders:
        raise FileNotFoundError(f"{manual_dir} has no folder labels/. Put Fashion200k's labels/ and women/ there.")
    names = [f"labels/{kind}_{split}_detect_all.txt" for split in SPLITS for kind in KINDS]
    missing = [name for name in names if not (folders[0] / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folders[0]} lacks {len(missing)} label files: {', '.join(missing)}.")
    return folders[0]


def read(folder, split, skip_repeated=False):
    """Labels of a split in the sorted order of the files, and the number of repeated lines left out.

    Args:
        folder: what `find` returns.
        split: "train" or "test".
        skip_repeated: leave out an image's second line instead of raising.

    Returns:
        (dict image id -> Label, int).

    Raises:
        ValueError: a line is not `path <tab> score <tab> description`, or an image has two; names file and line.
    """
    labels, repeated = {}, 0
    for kind in KINDS:
        path = folder / "labels" / f"{kind}_{split}_detect_all.txt"
        for number, line in enumerate(pictures.read_lines(path), 1):
            label = _label(line, kind, f"{path}: line {number}")
            if label.image_id not in labels:
                labels[label.image_id] = label
            elif skip_repeated:
                repeated += 1
            else:
                raise ValueError(f"{path}: line {number}: {label.image_id} has a line already. Remove one of them.")
    return labels, repeated


def read_queries(folder, labels, skip_unknown=False):
    """TIRG's test queries whose pictures are labelled, and the number of those left out because theirs are not.

    Args:
        folder: what `find` returns.
        labels: dict of the test split's labels.
        skip_unknown: leave out a query of an unlabelled picture instead of raising.

    Returns:
        (list of (line number from 0, reference Label, target Label), int).

    Raises:
        FileNotFoundError: the list is not there.
        ValueError: a line is not two paths, or a picture is unlabelled or has no description; names file and line.
    """
    path = folder / QUERIES
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. It is linked from https://github.com/google/tirg.")
    queries, unknown = [], 0
    for row, line in enumerate(pictures.read_lines(path)):
        where, ends = f"{path}: line {row + 1}", line.split()
        if len(ends) != 2:
            raise ValueError(f"{where}: expected two paths, reference and target. Received: {line!r}.")
        unlabelled = [end for end in ends if end not in labels]
        if unlabelled and not skip_unknown:
            raise ValueError(
                f"{where}: {unlabelled[0]} is in no test label file. Skip such queries or complete labels/."
            )
        if unlabelled:
            unknown += 1
            continue
        wordless = [end for end in ends if not labels[end].caption]
        if wordless:
            raise ValueError(f"{where}: {wordless[0]} has no description.")
        queries.append((row, *(labels[end] for end in ends)))
    if not queries and not unknown:
        raise ValueError(f"{path} is empty. It is linked from https://github.com/google/tirg.")
    return queries, unknown


def locations(image_id):
    """Where copies keep a picture: as labelled, or with `women/` taken off (or put on)."""
    other = image_id.removeprefix("women/")
    return image_id, other if other != image_id else f"women/{image_id}"


def _label(line, kind, where):
    try:
        image_id, score, description = line.split("\t")
        if not image_id:
            raise ValueError("no path")
        return Label(image_id, captions.clean(description), kind, float(score))
    except ValueError as error:
        raise ValueError(f"{where}: expected path, score and description between tabs. Received: {line!r}.") from error
