"""Reading pictures, against bare decoding of the same files in as many threads.

"stored": from a store of resized pictures, made before and small enough to stay in the system's memory.

Dimension key: N pictures.
"""

import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from cir_tf import config as configs
from cir_tf.data import triplets
from cir_tf.tokenizers import WordTokenizer
from scripts.benchmarks.base import WORDS, compare, encoded_pictures, generated_triplets

FITS = ("squash", "pad", "targetpad")
TOGETHER = 16  # photos that a thread takes at a time


def rows(sizes, repeat):
    """The pictures of training batches, then photos brought to a square in three ways, each streamed and stored."""
    with tempfile.TemporaryDirectory() as folder:
        yield from (training_row(sizes, name, folder, repeat) for name in ("cached", "streamed", "stored"))
        encoded_N = encoded_pictures(np.random.default_rng(0), sizes.pictures, sizes.photo)
        for fit in FITS:
            yield photo_row(sizes, encoded_N, fit, "", repeat)
            yield photo_row(sizes, encoded_N, fit, folder, repeat)


def training_row(sizes, name, folder, repeat):
    """The pictures of training batches, "cached" or "stored" as pixels or "streamed" from the files."""
    config = configs.load(sizes.recipe)
    limit, count = (0, sizes.streamed_batches) if name == "streamed" else (2**30, sizes.cached_batches)
    data = generated_triplets(sizes, WordTokenizer(WORDS), config.image_encoder.image_size)
    data.targets.folder = folder if name == "stored" else ""
    with mock.patch.object(triplets, "CACHE_BYTES", limit):
        batches = triplets.batches(data, config.batch_size, config.seed, 0, config.augment).take(count)
    files = tf.data.Dataset.from_tensor_slices(data.targets.encoded_N).repeat()
    decoded = decode(files).batch(2 * config.batch_size).take(sizes.streamed_batches)

    runs = [lambda dataset=dataset: 2 * config.batch_size * sum(1 for _ in dataset) for dataset in (batches, decoded)]
    return compare(f"input, {name}", "pictures/s", *runs, repeat)


def photo_row(sizes, encoded_N, fit, folder, repeat):
    """Photos brought to a square as they are read, or read from a store, one pass over all of them."""
    positions = tf.data.Dataset.range(len(encoded_N)).batch(TOGETHER)
    with mock.patch.object(triplets, "CACHE_BYTES", 0):
        squares = positions.map(triplets.Pictures(encoded_N, sizes.photo_to, fit, folder).take, os.cpu_count())
    decoded = decode(tf.data.Dataset.from_tensor_slices(encoded_N)).batch(TOGETHER)

    runs = [lambda dataset=dataset: sum(len(part) for part in dataset) for dataset in (squares, decoded)]
    label = f"{'stored' if folder else 'input'}, {sizes.photo[0]} x {sizes.photo[1]} to {sizes.photo_to}, {fit}"
    return compare(label, "pictures/s", *runs, repeat)


def decode(files):
    """The bare work: pictures decoded and dropped, all but how many numbers each had."""
    return files.map(lambda encoded: tf.size(tf.io.decode_jpeg(encoded, channels=3)), os.cpu_count())
