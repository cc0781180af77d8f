"""Preparing a user's pictures, against decoding them."""

import concurrent.futures
import contextlib
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from datasets_tfds import build
from scripts.benchmarks.base import compare, save_picture


def rows(sizes, repeat):
    """A `Row` for each kind of file."""
    return (row(sizes, kind, repeat) for kind in ("JPEG", "PNG"))


def row(sizes, kind, repeat):
    """Preparing the gallery view of a folder of "JPEG" or "PNG" files, against decoding them on all cores."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        manual_dir = Path(place, "pictures")
        manual_dir.mkdir()
        files = [
            save_picture(rng, [sizes.built_side] * 2, manual_dir / f"{i}.{kind}", kind) for i in range(sizes.built)
        ]
        command = ["own_images", "--config=own_gallery", "--overwrite", f"--manual_dir={manual_dir}"]

        def prepare():
            with contextlib.redirect_stdout(io.StringIO()):
                return len(files) if build.main([*command, f"--data_dir={place}"]) == 0 else 0

        def decode():
            return len(list(pool.map(lambda file: Image.open(file).convert("RGB").size, files)))

        return compare(f"build {kind}, {sizes.built_side} px", "pictures/s", prepare, decode, repeat)
