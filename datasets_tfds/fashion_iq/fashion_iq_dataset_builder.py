"""FashionIQ: a picture of a garment, and two people's words for how another one differs."""

import functools

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.fashion_iq import annotations

TEXT_LICENSE = "Community Data License Agreement (CDLA, no variant named)"
PICTURE_LICENSE = "Amazon's, not for redistribution"


class Builder(schema.CopyBuilder):
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
        return schema.info(
            self,
            homepage=annotations.SOURCE,
            license=f"Captions and splits: {TEXT_LICENSE}. Pictures: {PICTURE_LICENSE}.",
            metadata=tfds.core.MetadataDict(
                {
                    "protocol": "validation: the original gallery; validation_union: VAL's, the references and targets",
                    "annotations_license": TEXT_LICENSE,
                    "pictures_license": PICTURE_LICENSE,
                }
            ),
        )

    def _read(self, manual_dir):
        subset = self.builder_config.subset
        parts = annotations.load(manual_dir, subset)
        self.info.metadata["annotations"] = annotations.version(subset, parts)
        if self.builder_config.view == "gallery":
            galleries = {split: part.gallery for split, part in parts.items()}
            galleries["validation_union"] = parts["validation"].union()
            splits = {split: gallery(subset, image_ids) for split, image_ids in galleries.items()}
        else:
            splits = {split: rows(part.queries) for split, part in parts.items()}
        ids = [image_id for part in parts.values() for image_id in part.gallery]
        return schema.Copy(manual_dir, splits, functools.partial(annotations.candidates, subset), ids)


def rows(queries):
    """The query rows of a list of `annotations.Query`."""
    return [
        schema.query_row(
            query.query_id,
            query.reference_id,
            annotations.join(query.captions),
            query.target_id,
            captions=query.captions,
            category=query.kind,
        )
        for query in queries
    ]


def gallery(subset, image_ids):
    """The gallery rows of image ids of a subset."""
    return [schema.gallery_row(image_id, category=annotations.kind(subset, image_id)) for image_id in image_ids]
