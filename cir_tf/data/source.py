"""Prepared TFDS datasets, read by name: rows of queries and galleries of encoded pictures."""

import collections.abc
import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm import tqdm

from cir_tf.errors import UserError

HEAD_BYTES, TAIL_BYTES = 12, 4  # of a TFRecord: length and its checksum before it, the checksum of the data behind


class Gallery(NamedTuple):
    """Pictures by id.

    Attributes:
        ids: list of N strings.
        encoded_N: the picture files as bytes objects: `Records`, or an object array.
        target_class: list of N strings, "" where the dataset has no classes.
    """

    ids: list
    encoded_N: Any
    target_class: list


def default_data_dir():
    """Where TFDS keeps prepared datasets: $TFDS_DATA_DIR, else its default in the home folder."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR", tfds.core.constants.DATA_DIR))  # noqa: PTH111


def open_builder(dataset, config, data_dir="", prepare=True):
    """The prepared dataset, opened from its files; no builder is imported.

    Args:
        dataset: name of the builder.
        config: name of its config.
        data_dir: where prepared datasets lie; empty: `default_data_dir()`.
        prepare: whether a dataset that is not there is built, by `python -m datasets_tfds.build`.

    Raises:
        UserError: it is not prepared and cannot be made on the spot; the message is the build command's own.
    """
    data_dir = data_dir or default_data_dir()
    try:
        return tfds.core.read_only_builder.builder_from_files(dataset, config=config, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        if not prepare:
            raise UserError(f"{dataset}/{config} is not prepared in {data_dir}") from error
    command = [sys.executable, "-m", "datasets_tfds.build", dataset, f"--config={config}", f"--data_dir={data_dir}"]
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{dataset}/{config} is not prepared in {data_dir}, and could not be built: see the line above")
    return open_builder(dataset, config, data_dir, prepare=False)


def read_rows(builder, split):
    """The rows of an `index` view: {key: array or list of Q values}, strings as str.

    Raises:
        UserError: the dataset has no such split.
    """
    find_split(builder, split)
    columns = {key: [] for key in builder.info.features}
    for batch in builder.as_dataset(split=split, shuffle_files=False).ragged_batch(4096):
        for key, value in batch.items():
            ragged = isinstance(value, tf.RaggedTensor)
            columns[key].extend(_text(value.to_list() if ragged else value.numpy().tolist()))
    return columns


def read_gallery(builder, split):
    """The pictures of a `gallery` view, which stay on the disk.

    Raises:
        UserError: the dataset has no such split.
    """
    files = [str(path) for path in find_split(builder, split).filepaths]
    features = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image_id", "image", "target_class")}
    ids, classes, place = [], [], []
    with tqdm(total=builder.info.splits[split].num_examples, desc="pictures", leave=False, delay=2) as bar:
        for number, file in enumerate(files):
            start = 0
            for records_B in tf.data.TFRecordDataset(file).batch(256):
                row = tf.io.parse_example(records_B, features)
                ids += row["image_id"].numpy().tolist()
                classes += row["target_class"].numpy().tolist()
                for record, image in zip(records_B.numpy(), row["image"].numpy(), strict=True):
                    place.append((number, start + HEAD_BYTES + record.index(image), len(image)))
                    start += HEAD_BYTES + len(record) + TAIL_BYTES
                bar.update(len(records_B))
    return Gallery(_text(ids), Records(files, np.array(place, np.int64)), _text(classes))


class Records(collections.abc.Sequence):
    """Picture files inside TFRecord files, read when they are asked for: a gallery of any size takes no memory.

    Args:
        files: paths of uncompressed TFRecord files.
        place_N3: of each picture the number of its file, where it begins in it and how many bytes it has.
    """

    def __init__(self, files, place_N3):
        self._maps = [np.memmap(file, mode="r") for file in files]
        self._place_N3 = place_N3

    def __len__(self):
        return len(self._place_N3)

    def __getitem__(self, position):
        file, start, size = self._place_N3[position]
        return self._maps[file][start : start + size].tobytes()

    def take(self, position_B):
        """The pictures at these positions: object array [B] of bytes."""
        return np.array([*map(self.__getitem__, position_B), None], object)[:-1]  # None: else NumPy may split the bytes


def gaps(builder):
    """What the user's copy had when a dataset was built, empty for generated ones.

    {"missing": int, "bad": int, "stamp": hash over the sorted ids and sizes of its pictures}.
    """
    metadata = builder.info.metadata or {}
    return {key: metadata[key] for key in ("missing", "bad", "stamp") if key in metadata}


def find_split(builder, split):
    """The `tfds.core.SplitInfo` of a split; `UserError` where the dataset has none of that name."""
    if split not in builder.info.splits:
        choices = ", ".join(builder.info.splits)
        raise UserError(f"{builder.info.full_name} has no split {split!r}; it has {choices}")
    return builder.info.splits[split]


def _text(values):
    if isinstance(values, list):
        return [_text(value) for value in values]
    return values.decode("utf-8") if isinstance(values, bytes) else values
