"""Your own pictures: alone, with attributes, or with a table of queries."""

import io

import tensorflow_datasets as tfds

from datasets_tfds import pictures, schema
from datasets_tfds.own_images import annotations


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `own_images`, from any folder."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give a folder of pictures. For queries put triplets.csv or triplets.jsonl into it (reference, text, target), for
    attributes images.csv or images.jsonl (image and one column for each attribute): see
    datasets_tfds/own_images/README.md.
    """
    BUILDER_CONFIGS = schema.view_configs(own={"description": "A folder of one's own."})

    def _info(self):
        view = self.builder_config.view
        return self.dataset_info_from_configs(
            features=schema.features(view),
            supervised_keys=schema.supervised_keys(view),
            license="Whatever holds for the pictures and the texts in the folder.",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        config, metadata = self.builder_config, self.info.metadata
        folder, skip = annotations.find(dl_manager.manual_dir), config.on_missing == "skip"
        metadata["files_not_used"] = folder.others
        if config.view == "gallery":
            classes, metadata["rows_left_out"] = annotations.read_classes(folder, skip)
            local = pictures.Local(folder.root, folder.locate, list(folder.paths), config.on_missing)
            metadata.update(local.metadata())
            return {annotations.GALLERY: self._generate_examples(gallery(folder, classes, local))}
        triplets, metadata["rows_left_out"] = annotations.read_triplets(folder, skip)
        metadata["straddling_references"] = annotations.straddling(triplets)
        local = None
        if skip or config.view == "triplets":
            ids = [image_id for triplet in triplets for image_id in triplet.needs]
            local = pictures.Local(folder.root, folder.locate, ids, config.on_missing)
            metadata.update(local.metadata())
        everything, kept = annotations.by_split(triplets), annotations.by_split(triplets, local)
        metadata["dropped"] = {split: len(part) - len(kept.get(split, ())) for split, part in everything.items()}
        if not kept:
            raise ValueError(f"{folder.root}: no query is left, every one needs a picture that is missing or broken")
        shown = local if config.view == "triplets" else None
        return {split: self._generate_examples(rows(part, shown)) for split, part in kept.items()}

    def _generate_examples(self, examples):
        yield from examples


def rows(triplets, local=None):
    """The query rows.

    Args:
        triplets: list of `annotations.Triplet`.
        local: `pictures.Local` to add both pictures, or None.
    """
    for triplet in triplets:
        row = schema.query_row(
            triplet.query_id,
            triplet.reference_id,
            triplet.caption.strip(),
            triplet.target_ids[0],
            captions=[triplet.caption],
            target_ids=list(triplet.target_ids),
            category=triplet.category,
        )
        if local:
            row["reference_image"] = io.BytesIO(local.bytes(triplet.reference_id))
            row["target_image"] = io.BytesIO(local.bytes(triplet.target_ids[0]))
        yield triplet.query_id, row


def gallery(folder, classes, local):
    """The gallery rows, less pictures that `local` does not keep.

    Args:
        folder: `annotations.Folder`.
        classes: image id -> (class, category), for some of the pictures.
        local: `pictures.Local`.
    """
    for image_id, path in folder.paths.items():
        if local.keeps(image_id):
            target_class, category = classes.get(image_id, ("", ""))
            picture = io.BytesIO(local.bytes(image_id))
            row = schema.gallery_row(image_id, picture, relpath=path, target_class=target_class, category=category)
            yield image_id, row
