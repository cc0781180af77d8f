"""Your own pictures: alone, with attributes, or with a table of queries."""

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.own_images import annotations


class Builder(schema.CopyBuilder):
    """Builder of `own_images`, from any folder."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give a folder of pictures. For queries put triplets.csv or triplets.jsonl into it (reference, text, target), for
    attributes images.csv or images.jsonl (image and one column for each attribute): see
    datasets_tfds/own_images/README.md.
    """
    ON_WHITE = True  # cut-out products have a transparent background; the search does the same
    BUILDER_CONFIGS = schema.view_configs(own={"description": "A folder of one's own."})

    def _info(self):
        return schema.info(
            self,
            license="Whatever holds for the pictures and the texts in the folder.",
            metadata=tfds.core.MetadataDict(),
        )

    def _read(self, manual_dir):
        config, metadata = self.builder_config, self.info.metadata
        folder, skip = annotations.find(manual_dir), config.on_missing == "skip"
        metadata["files_not_used"] = folder.others
        if config.view == "gallery":
            classes, metadata["rows_left_out"] = annotations.read_classes(folder, skip)
            splits = {annotations.GALLERY: gallery(folder, classes)}
        else:
            triplets, metadata["rows_left_out"] = annotations.read_triplets(folder, skip)
            metadata["straddling_references"] = annotations.straddling(triplets)
            splits = {split: rows(part) for split, part in annotations.by_split(triplets).items()}
        return schema.Copy(folder.root, splits, folder.locate)


def rows(triplets):
    """The query rows of a list of `annotations.Triplet`."""
    return [
        schema.query_row(
            triplet.query_id,
            triplet.reference_id,
            triplet.caption.strip(),
            triplet.target_ids[0],
            captions=[triplet.caption],
            target_ids=list(triplet.target_ids),
            category=triplet.category,
        )
        for triplet in triplets
    ]


def gallery(folder, classes):
    """The gallery rows.

    Args:
        folder: `annotations.Folder`.
        classes: image id -> (class, category), for some of the pictures.
    """
    made = []
    for image_id in folder.paths:
        target_class, category = classes.get(image_id, ("", ""))
        made.append(schema.gallery_row(image_id, target_class=target_class, category=category))
    return made
