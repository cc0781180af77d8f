"""CIRR: a photo, a sentence, and the photo it leads to among five that look alike."""

import numpy as np
import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.cirr import annotations


class Builder(schema.CopyBuilder):
    """Builder of `cirr`, from the user's own copy of the annotations and of NLVR2's pictures."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: annotations rc2."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Annotations: the folders captions, captions_ext and image_splits of https://github.com/Cuberick-Orion/CIRR (branch
    cirr_dataset), in the folder itself or in its folder cirr. Pictures: NLVR2's, on request at
    https://lil.nlp.cornell.edu/nlvr/, as train/<0..99>/*.png, dev/*.png, test1/*.png in the folder itself, in img_raw,
    in cirr/img_raw or in cirr.
    """
    LIFT_LIMIT = True
    BUILDER_CONFIGS = schema.view_configs(rc2={"description": "Version rc2 of the annotations."})

    def _info(self):
        text = tfds.features.Text()
        extras = {
            "soft_target_ids": tfds.features.Sequence(text),
            "soft_target_weights": tfds.features.Sequence(np.float32),
            "caption_extend": tfds.features.Sequence(text),
            "group_id": np.int64,
        }
        return schema.info(
            self,
            extras,
            homepage="https://github.com/Cuberick-Orion/CIRR",
            license="Annotations: MIT. Pictures: NLVR2's terms, on request from its authors; no redistribution.",
            metadata=tfds.core.MetadataDict(annotations="rc2", protocol="cirr"),
        )

    def _read(self, manual_dir):
        is_gallery = self.builder_config.view == "gallery"
        parts, self.info.metadata["left_out"] = annotations.load(manual_dir, with_rows=not is_gallery)
        relpaths = {name: path for part in parts.values() for name, path in part.relpaths.items()}
        splits = {split: _gallery(part) if is_gallery else part.rows for split, part in parts.items()}
        return schema.Copy(manual_dir, splits, lambda name: annotations.candidates(relpaths[name]))

    def _needs(self, split, row):
        return super()._needs(split, row) if self.builder_config.view == "gallery" else annotations.needs(split, row)


def _gallery(part):
    return [schema.gallery_row(name, relpath=path) for name, path in part.relpaths.items()]
