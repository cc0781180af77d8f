"""What the benchmarks share: how much they do, how two functions are compared, how it is printed, and made-up data.

Dimension key: R rounds.
"""

import io
import os
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from cir_tf import config as configs
from cir_tf.data import triplets
from cir_tf.data.source import Gallery
from cir_tf.samplers.stored import Stored

WORDS = [first + second for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
WORDS_IN_TEXT = 10
HEAD = f"{'benchmark':<36}{'unit':<12}{'ours':>26}{'bare':>26}{'ours / bare':>22}{'CPU ratio':>11}"


class Sizes(NamedTuple):
    """How much each benchmark does in one round."""

    recipe: str
    steps: int
    pictures: int
    side: int  # of the pictures' files
    cached_batches: int
    streamed_batches: int
    gallery: int
    queries: int
    single_queries: int
    width: int
    million: int = 1_000_000
    built: int = 600  # pictures
    built_side: int = 512
    kinds: tuple = ((2017, 3817, 2628), (2038, 6346, 3089), (1961, 5373, 2902))  # FashionIQ: rows, gallery, union
    evaluated_width: int = 640
    photo: tuple = (600, 400)  # width, height
    photo_to: int = 224
    recipes: tuple = ()  # of `methods`; empty: all there are
    narrow: bool = False  # towers of `encoders`, not of their published sizes


FULL = Sizes(configs.DEFAULT, 3, 256, 256, 200, 6, 16_384, 512, 10, 512)
SMALLEST = Sizes(
    f"{configs.DEFAULT}:runlocal",
    1,
    8,
    80,
    2,
    1,
    60,
    3,
    2,
    16,
    2_000,
    8,
    80,
    ((9, 30, 20),) * 3,
    16,
    (60, 40),
    24,
    (f"{configs.DEFAULT}:runlocal",),
    True,
)


class Row(NamedTuple):
    """One comparison; the arrays hold a figure for each round."""

    name: str
    unit: str
    ours_R: Any
    bare_R: Any
    ratio_R: Any
    cpu_ratio_R: Any


def compare(name, unit, ours, bare, repeat):
    """The `Row` of two functions that return how many items they worked off, called in turn after a warm-up."""
    ours(), bare()
    ours_R2, bare_R2 = np.array([(_seconds(ours), _seconds(bare)) for _ in range(repeat)]).swapaxes(0, 1)
    ours_R2, bare_R2 = (1e3 * ours_R2, 1e3 * bare_R2) if unit == "ms" else (1 / ours_R2, 1 / bare_R2)
    return Row(name, unit, ours_R2[:, 0], bare_R2[:, 0], *(ours_R2 / bare_R2).T)


def _seconds(function):
    """Wall and processor seconds of an item."""
    wall, cpu = time.perf_counter(), time.process_time()
    items = function()
    return (time.perf_counter() - wall) / items, max(time.process_time() - cpu, 1e-6) / items


def machine():
    """One line: cores, processor, versions."""
    file = Path("/proc/cpuinfo")
    names = [text.partition(": ")[2] for text in file.read_text().splitlines() if text.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0]}, Python {platform.python_version()}, TensorFlow {tf.__version__}"


def line(row):
    """A row of the table, under `HEAD`."""
    digits = 2 if row.unit == "ms" else 0
    ours, bare, ratio = (
        f"{np.median(figures_R):.{places}f} ({min(figures_R):.{places}f} - {max(figures_R):.{places}f})"
        for figures_R, places in ((row.ours_R, digits), (row.bare_R, digits), (row.ratio_R, 2))
    )
    return f"{row.name:<36}{row.unit:<12}{ours:>26}{bare:>26}{ratio:>22}{np.median(row.cpu_ratio_R):>11.2f}"


def save_picture(rng, size, file, kind="JPEG"):
    """Write soft blobs with a little noise: as much to decode as a photograph has; size: width, height."""
    blobs = np.asarray(Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize(size))
    noisy = blobs + rng.integers(-8, 8, blobs.shape)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, kind, quality=85)
    return file


def encoded_pictures(rng, count, size):
    """That many JPEG files: bytes objects in an array."""
    return np.array([save_picture(rng, size, io.BytesIO()).getvalue() for _ in range(count)], object)


def generated_triplets(sizes, tokenizer, image_size, rows=1024):
    """`Triplets` of generated texts and JPEG files."""
    rng = np.random.default_rng(0)
    ids = [str(i) for i in range(sizes.pictures)]
    gallery = Gallery(ids, encoded_pictures(rng, sizes.pictures, [sizes.side] * 2), [""] * len(ids))
    made = {
        "captions": [[]] * rows,
        "reference_id": rng.choice(ids, rows),
        "target_id": rng.choice(ids, rows),
        "text": [" ".join(rng.choice(WORDS, WORDS_IN_TEXT)) for _ in range(rows)],
        "target_class": [""] * rows,
        "has_target": [True] * rows,
    }
    sampler = Stored(made, gallery, gallery)
    return triplets.make_triplets(sampler, gallery, gallery, tokenizer, image_size)
