"""FashionIQ: a picture of a garment, and two people's words for how another one differs."""

import functools
import io

import numpy as np
import tensorflow_datasets as tfds

from datasets_tfds import pictures, schema
from datasets_tfds.fashion_iq import annotations

TEXT_LICENSE = "Community Data License Agreement (CDLA, no variant named)"
PICTURE_LICENSE = "Amazon's, not for redistribution"
HIDDEN_HWC = np.zeros((1, 1, 3), np.uint8)  # stands in for the picture of a hidden target


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `fashion_iq`, from the user's copy."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Give a folder that holds `captions/` and `image_splits/` from {annotations.SOURCE}, and the pictures as
    `images/<id>.jpg`, `<kind>/<id>.png` or in any other of the layouts that datasets_tfds/fashion_iq/README.md lists.
    """
    BUILDER_CONFIGS = schema.view_configs(
        dress={"description": "Dresses."},
        shirt={"description": "Shirts."},
        toptee={"description": "Tops and tees."},
        all={"description": "All three kinds; an image id is <kind>/<id>."},
    )

    def _info(self):
        view = self.builder_config.view
        return self.dataset_info_from_configs(
            features=schema.features(view),
            supervised_keys=schema.supervised_keys(view),
            homepage=annotations.SOURCE,
            license=f"Captions and splits: {TEXT_LICENSE}. Pictures: {PICTURE_LICENSE}.",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                {
                    "protocol": "validation: the original gallery; validation_union: VAL's, the references and targets",
                    "annotations_license": TEXT_LICENSE,
                    "pictures_license": PICTURE_LICENSE,
                }
            ),
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        splits = annotations.load(dl_manager.manual_dir, config.subset)
        metadata = {"annotations": annotations.version(config.subset, splits)}
        local = None
        if config.on_missing == "skip" or config.view != "index":
            ids = [image_id for split in splits.values() for image_id in split.gallery]
            locate = functools.partial(annotations.candidates, config.subset)
            local = pictures.Local(dl_manager.manual_dir, locate, ids, config.on_missing)
            metadata |= local.metadata()
        kept = {split: keep(entries, local) for split, entries in _entries(config.view, splits).items()}
        metadata["dropped"] = {split: dropped for split, (_, dropped) in kept.items()}
        self.info.metadata.update(metadata)
        if not any(entries for entries, _ in kept.values()):
            raise ValueError(f"the pictures in {dl_manager.manual_dir} make no row of {config.name}")
        make = {"gallery": functools.partial(gallery, config.subset), "index": rows, "triplets": triplets}[config.view]
        # TFDS refuses a split without rows, which a part of the pictures may leave.
        return {split: self._generate_examples(make(entries, local)) for split, (entries, _) in kept.items() if entries}

    def _generate_examples(self, examples):
        yield from examples


def keep(entries, local):
    """The entries whose pictures can all be used, in order, and how many others there are.

    Args:
        entries: list of image ids, or of `annotations.Query`.
        local: `pictures.Local`, or None to keep all.
    """
    if local is None:
        return entries, 0
    kept = [entry for entry in entries if all(map(local.keeps, _image_ids(entry)))]
    return kept, len(entries) - len(kept)


def rows(queries, local=None):
    """The query rows without pictures.

    Args:
        queries: list of `annotations.Query`.
        local: not used.
    """
    del local
    for query in queries:
        row = schema.query_row(
            query.query_id,
            query.reference_id,
            annotations.join(query.captions),
            query.target_id,
            captions=query.captions,
            category=query.kind,
        )
        yield query.query_id, row


def triplets(queries, local):
    """The query rows with their pictures.

    Args:
        queries: list of `annotations.Query`.
        local: `pictures.Local`.
    """
    for query_id, row in rows(queries):
        reference_image = io.BytesIO(local.bytes(row["reference_id"]))
        target_image = io.BytesIO(local.bytes(row["target_id"])) if row["has_target"] else HIDDEN_HWC
        yield query_id, row | {"reference_image": reference_image, "target_image": target_image}


def gallery(subset, image_ids, local):
    """The gallery rows.

    Args:
        subset: one of `annotations.SUBSETS`.
        image_ids: list of strings.
        local: `pictures.Local`.
    """
    for image_id in image_ids:
        picture, relpath = io.BytesIO(local.bytes(image_id)), local.relpath(image_id)
        category = annotations.kind(subset, image_id)
        yield image_id, schema.gallery_row(image_id, picture, relpath=relpath, category=category)


def _entries(view, splits):
    if view != "gallery":
        return {split: data.queries for split, data in splits.items()}
    galleries = {split: data.gallery for split, data in splits.items()}
    return galleries | {"validation_union": splits["validation"].union()}


def _image_ids(entry):
    return (entry,) if isinstance(entry, str) else filter(None, (entry.reference_id, entry.target_id))
