"""Shoes: a picture of a woman's shoe and what a shopper would have otherwise."""

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.shoes import annotations


class Builder(schema.CopyBuilder):
    """Builder of `shoes`, from the user's copy."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Give a folder that holds the annotations from {annotations.SOURCE}: `{annotations.CAPTIONS}`,
    `{"`, `".join(annotations.NAME_LISTS.values())}`; and the `womens_*` folders of the Attribute Discovery pictures.
    """
    BUILDER_CONFIGS = schema.view_configs(guo2018={"description": "The relative captions of Guo et al., 2018."})

    def _info(self):
        return schema.info(
            self,
            homepage="https://github.com/XiaoxiaoGuo/fashion-retrieval",
            license="Captions and name lists: MIT. Pictures: none stated.",
            metadata=tfds.core.MetadataDict({"protocol": "test: all of the eval list; test_val*: VAL's parts of it"}),
        )

    def _read(self, manual_dir):
        metadata = self.info.metadata
        folder = annotations.find(manual_dir)
        names, queries = annotations.read(folder)
        galleries = annotations.val_galleries(folder, names["test"], queries["test"])
        metadata["test_val"] = "from VAL's list" if galleries else "VAL's list was not found: left out"
        if self.builder_config.view == "gallery":
            splits = {split: gallery(of_split) for split, of_split in (names | galleries).items()}
        else:
            metadata["self_pairs"] = {split: self_pairs(of_split) for split, of_split in queries.items()}
            splits = {split: rows(split, of_split) for split, of_split in queries.items()}
            if galleries:
                listed = set(galleries["test_val_list"])
                splits["test_val_list"] = [row for row in splits["test"] if row["target_id"] in listed]
        return schema.Copy(manual_dir, splits, annotations.locator(manual_dir))


def self_pairs(queries):
    """How many queries have their reference as target too, and so no answer where the reference is left out."""
    return sum(query.reference_id == query.target_id for query in queries)


def rows(split, queries):
    """The query rows of a split.

    Args:
        split: name of the split.
        queries: list of `annotations.Query`, in file order.
    """
    return [
        schema.query_row(
            f"{split}-{row}",
            reference_id,
            caption.strip(),
            target_id,
            captions=[caption],
            category=annotations.category(target_id),
        )
        for row, (reference_id, target_id, caption) in enumerate(queries)
    ]


def gallery(names):
    """The gallery rows of image ids."""
    return [schema.gallery_row(image_id, category=annotations.category(image_id)) for image_id in names]
