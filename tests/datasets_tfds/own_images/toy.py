"""A toy folder of one's own: 30 JPEG files, each of its own width, and a table of queries."""

import numpy as np
from PIL import Image

NAMES = [f"{folder}/IMG_{number:03d}" for number, folder in enumerate(["bags"] * 11 + ["shoes"] * 19)]
# Reference, target, text: with and without the ending, by the file's name alone, with other capitals.
ROWS = [
    ("bags/IMG_000.jpg", "bags/IMG_001.jpg", "in red, with a zip"),
    ("IMG_000", "IMG_002", " smaller "),
    ("shoes\\IMG_011.JPG", "img_012.jpg|shoes/IMG_013", "higher heel"),
    ("IMG_014.jpg", "IMG_015.jpg", ""),
]


def width(name):
    """How wide a picture is."""
    return 40 + int(name[-3:])


def write(root, rows=(), names=NAMES):
    """Writes pictures and, where there are rows, triplets.csv."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels_HWC = np.random.default_rng(width(name)).integers(0, 256, (4, width(name), 3), np.uint8)
        Image.fromarray(pixels_HWC).save(root / f"{name}.jpg")
    if rows:
        write_csv(root / "triplets.csv", [("reference", "target", "text"), *rows])
    return root


def write_csv(path, rows):
    """Writes a table, every field between double quotes."""
    path.write_text("".join(",".join(f'"{field}"' for field in row) + "\r\n" for row in rows), encoding="utf-8")
