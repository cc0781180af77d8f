"""What a copy of Fashion200k should hold, for the doctor."""

from datasets_tfds.fashion200k import labels


def survey(manual_dir):
    """See `datasets_tfds.doctor`."""
    folder, problems = labels.find(manual_dir), []
    by_split = {}
    for split in labels.SPLITS:
        by_split[split], repeated = labels.read(folder, split, skip_repeated=True)
        if repeated:
            problems.append(f"{repeated} lines of the {split} labels repeat a picture")
    queries, unlabelled = labels.read_queries(folder, by_split["test"], skip_unknown=True)
    if unlabelled:
        problems.append(f"{unlabelled} queries of {labels.QUERIES} have a picture without a label")
    splits = {split: {"rows": [], "gallery": list(labelled)} for split, labelled in by_split.items()}
    splits["test"]["rows"] = [(f"test-{row}", [end.image_id for end in ends]) for row, *ends in queries]
    return {
        "annotations": [*sorted(folder.glob("labels/*.txt")), folder / labels.QUERIES],
        "splits": splits,
        "locate": labels.locations,
        "root": folder,
        "problems": problems,
    }
