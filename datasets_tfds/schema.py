"""The one schema of every dataset here: three views of the same rows.

| config name | view | for |
|---|---|---|
| `<subset>` | both pictures and the text of every query | end-to-end reading |
| `<subset>_index` | the same rows without pictures | training and evaluation joined with the gallery by id |
| `<subset>_gallery` | one row for each picture | embedding a gallery |
"""

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tqdm import tqdm

from datasets_tfds import pictures, preparing

VIEWS = ("triplets", "index", "gallery")
KEYS = 2**128 // 5  # of TFDS' 1,000 parts, each a file while they are written, 200: few systems allow 1,000 files
HIDDEN_HWC = np.zeros((1, 1, 3), np.uint8)  # in the place of a target that is hidden, or that is a class


@dataclasses.dataclass
class ViewConfig(tfds.core.BuilderConfig):
    """One view of one subset of a dataset.

    `on_missing` is what a missing or broken picture of the user's copy means: "error", or "skip", which leaves out the
    rows and the gallery entries that need it.
    """

    subset: str = ""
    view: str = "triplets"
    on_missing: str = "error"  # or "skip": rows and gallery entries without a usable picture are dropped, and counted


def view_configs(config_class=ViewConfig, **subsets):
    """The configs `<subset>`, `<subset>_index`, `<subset>_gallery` of every subset, the first one being the default.

    Args:
        config_class: `ViewConfig` or a subclass with further fields.
        **subsets: name -> dict of the config's further fields (`description` among them).
    """
    suffix = {"triplets": "", "index": "_index", "gallery": "_gallery"}
    return [
        config_class(name=subset + suffix[view], subset=subset, view=view, **fields)
        for subset, fields in subsets.items()
        for view in VIEWS
    ]


def features(view, **extras):
    """The feature dict of a view.

    Args:
        view: one of `VIEWS`.
        **extras: the dataset's own features, appended.
    """
    text, texts = tfds.features.Text(), tfds.features.Sequence(tfds.features.Text())
    image = tfds.features.Image(shape=(None, None, 3))
    if view == "gallery":
        keys = {"image_id": text, "image": image, "target_class": text, "category": text, "relpath": text}
    else:
        keys = {
            "query_id": text,
            "reference_id": text,
            "text": text,
            "captions": texts,
            "target_id": text,
            "has_target": np.bool_,
            "target_ids": texts,
            "target_class": text,
            "group_ids": texts,
            "category": text,
        }
    if view == "triplets":
        keys |= {"reference_image": image, "target_image": image}
    return tfds.features.FeaturesDict(keys | extras)


def supervised_keys(view):
    """`as_supervised` of a view: ((reference, text), target), or None where there are no pictures."""
    if view != "triplets":
        return None
    return ({"reference_image": "reference_image", "text": "text"}, "target_image")


def query_row(query_id, reference_id, text, target_id="", *, captions=None, **fields):
    """One row of the `index` view, with every key of the schema.

    Args:
        query_id, reference_id, text: strings.
        target_id: the accepted image, or "" where it is hidden.
        captions: the raw texts in file order; `(text,)` when None.
        **fields: `target_ids`, `target_class`, `group_ids`, `category` and the dataset's own features.
    """
    row = {
        "query_id": query_id,
        "reference_id": reference_id,
        "text": text,
        "captions": [text] if captions is None else list(captions),
        "target_id": target_id,
        "has_target": bool(target_id),
        "target_ids": [target_id] if target_id else [],
        "target_class": "",
        "group_ids": [],
        "category": "",
    }
    return row | fields


def gallery_row(image_id, image=None, *, relpath="", target_class="", category=""):
    """One row of the `gallery` view.

    Args:
        image_id: string, unique in the gallery.
        image: encoded bytes in a file object, a path, uint8 [H, W, 3], or None where `CopyBuilder` adds it.
    """
    return {
        "image_id": image_id,
        "image": image,
        "target_class": target_class,
        "category": category,
        "relpath": relpath,
    }


def needs(row):
    """The pictures a row cannot do without: a gallery row its own, others the reference and every accepted one."""
    if "image_id" in row:
        return [row["image_id"]]
    return list(filter(None, dict.fromkeys([row["reference_id"], row["target_id"], *row["target_ids"]])))


def value(mapping, key, kind, where, default=None):
    """What an annotation file has under a key; a key without a default must be there.

    Args:
        mapping: what should be an object of JSON.
        key: string.
        kind: the type of the value, or several.
        where: file and row, for the message.

    Raises:
        ValueError: it is not there, or of another type.
    """
    found = mapping.get(key, default) if isinstance(mapping, dict) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ValueError(f"{where}: {key!r} is missing or of the wrong type.")
    return found


def info(builder, row_extras=None, gallery_extras=None, **fields):
    """The `tfds.core.DatasetInfo` of a builder's view.

    Args:
        builder: a `tfds.core.GeneratorBasedBuilder` with a `ViewConfig`.
        row_extras, gallery_extras: the dataset's own features of query rows and of gallery rows, or None.
        **fields: `homepage`, `license`, `metadata` and the like.
    """
    view = builder.builder_config.view
    extras = gallery_extras if view == "gallery" else row_extras
    return builder.dataset_info_from_configs(
        features=features(view, **(extras or {})),
        supervised_keys=supervised_keys(view),
        disable_shuffling=True,
        **fields,
    )


class ViewBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A dataset with a `ViewConfig`; the subclass says what the rows are, this class sees to their writing."""

    def download_and_prepare(self, **options):
        """As TFDS does it, by one process at a time; what a killed one has left is removed."""
        download_config = options.get("download_config")
        again = download_config is not None and download_config.download_mode.overwrite_dataset
        if self.data_path.exists() and not again:
            return super().download_and_prepare(**options)
        with preparing.alone(self.data_path.parent, self.version):
            if self.data_path.exists() and not again:  # somebody else's work, while this process waited
                self.info.read_from_directory(self.data_path)
            return super().download_and_prepare(**options)

    def _generate_examples(self, split, example, items):
        """(key, row) of each item, in order.

        Args:
            split: its name.
            example: function item -> row; runs in threads where rows have pictures.
            items: sequence.
        """
        # TFDS sorts large splits by key, one part of the range of keys in memory after the other. With 0, 1, 2, … for
        # keys, all rows would be in the first part.
        step = KEYS // len(items)
        made = (map if self.builder_config.view == "index" else preparing.in_order)(example, items)
        bar = tqdm(made, f"writing {split}", len(items), leave=False, unit=" rows", disable=None)
        yield from ((step * number, row) for number, row in enumerate(bar))


class Copy(NamedTuple):
    """What a user's copy has for one view.

    Attributes:
        root: the folder that `locate` counts from.
        splits: split -> list of rows without pictures, in order.
        locate: function image id -> candidate paths of its picture below `root`, as in `pictures.Local`.
        ids: the pictures to look at, where these are more than the rows need, so that all views have the same stamp.
    """

    root: Any
    splits: dict
    locate: Any
    ids: Any = ()


class CopyBuilder(ViewBuilder, skip_registration=True):
    """A dataset made from a user's copy; the subclass reads the annotations, this class sees to the pictures.

    Attributes:
        LIFT_LIMIT, ON_WHITE: as in `pictures.Local`.
    """

    LIFT_LIMIT = ON_WHITE = False

    def _read(self, manual_dir):
        """The `Copy` in a folder for the view of the config; may add to `self.info.metadata`."""
        raise NotImplementedError

    def _needs(self, split, row):
        """Ids of the pictures a row cannot do without."""
        del split
        return needs(row)

    def _keep(self, split, rows, local):
        """The rows of a split whose pictures can be used."""
        return [row for row in rows if all(map(local.keeps, self._needs(split, row)))]

    def _split_generators(self, dl_manager):
        config, metadata = self.builder_config, self.info.metadata
        root, splits, locate, more = self._read(Path(dl_manager.manual_dir))
        kept, local = splits, None
        if config.view != "index" or config.on_missing == "skip":
            ids = [name for split, rows in splits.items() for row in rows for name in self._needs(split, row)]
            local = pictures.Local(root, locate, [*more, *ids], config.on_missing, self.LIFT_LIMIT, self.ON_WHITE)
            metadata.update(local.metadata())
            kept = {split: self._keep(split, rows, local) for split, rows in splits.items()}
        # TFDS refuses a split without rows.
        left_out = metadata.get("left_out", {}) | {split: "no row is left" for split, rows in kept.items() if not rows}
        if not any(kept.values()):
            raise ValueError(
                f"{root} makes no row of {config.name}: there is none, or all need pictures that are missing or broken"
            )
        for split, reason in left_out.items():
            logging.warning("%s: the split %s is left out: %s", self.name, split, reason)
        dropped = {split: len(rows) - len(kept[split]) for split, rows in splits.items()}
        metadata.update(left_out=left_out, dropped=dropped)
        example = functools.partial(self._example, local)
        return {split: self._generate_examples(split, example, rows) for split, rows in kept.items() if rows}

    def _example(self, local, row):
        view = self.builder_config.view
        if view == "gallery":
            name = row["image_id"]
            relpath = row["relpath"] or local.relpath(name)
            return row | {"image": io.BytesIO(local.bytes(name)), "relpath": relpath}
        if view == "index":
            return row
        reference, target = row["reference_id"], row["target_id"]
        target_image = io.BytesIO(local.bytes(target)) if target else HIDDEN_HWC
        images = {"reference_image": io.BytesIO(local.bytes(reference)), "target_image": target_image}
        return row | images
