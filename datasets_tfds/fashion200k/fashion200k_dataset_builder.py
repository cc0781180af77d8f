"""Fashion200k: women's clothes whose descriptions differ by one word, as TIRG made queries of them."""

import numpy as np
import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.fashion200k import captions, labels


class Builder(schema.CopyBuilder):
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
        return schema.info(
            self,
            {"reference_class": tfds.features.Text()},
            {"detection_score": np.float32},
            homepage="https://github.com/xthan/fashion-200k",
            license="Repository: Apache-2.0. Pictures and descriptions: their owners' (crawled from a shop, 2016).",
            metadata=tfds.core.MetadataDict({"protocol": "TIRG: hits by target_class, the reference left out"}),
        )

    def _read(self, manual_dir):
        config, metadata = self.builder_config, self.info.metadata
        folder, skip = labels.find(manual_dir), config.on_missing == "skip"
        by_split = {}
        for split in labels.SPLITS if config.view == "gallery" else ("test",):
            by_split[split], metadata[f"repeated_labels_{split}"] = labels.read(folder, split, skip)
        if config.view == "gallery":
            splits = {split: gallery(labelled) for split, labelled in by_split.items()}
        else:
            queries, metadata["unlabelled_queries"] = labels.read_queries(folder, by_split["test"], skip)
            splits = {"test": rows(queries)}
        return schema.Copy(folder, splits, labels.locations)


def rows(queries):
    """The query rows.

    Args:
        queries: what `labels.read_queries` returns.
    """
    return [
        schema.query_row(
            f"test-{row}",
            reference.image_id,
            captions.modification(reference.caption, target.caption),
            target.image_id,
            target_ids=[],  # hits are by class
            target_class=target.caption,
            category=target.kind,
            reference_class=reference.caption,
        )
        for row, reference, target in queries
    ]


def gallery(labelled):
    """The gallery rows of a split.

    Args:
        labelled: dict image id -> `labels.Label`.
    """
    return [
        schema.gallery_row(image_id, target_class=label.caption, category=label.kind)
        | {"detection_score": label.detection_score}
        for image_id, label in labelled.items()
    ]
