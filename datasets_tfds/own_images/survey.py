"""What a user's folder should hold, for the doctor."""

from datasets_tfds.own_images import annotations, table


def survey(manual_dir):
    """See `datasets_tfds.doctor`."""
    folder = annotations.find(manual_dir)
    queries, images = table.find(folder.root, annotations.TRIPLETS), table.find(folder.root, annotations.IMAGES)
    splits, problems, notes = {}, [], []
    if folder.others:
        more = ", ..." if len(folder.others) > table.LISTED else ""
        notes.append(f"{len(folder.others)} files not used: {', '.join(folder.others[: table.LISTED])}{more}")
    _, left_out = annotations.read_classes(folder, skip=True)
    if left_out:
        problems.append(f"{images.name}: these rows repeat a picture or name one that is not there: {left_out}")
    if queries:
        triplets, repeated = annotations.read_triplets(folder, skip=True)
        if repeated:
            problems.append(f"{queries.name}: these rows repeat another: {repeated}")
        if count := annotations.straddling(triplets):
            notes.append(f"{count} references have queries in several splits")
        for split, part in annotations.by_split(triplets).items():
            splits[split] = {"rows": [(triplet.query_id, triplet.needs) for triplet in part], "gallery": []}
    else:
        notes.append("no triplets.csv, no triplets.jsonl: the gallery alone can be built, with --config=own_gallery")
    splits[annotations.GALLERY] = {"rows": [], "gallery": list(folder.paths)}
    return {
        "annotations": [path for path in (queries, images) if path],
        "splits": splits,
        "locate": folder.locate,
        "problems": problems,
        "notes": notes,
    }
