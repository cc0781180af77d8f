"""What a copy of Fashion200k should hold, for the doctor."""

from datasets_tfds.fashion200k import labels

PUBLISHED = {"train": 172049, "test": 29789}
PUBLISHED_QUERIES = 33480


def survey(manual_dir):
    """See `datasets_tfds.doctor`. A file of lines that was cut off shows in the counts alone."""
    folder, problems = labels.find(manual_dir), []
    by_split = {}
    for split in labels.SPLITS:
        by_split[split], repeated = labels.read(folder, split, skip_repeated=True)
        if repeated:
            problems.append(f"{repeated} lines of the {split} labels repeat a picture")
    queries, unlabelled = labels.read_queries(folder, by_split["test"], skip_unknown=True)
    if unlabelled:
        problems.append(f"{unlabelled} queries of {labels.QUERIES} have a picture without a label")
    counts = [(len(by_split[split]), f"{split} pictures", count) for split, count in PUBLISHED.items()]
    counts.append((len(queries) + unlabelled, "queries", PUBLISHED_QUERIES))
    splits = {split: {"rows": [], "gallery": list(labelled)} for split, labelled in by_split.items()}
    splits["test"]["rows"] = [(f"test-{row}", [end.image_id for end in ends]) for row, *ends in queries]
    return {
        "annotations": [*sorted(folder.glob("labels/*.txt")), folder / labels.QUERIES],
        "splits": splits,
        "locate": labels.locations,
        "root": folder,
        "problems": problems,
        "notes": [f"{found} {what}; papers report {count}" for found, what, count in counts if found != count],
    }
