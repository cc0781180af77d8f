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
    val, notes = annotations.val_gallery(folder, names["test"], queries["test"]), []
    if val is None:
        notes.append("VAL's list is not there, so there will be no gallery test_val")
    else:
        splits["test_val"] = {"rows": [], "gallery": val}
    return {
        "annotations": [folder / name for name in (annotations.CAPTIONS, *annotations.NAME_LISTS.values())],
        "splits": splits,
        "locate": annotations.locator(manual_dir),
        "notes": notes,
    }
