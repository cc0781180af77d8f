"""A toy copy of Shoes in any layout."""

import json

from PIL import Image

NAMES = {
    "train_im_names.txt": ["womens_boots_12", "womens_boots_1034", "womens_rain_boots_7", "womens_high_heels_999"],
    "eval_im_names.txt": ["womens_pumps_1000", "womens_flats_3", "womens_clogs_5", "womens_sneakers_8"],
}
# Target, reference, caption.
CAPTIONS = [
    ("womens_rain_boots_7", "womens_boots_12", "are taller with a side zip"),
    ("womens_clogs_5", "womens_pumps_1000", " is flat and closed "),
    ("womens_high_heels_999", "womens_high_heels_999", "that is what I want"),
    ("womens_boots_12", "womens_boots_1034", "has laces"),
    ("womens_sneakers_8", "womens_clogs_5", "is a sneaker"),
]
VAL = ["womens_clogs_5", "womens_pumps_1000"]  # the queries add womens_sneakers_8, but not womens_flats_3
TREES = {
    "archive": "womens_{type}/{thousands}/{name}",
    "val": "attributedata/womens_{type}/{thousands}/{name}",
    "artemis": "womens/womens_{type}/{thousands}/{name}",
    "by file name": "somewhere/else/{name}",
}


def width(name):
    """How wide the picture of a shoe is: each has a width of its own."""
    return 3 + [*NAMES["train_im_names.txt"], *NAMES["eval_im_names.txt"]].index(name)


def write(root, tree="archive", annotations="", with_val=True):
    """Writes annotations and pictures."""
    folder = root / annotations
    (folder / "val_protocol").mkdir(parents=True)
    for file, names in NAMES.items():
        (folder / file).write_text("".join(f"img_{name}.jpg\n" for name in names))
        for name in names:
            kind, number = name.removeprefix("womens_").rsplit("_", 1)
            path = TREES[tree].format(type=kind, thousands="1" if len(number) == 4 else "0", name=f"img_{name}.jpg")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (width(name), 2), "teal").save(root / path)
    if with_val:
        (folder / "val_protocol/eval_im_names.txt").write_text("".join(f"img_{name}.jpg\n" for name in VAL))
    write_captions(folder, [row(*one) for one in CAPTIONS])
    return root


def row(target, reference, caption):
    """A row as it stands in the file."""
    images = {"ImageName": f"img_{target}.jpg", "ReferenceImageName": f"img_{reference}.jpg"}
    return images | {"RelativeCaption": caption}


def write_captions(folder, data):
    (folder / "relative_captions_shoes.json").write_text(json.dumps(data))
