"""Prepared TFDS datasets, read by name: rows of queries and galleries of encoded pictures."""

import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from cir_tf.errors import UserError


class Gallery(NamedTuple):
    """Pictures by id.

    Attributes:
        ids: list of N strings.
        encoded_N: the picture files, array of N bytes objects.
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
    columns = {key: [] for key in builder.info.features}
    for batch in _examples(builder, split, {}).ragged_batch(4096):
        for key, value in batch.items():
            ragged = isinstance(value, tf.RaggedTensor)
            columns[key].extend(_text(value.to_list() if ragged else value.numpy().tolist()))
    return columns


def read_gallery(builder, split):
    """The pictures of a `gallery` view, still encoded.

    Raises:
        UserError: the dataset has no such split.
    """
    keep = ("image_id", "image", "target_class")
    columns = {key: [] for key in keep}
    dataset = _examples(builder, split, {"image": tfds.decode.SkipDecoding()})
    for batch in dataset.map(lambda row: {key: row[key] for key in keep}).batch(1024):
        for key in keep:
            columns[key].extend(batch[key].numpy().tolist())
    return Gallery(_text(columns["image_id"]), np.array(columns["image"], object), _text(columns["target_class"]))


def gaps(builder):
    """What the user's copy lacked when a dataset was built: {"missing": int, "bad": int}, empty for generated ones."""
    metadata = builder.info.metadata or {}
    return {key: metadata[key] for key in ("missing", "bad") if key in metadata}


def _examples(builder, split, decoders):
    if split not in builder.info.splits:
        choices = ", ".join(builder.info.splits)
        raise UserError(f"{builder.info.full_name} has no split {split!r}; it has {choices}")
    return builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)


def _text(values):
    if isinstance(values, list):
        return [_text(value) for value in values]
    return values.decode("utf-8") if isinstance(values, bytes) else values
