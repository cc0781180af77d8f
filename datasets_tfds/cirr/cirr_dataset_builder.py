"""CIRR: a photo, a sentence, and the photo it leads to among five that look alike."""

import functools
import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from datasets_tfds import pictures, schema
from datasets_tfds.cirr import annotations

HIDDEN = np.zeros((1, 1, 3), np.uint8)  # in the place of a target that only the server knows


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `cirr`, from the user's own copy of the annotations and of NLVR2's pictures."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: annotations rc2."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Annotations: the folders captions, captions_ext and image_splits of https://github.com/Cuberick-Orion/CIRR (branch
    cirr_dataset), in the folder itself or in its folder cirr. Pictures: NLVR2's, on request at
    https://lil.nlp.cornell.edu/nlvr/, as train/<0..99>/*.png, dev/*.png, test1/*.png in the folder itself, in img_raw,
    in cirr/img_raw or in cirr.
    """
    BUILDER_CONFIGS = schema.view_configs(rc2={"description": "Version rc2 of the annotations."})

    def _info(self):
        view = self.builder_config.view
        text = tfds.features.Text()
        extras = {
            "soft_target_ids": tfds.features.Sequence(text),
            "soft_target_weights": tfds.features.Sequence(np.float32),
            "caption_extend": tfds.features.Sequence(text),
            "group_id": np.int64,
        }
        return self.dataset_info_from_configs(
            features=schema.features(view, **(extras if view != "gallery" else {})),
            supervised_keys=schema.supervised_keys(view),
            homepage="https://github.com/Cuberick-Orion/CIRR",
            license="Annotations: MIT. Pictures: NLVR2's terms, on request from its authors; no redistribution.",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(annotations="rc2", protocol="cirr"),
        )

    def _split_generators(self, dl_manager):
        config, root = self.builder_config, Path(dl_manager.manual_dir)
        splits, left_out = annotations.load(root, with_rows=config.view != "gallery")
        examples = {split: _examples(config.view, split, part) for split, part in splits.items()}
        local = None
        if config.view != "index" or config.on_missing == "skip":
            relpaths = {name: path for part in splits.values() for name, path in part.relpaths.items()}
            ids = [name for part in examples.values() for needs, _ in part for name in needs]
            locate = functools.partial(_locate, relpaths)
            local = pictures.Local(root, locate, ids, config.on_missing, lift_limit=True)
            self.info.metadata.update(local.metadata())
        kept = {split: _kept(part, local) for split, part in examples.items()}
        left_out |= {split: "no row or picture is left" for split, part in kept.items() if not part}
        if not any(kept.values()):
            raise ValueError(f"{root}: no row is left, every one needs a picture that is missing or damaged.")
        for split, reason in left_out.items():
            logging.warning("cirr: the split %s is left out: %s", split, reason)
        dropped = {split: len(part) - len(kept[split]) for split, part in examples.items()}
        self.info.metadata.update(left_out=left_out, dropped=dropped)
        return {split: self._generate_examples(part, local) for split, part in kept.items() if part}

    def _generate_examples(self, examples, local):
        view = self.builder_config.view
        for example in examples:
            key, shown = example["query_id" if view != "gallery" else "image_id"], {}
            if view == "gallery":
                shown = {"image": io.BytesIO(local.bytes(key))}
            elif view == "triplets":
                target = example["target_id"]
                shown = {
                    "reference_image": io.BytesIO(local.bytes(example["reference_id"])),
                    "target_image": io.BytesIO(local.bytes(target)) if target else HIDDEN,
                }
            yield key, example | shown


def _examples(view, split, part):
    """Pairs of the pictures an example needs, and the example without its pictures."""
    if view == "gallery":
        return [([name], schema.gallery_row(name, None, relpath=path)) for name, path in part.relpaths.items()]
    return [(annotations.needs(split, row), row) for row in part.rows]


def _kept(examples, local):
    return [example for needs, example in examples if local is None or all(map(local.keeps, needs))]


def _locate(relpaths, name):
    return annotations.candidates(relpaths[name])
