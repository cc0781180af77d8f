"""What a copy of FashionIQ should hold, for the doctor."""

import functools
from pathlib import Path

from datasets_tfds.fashion_iq import annotations


def survey(manual_dir):
    """See `datasets_tfds.doctor`. Each kind of garment is looked at alone, as many copies hold one of them only."""
    splits, problems = {}, []
    for kind in annotations.KINDS:
        try:
            loaded = annotations.load(manual_dir, kind)
        except FileNotFoundError as error:
            problems.append(f"{kind} cannot be built: {error}")
            continue
        for split, (queries, gallery) in loaded.items():
            rows = [(query.query_id, _ids(kind, filter(None, query[2:4]))) for query in queries]
            splits[f"{kind}/{split}"] = {"rows": rows, "gallery": _ids(kind, gallery)}
    if not splits:
        raise FileNotFoundError(problems[0])
    folders = ("image_splits", *annotations.CAPTION_FOLDERS)
    return {
        "annotations": [path for folder in folders for path in sorted(Path(manual_dir, folder).glob("*.json"))],
        "splits": splits,
        "locate": functools.partial(annotations.candidates, "all"),
        "problems": problems,
    }


def _ids(kind, names):
    """The ids of the subset "all", for some products are of two kinds."""
    return [f"{kind}/{name}" for name in names]
