"""Fashion200k: women's clothes whose descriptions differ by one word, as TIRG made queries of them."""

import io

import numpy as np
import tensorflow_datasets as tfds

from datasets_tfds import pictures, schema
from datasets_tfds.fashion200k import captions, labels


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `fashion200k`, from the user's copy."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Give a folder that holds `labels/` (ten files), `women/` (the pictures) and `{labels.QUERIES}` (TIRG's queries).
    The first two are linked from https://github.com/xthan/fashion-200k, the queries from
    https://github.com/google/tirg.
    """
    BUILDER_CONFIGS = schema.view_configs(tirg={"description": "TIRG's captions and its test queries."})

    def _info(self):
        view = self.builder_config.view
        extras = {"reference_class": tfds.features.Text()} if view != "gallery" else {"detection_score": np.float32}
        return self.dataset_info_from_configs(
            features=schema.features(view, **extras),
            supervised_keys=schema.supervised_keys(view),
            homepage="https://github.com/xthan/fashion-200k",
            license="Repository: Apache-2.0. Pictures and descriptions: their owners' (crawled from a shop, 2016).",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict({"protocol": "TIRG: hits by target_class, the reference left out"}),
        )

    def _split_generators(self, dl_manager):
        config, metadata = self.builder_config, self.info.metadata
        folder, skip = labels.find(dl_manager.manual_dir), config.on_missing == "skip"
        chosen = labels.SPLITS if config.view == "gallery" else ("test",)
        by_split = {}
        for split in chosen:
            by_split[split], metadata[f"repeated_labels_{split}"] = labels.read(folder, split, skip)
        if config.view == "gallery":
            ids = dict.fromkeys(image_id for labelled in by_split.values() for image_id in labelled)
        else:
            queries, metadata["unlabelled_queries"] = labels.read_queries(folder, by_split["test"], skip)
            ids = dict.fromkeys(end.image_id for _, *ends in queries for end in ends)
        local = None
        if skip or config.view != "index":
            local = pictures.Local(folder, labels.locations, list(ids), config.on_missing)
            metadata.update(local.metadata())
        if config.view == "gallery":
            return {split: self._generate_examples(gallery(labelled, local)) for split, labelled in by_split.items()}
        return {"test": self._generate_examples(rows(queries, local, config.view == "triplets"))}

    def _generate_examples(self, examples):
        yield from examples


def rows(queries, local=None, with_pictures=False):
    """The query rows, less those that need a picture which `local` does not keep.

    Args:
        queries: what `labels.read_queries` returns.
        local: `pictures.Local`, or None to keep all.
        with_pictures: add both pictures.
    """
    for row, reference, target in queries:
        if local and not (local.keeps(reference.image_id) and local.keeps(target.image_id)):
            continue
        query_id = f"test-{row}"
        query = schema.query_row(
            query_id,
            reference.image_id,
            captions.modification(reference.caption, target.caption),
            target.image_id,
            target_ids=[],  # hits are by class
            target_class=target.caption,
            category=target.kind,
            reference_class=reference.caption,
        )
        if with_pictures:
            query["reference_image"] = io.BytesIO(local.bytes(reference.image_id))
            query["target_image"] = io.BytesIO(local.bytes(target.image_id))
        yield query_id, query


def gallery(labelled, local):
    """The gallery rows of a split, less pictures that `local` does not keep.

    Args:
        labelled: dict image id -> `labels.Label`.
        local: `pictures.Local`.
    """
    for image_id, label in labelled.items():
        if local.keeps(image_id):
            picture = io.BytesIO(local.bytes(image_id))
            row = schema.gallery_row(
                image_id, picture, relpath=local.relpath(image_id), target_class=label.caption, category=label.kind
            )
            yield image_id, row | {"detection_score": label.detection_score}
