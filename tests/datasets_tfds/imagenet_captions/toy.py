"""A toy copy of ImageNet's test pictures with captions, in any layout."""

import json

from PIL import Image

PAIRS = [
    {"img_id": "00000042", "subject": "a dog", "attribute": "lying on a red sofa"},
    {"img_id": "00000007", "subject": "two crêpes", "attribute": "on a plate with a fork"},
    {"img_id": "00100000", "subject": "a man", "attribute": "in front of a blue door"},
]
IDS = [f"ILSVRC2012_test_{pair['img_id']}" for pair in PAIRS]


def path(root, image_id, folder=""):
    """Where a picture is."""
    return root / folder / "test" / f"{image_id}.JPEG"


def write(root, folder="", captions_folder="", pairs=PAIRS):
    """Writes captions and pictures; the second one is a CMYK JPEG and the third a PNG, whatever its name says."""
    (root / folder / "test").mkdir(parents=True)
    Image.new("RGB", (3, 2), "teal").save(path(root, IDS[0], folder), "JPEG")
    Image.new("CMYK", (4, 2)).save(path(root, IDS[1], folder), "JPEG")
    Image.new("RGB", (5, 2), "red").save(path(root, IDS[2], folder), "PNG")
    (root / captions_folder / "blip_pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    return root
