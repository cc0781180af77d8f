"""What a copy of CIRCO should hold, for the doctor."""

from pathlib import Path

from datasets_tfds import schema
from datasets_tfds.circo import annotations


def survey(manual_dir):
    """See `datasets_tfds.doctor`. The gallery, which both splits share, stands under `test`, as in the build."""
    root = Path(manual_dir)
    files, rows = annotations.load(root)
    splits = {
        split: {"rows": [(row["query_id"], schema.needs(row)) for row in part], "gallery": []}
        for split, part in rows.items()
    }
    splits["test"]["gallery"] = list(files)
    return {
        "annotations": [root / annotations.LIST, *sorted(root.glob("annotations/*.json"))],
        "splits": splits,
        "locate": lambda image_id: [f"{annotations.PICTURE_FOLDER}/{files[image_id]}"],
    }
