"""What a copy of MIT-States holds, for the doctor; no list says what it should hold."""

import collections

from datasets_tfds import schema
from datasets_tfds.mit_states import listing

PUBLISHED = {"train": 43207, "test": 10546}


def survey(manual_dir):
    """See `datasets_tfds.doctor`."""
    folder = listing.find(manual_dir)
    photos, notes = listing.read(folder), []
    splits = {split: {"rows": [], "gallery": [photo.image_id for photo in of]} for split, of in photos.items()}
    of_class = collections.defaultdict(list)
    for row in listing.gallery(photos["test"]):
        of_class[row["target_class"]].append(row["image_id"])
    splits["test"]["rows"] = [
        (row["query_id"], schema.needs(row), of_class[row["target_class"]]) for row in listing.rows(photos["test"])
    ]
    for split, count in PUBLISHED.items():
        if len(photos[split]) != count:
            notes.append(f"{len(photos[split])} {split} pictures; papers report {count}")
    return {"annotations": [], "splits": splits, "locate": listing.locate, "root": folder, "notes": notes}
