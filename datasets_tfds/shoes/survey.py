"""What a copy of Shoes should hold, for the doctor."""

from datasets_tfds.shoes import annotations


def survey(manual_dir):
    """See `datasets_tfds.doctor`."""
    folder = annotations.find(manual_dir)
    names, queries = annotations.read(folder)
    splits = {}
    for split, image_ids in names.items():
        rows = [(f"{split}-{row}", query[:2]) for row, query in enumerate(queries[split])]
        splits[split] = {"rows": rows, "gallery": image_ids}
    galleries = annotations.val_galleries(folder, names["test"], queries["test"])
    splits |= {split: {"rows": [], "gallery": image_ids} for split, image_ids in galleries.items()}
    notes = [] if galleries else ["VAL's list is not there, so there will be no galleries test_val and test_val_list"]
    return {
        "annotations": [folder / name for name in (annotations.CAPTIONS, *annotations.NAME_LISTS.values())],
        "splits": splits,
        "locate": annotations.locator(manual_dir),
        "notes": notes,
    }
