"""A toy copy of FashionIQ in any layout: three rows of each kind and split."""

import json

from PIL import Image

KINDS = ("dress", "shirt", "toptee")
OFFICIAL = ("train", "val", "test")
CAPTIONS = (
    ["is longer, with lace.", " More formal and navy?"],
    ["", "has no sleeves"],
    ["a café logo", "a café logo"],
)
SHARED = "B0SHARED01"  # a product that is a shirt and a top
LAYOUTS = {  # of section 1.4 of the dataset's notes
    "CLIP4Cir": ("captions", "images/{id}.jpg"),
    "SPRC": ("captions", "images/{id}.png"),
    "CaLa": ("captions", "image_data/{id}.jpg"),
    "FTI4CIR": ("captions", "{kind}/{id}.jpg"),
    "VAL": ("captions", "image_data/{kind}/{id}.jpg"),
    "starter kit": ("captions", "resized_images/{kind}/{id}.jpg"),
    "DQU-CIR": ("captions", "resized_image/{kind}/{id}.jpg"),
    "Pic2Word": ("json", "images/{id}.png"),
    "by kind": ("captions", "images/{kind}/{id}.jpeg"),
}


def ids(kind, official):
    """Five ids, of which the last one is in no row."""
    names = [f"B{kind[0].upper()}{official[:2].upper()}{i:06d}" for i in range(5)]
    if (kind, official) in (("shirt", "val"), ("toptee", "train")):
        names[1] = SHARED
    return names


def rows(kind, official):
    """The caption file: reference i, target i + 1."""
    names = ids(kind, official)
    rows = [{"candidate": names[i], "captions": captions} for i, captions in enumerate(CAPTIONS)]
    if official != "test":
        for i, row in enumerate(rows):
            row["target"] = names[i + 1]
    return rows


def width(name):
    """How wide the picture of a product is: nearly each has a width of its own."""
    return 3 + sum(map(ord, name)) % 90


def write(root, layout="CLIP4Cir", kinds=KINDS):
    """Writes annotations and pictures."""
    folder, path = LAYOUTS[layout]
    for kind in kinds:
        for official in OFFICIAL:
            write_json(root / f"{folder}/cap.{kind}.{official}.json", rows(kind, official))
            write_json(root / f"image_splits/split.{kind}.{official}.json", ids(kind, official))
            for name in ids(kind, official):
                file = root / path.format(kind=kind, id=name)
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (width(name), 2), "teal").save(file)


def write_json(path, value):
    """Writes a value in UTF-8, over several lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
