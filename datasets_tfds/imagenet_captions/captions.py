"""FTI4CIR's file of captions for the test pictures of ImageNet-1K, and where copies keep these.

Reference: Lin et al., "Fine-grained Textual Inversion Network for Zero-Shot Composed Image Retrieval", SIGIR 2024, and
its code.
"""

import re
from pathlib import Path

from datasets_tfds import pictures, schema

FILE = "blip_pairs.json"
ROOTS = ("", "ImageNet/", "ImageNet1K/")  # the archive's tree itself, FTI4CIR's, SEARLE's
NAME = "ILSVRC2012_test_"


def find(manual_dir):
    """The path of the captions: in `manual_dir`, or in the folder of the pictures there.

    Raises:
        FileNotFoundError: they are in none.
    """
    path = next((path for root in ROOTS if (path := Path(manual_dir, root, FILE)).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{FILE} is neither in {manual_dir} nor in its ImageNet/ or ImageNet1K/. It comes from FTI4CIR, "
            "https://github.com/ZiChao111/FTI4CIR, or is made with BLIP."
        )
    return path


def read(path):
    """The gallery rows, in file order.

    Args:
        path: what `find` returns.

    Raises:
        ValueError: a damaged file, an id that is not eight digits or comes twice; names file and row.
    """
    rows = {}
    for place, raw in enumerate(pictures.read_json(path, list)):
        where = f"{path}: row {place}"
        number, subject, attribute = (schema.value(raw, key, str, where) for key in ("img_id", "subject", "attribute"))
        if not re.fullmatch("[0-9]{8}", number):
            raise ValueError(f"{where}: 'img_id' should be eight digits. Received: {number!r}.")
        image_id = NAME + number
        if image_id in rows:
            raise ValueError(f"{where}: the id {number} comes twice.")
        rows[image_id] = schema.gallery_row(image_id) | {"subject": subject, "attribute": attribute}
    return list(rows.values())


def locations(image_id):
    """Where copies keep a picture."""
    return [f"{root}test/{image_id}.JPEG" for root in ROOTS]
