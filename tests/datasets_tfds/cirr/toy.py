"""A small copy of CIRR, in any of its layouts."""

import json

from PIL import Image

MODES = ("RGB", "RGBA", "P", "L", "LA")
RELPATHS = {
    "train": {f"train-{i}-0-img{i % 2}": f"./train/{30 + i}/train-{i}-0-img{i % 2}.png" for i in (3, 1, 2)},
    "val": {f"dev-{i}-1-img0": f"./dev/dev-{i}-1-img0.png" for i in (5, 0, 6, 2, 4, 1, 3)},
    "test1": {f"test1-{i}-2-img1": f"./test1/test1-{i}-2-img1.png" for i in (2, 0, 1, 5, 3, 4)},
}
MEMBERS = {split: list(listed)[:6][::-1] for split, listed in RELPATHS.items()}
CAPTIONS = {
    "train": [
        {"pairid": 7, "reference": "train-1-0-img1", "target_hard": "train-3-0-img1", "caption": "Two of them"},
        {
            "pairid": 3,
            "reference": "train-3-0-img1",
            "target_hard": "train-2-0-img0",
            "caption": "at night",
            "img_set": {},
        },
    ],
    "val": [
        {
            "pairid": 12,
            "reference": "dev-0-1-img0",
            "target_hard": "dev-6-1-img0",
            "target_soft": {"dev-3-1-img0": 0.5, "dev-6-1-img0": 1.0, "dev-1-1-img0": -1.0},
            "caption": " Same dog, on GRASS. ",
            "img_set": {"id": 36, "members": MEMBERS["val"], "reference_rank": 2, "target_rank": 4},
        },
        {
            "pairid": 10,
            "reference": "dev-6-1-img0",
            "target_hard": "dev-0-1-img0",
            "target_soft": {"dev-0-1-img0": 1.0},
            "caption": "mirror it",
            "img_set": {"id": 36, "members": MEMBERS["val"], "reference_rank": 0, "target_rank": 1},
        },
    ],
    "test1": [
        {
            "pairid": 27098,
            "reference": "test1-2-2-img1",
            "caption": " ",
            "img_set": {"id": 5, "members": MEMBERS["test1"], "reference_rank": 3},
        }
    ],
}
ANSWERS = ["being a photo of a dog", "[c] None existed", "[cr0] Nothing worth mentioning", "add a café"]


def files():
    """Path below the folder of the annotations -> value."""
    values = {}
    for split, rows in CAPTIONS.items():
        extended = [
            {"pairid": row["pairid"], "caption_extend": dict(zip("0123", ANSWERS, strict=True))} for row in rows
        ]
        values[f"captions/cap.rc2.{split}.json"] = rows
        values[f"captions_ext/cap.ext.rc2.{split}.json"] = extended[::-1]
        values[f"image_splits/split.rc2.{split}.json"] = RELPATHS[split]
    return json.loads(json.dumps(values))


def write_annotations(folder, values=None):
    for name, value in (files() if values is None else values).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_pictures(folder):
    """PNG files of all modes, each of its own size."""
    for listed in RELPATHS.values():
        for relpath in listed.values():
            path = folder / relpath
            path.parent.mkdir(parents=True, exist_ok=True)
            width, height = size(path.stem)
            picture = Image.new("RGB", (width, height), (200, 10 * width, 0))
            picture.convert(MODES[width % len(MODES)]).save(path)


def size(name):
    """Width and height of a picture, by which it is told from the others of its split."""
    return int(name.split("-")[1]) + 2, {"train": 9, "dev": 10, "test1": 11}[name.split("-")[0]]


def write(root, annotations_in="cirr", pictures_in=""):
    write_annotations(root / annotations_in)
    write_pictures(root / pictures_in)
    return root
