"""Shoes: a picture of a woman's shoe and what a shopper would have otherwise."""

import io

import tensorflow_datasets as tfds

from datasets_tfds import pictures, schema
from datasets_tfds.shoes import annotations


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of `shoes`, from the user's copy."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Give a folder that holds the annotations from {annotations.SOURCE}: `{annotations.CAPTIONS}`,
    `{"`, `".join(annotations.NAME_LISTS.values())}`; and the `womens_*` folders of the Attribute Discovery pictures.
    """
    BUILDER_CONFIGS = schema.view_configs(guo2018={"description": "The relative captions of Guo et al., 2018."})

    def _info(self):
        view = self.builder_config.view
        return self.dataset_info_from_configs(
            features=schema.features(view),
            supervised_keys=schema.supervised_keys(view),
            homepage="https://github.com/XiaoxiaoGuo/fashion-retrieval",
            license="Captions and name lists: MIT. Pictures: none stated.",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict({"protocol": "test: all of the eval list; test_val: VAL's part of it"}),
        )

    def _split_generators(self, dl_manager):
        config, metadata = self.builder_config, self.info.metadata
        folder = annotations.find(dl_manager.manual_dir)
        names, queries = annotations.read(folder)
        if config.view == "gallery":
            val = annotations.val_gallery(folder, names["test"], queries["test"])
            metadata["test_val"] = "VAL's list was not found: left out" if val is None else "from VAL's list"
            galleries = names if val is None else names | {"test_val": val}
            ids = [*names["train"], *names["test"]]
        else:
            metadata["self_pairs"] = {split: self_pairs(of_split) for split, of_split in queries.items()}
            ids = dict.fromkeys(end for of_split in queries.values() for query in of_split for end in query[:2])
        local = None
        if config.on_missing == "skip" or config.view != "index":
            manual_dir = dl_manager.manual_dir
            local = pictures.Local(manual_dir, annotations.locator(manual_dir), list(ids), config.on_missing)
            metadata.update(local.metadata())
        if config.view == "gallery":
            return {split: self._generate_examples(gallery(of_split, local)) for split, of_split in galleries.items()}
        with_pictures = config.view == "triplets"
        return {
            split: self._generate_examples(rows(split, of_split, local, with_pictures))
            for split, of_split in queries.items()
        }

    def _generate_examples(self, examples):
        yield from examples


def self_pairs(queries):
    """How many queries have their reference as target too, and so no answer where the reference is left out."""
    return sum(query.reference_id == query.target_id for query in queries)


def rows(split, queries, local=None, with_pictures=False):
    """The query rows of a split, less those that need a picture which `local` does not keep.

    Args:
        split: name of the split.
        queries: list of `annotations.Query`, in file order.
        local: `pictures.Local`, or None to keep all.
        with_pictures: add both pictures.
    """
    for row, (reference_id, target_id, caption) in enumerate(queries):
        if local and not (local.keeps(reference_id) and local.keeps(target_id)):
            continue
        query_id = f"{split}-{row}"
        query = schema.query_row(
            query_id,
            reference_id,
            caption.strip(),
            target_id,
            captions=[caption],
            category=annotations.category(target_id),
        )
        if with_pictures:
            query["reference_image"] = io.BytesIO(local.bytes(reference_id))
            query["target_image"] = io.BytesIO(local.bytes(target_id))
        yield query_id, query


def gallery(names, local):
    """The gallery rows of a split, less pictures that `local` does not keep.

    Args:
        names: image ids, in file order.
        local: `pictures.Local`.
    """
    for image_id in names:
        if local.keeps(image_id):
            picture = io.BytesIO(local.bytes(image_id))
            category, relpath = annotations.category(image_id), local.relpath(image_id)
            yield image_id, schema.gallery_row(image_id, picture, relpath=relpath, category=category)
