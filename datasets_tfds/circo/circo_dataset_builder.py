"""CIRCO: a COCO photo, a sentence, and all photos that answer it."""

import functools
import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from datasets_tfds import pictures, schema
from datasets_tfds.circo import annotations

HIDDEN = np.zeros((1, 1, 3), np.uint8)  # in the place of a target that only the server knows


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `circo`, from the user's own copy of the annotations and of COCO 2017's unlabeled pictures."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give a folder that holds annotations/ of https://github.com/miccunifi/CIRCO and COCO2017_unlabeled/, into which
    unlabeled2017.zip and image_info_unlabeled2017.zip of https://cocodataset.org/#download are unpacked.
    """
    BUILDER_CONFIGS = schema.view_configs(
        coco2017_unlabeled={"description": "The 123,403 unlabeled pictures of COCO 2017 as gallery."}
    )

    def _info(self):
        view, text = self.builder_config.view, tfds.features.Text()
        extras = {"shared_concept": text, "semantic_aspects": tfds.features.Sequence(text)}
        return self.dataset_info_from_configs(
            features=schema.features(view, **(extras if view != "gallery" else {})),
            supervised_keys=schema.supervised_keys(view),
            homepage="https://github.com/miccunifi/CIRCO",
            redistribution_info={
                "license": "Annotations: CC BY-NC 4.0, non-commercial. Pictures: each under its own Flickr licence."
            },
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(protocol="circo"),
        )

    def _split_generators(self, dl_manager):
        config, root = self.builder_config, Path(dl_manager.manual_dir)
        files, rows = annotations.load(root, with_rows=config.view != "gallery")
        if config.view == "gallery":
            examples = {"test": [([name], schema.gallery_row(name, None, relpath=files[name])) for name in files]}
        else:
            examples = {split: [(annotations.needs(row), row) for row in part] for split, part in rows.items()}
        local = None
        if config.view != "index" or config.on_missing == "skip":
            ids = [name for part in examples.values() for needs, _ in part for name in needs]
            local = pictures.Local(root, functools.partial(_locate, files), ids, config.on_missing)
            self.info.metadata.update(local.metadata())
        kept = {split: _kept(part, local) for split, part in examples.items()}
        left_out = {split: "no row is left" for split, part in kept.items() if not part}
        if not any(kept.values()):
            raise ValueError(f"{root}: no row is left, every one needs a picture that is missing or damaged.")
        for split, reason in left_out.items():
            logging.warning("circo: the split %s is left out: %s", split, reason)
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


def _kept(examples, local):
    return [example for needs, example in examples if local is None or all(map(local.keeps, needs))]


def _locate(files, image_id):
    return [f"{annotations.PICTURE_FOLDER}/{files[image_id]}"]
