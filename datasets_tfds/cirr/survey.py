"""What a copy of CIRR should hold, for the doctor."""

from pathlib import Path

from datasets_tfds.cirr import annotations


def survey(manual_dir):
    """See `datasets_tfds.doctor`."""
    root = Path(manual_dir)
    splits, left_out = annotations.load(root)
    relpaths = {name: path for part in splits.values() for name, path in part.relpaths.items()}
    patterns = [f"{top}{folder}/*.json" for top in ("cirr/", "") for folder in ("captions*", "image_splits")]
    return {
        "annotations": [path for pattern in patterns for path in sorted(root.glob(pattern))],
        "splits": {
            split: {
                "rows": [(row["query_id"], annotations.needs(split, row)) for row in part.rows],
                "gallery": list(part.relpaths),
            }
            for split, part in splits.items()
        },
        "locate": lambda name: annotations.candidates(relpaths[name]),
        "lift_limit": True,
        "problems": [f"{split} is left out: {reason}" for split, reason in left_out.items()],
    }
