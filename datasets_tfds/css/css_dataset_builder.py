"""CSS (colour, shape, size): scenes of simple objects, and sentences that change one of them."""

import dataclasses
import functools
import io
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.css import original, render, scenes

CACHED_PICTURES = 10_000  # bounds the memory of the triplet view, which shows each picture several times


@dataclasses.dataclass
class CssConfig(schema.ViewConfig):
    """One view of one kind of CSS; the numbers are those of each split, and count for generated data only."""

    is_generated: bool = True
    reference_2d: bool = False
    seed: int = 0
    pictures: int = 10_000
    queries: int = 16_000


class Builder(schema.ViewBuilder):
    """Builder of `css`: generated from a seed, or read from the original archive."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Only `css3d` and `css2d` need this; the `*_generated` configs need nothing.
    The archive is linked from https://github.com/google/tirg. Unpack it, convert its pickled dictionary once:
    `python -m datasets_tfds.css.convert_original --allow_pickle {original.NPY_NAME}`
    and give the folder that then holds `{original.JSON_NAME}` and `images/` as `manual_dir`.
    """
    BUILDER_CONFIGS = schema.view_configs(
        CssConfig,
        css3d_generated={"description": "Made from a seed; 3-D picture to 3-D picture."},
        css2d_generated={"description": "Made from a seed; drawing to 3-D picture.", "reference_2d": True},
        css3d={"description": "The original archive; 3-D picture to 3-D picture.", "is_generated": False},
        css2d={
            "description": "The original archive; drawing to 3-D picture.",
            "is_generated": False,
            "reference_2d": True,
        },
        css3d_tiny={
            "description": "Made from a seed; 3-D picture to 3-D picture, a few of them, to try things out.",
            "pictures": 160,
            "queries": 240,
        },
    )

    def _info(self):
        config = self.builder_config
        metadata = {"source": "original archive"}
        if config.is_generated:
            metadata = {"source": "generated, not the paper's data", "seed": config.seed}
        return schema.info(
            self,
            {"modification_id": tfds.features.Text()},
            homepage="https://github.com/google/tirg",
            license="Generated data: Apache-2.0. Original archive: no licence of its own; TIRG's code is Apache-2.0.",
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _split_generators(self, dl_manager):
        splits, picture_3d = self._source(dl_manager)
        picture_2d = functools.partial(_drawing, splits)
        config = self.builder_config
        if config.view == "gallery":
            pictures = {"": picture_3d} | ({"_2d": picture_2d} if config.reference_2d else {})
            return {
                split + end: self._generate_examples(
                    split + end, functools.partial(_gallery, split, data, picture), range(len(data.labels_N))
                )
                for end, picture in pictures.items()
                for split, data in splits.items()
            }
        picture_3d = functools.lru_cache(CACHED_PICTURES)(picture_3d)
        roles = {}
        if config.view == "triplets":
            roles = {"reference": picture_2d if config.reference_2d else picture_3d, "target": picture_3d}
        return {
            split: self._generate_examples(
                split, functools.partial(_query, split, data, roles), range(len(data.reference_Q))
            )
            for split, data in splits.items()
        }

    def _source(self, dl_manager):
        """Both sides, and the function (split, i) -> PNG bytes of a 3-D picture."""
        config = self.builder_config
        if config.is_generated:
            sizes = config.seed, config.pictures, config.queries
            splits = {split: scenes.make_split(split, *sizes) for split in scenes.GENERATED_SPLITS}
            return splits, functools.partial(_generated_picture, splits, config.seed)
        folder = Path(dl_manager.manual_dir)
        splits = original.load(folder)
        if config.view != "index":
            ids = [_image_id(split, i) for split, data in splits.items() for i in range(len(data.labels_N))]
            original.check_pictures(original.picture_path(folder, image_id) for image_id in ids)
        return splits, functools.partial(_original_picture, folder)


def _image_id(split, i):
    return f"css_{split}_{i:06d}"


def _generated_picture(splits, seed, split, i):
    rng = np.random.default_rng([seed, scenes.GENERATED_SPLITS.index(split), i])
    return original.encode_png(render.draw_3d(splits[split].objects_N[i], rng))


def _original_picture(folder, split, i):
    return original.read_png(original.picture_path(folder, _image_id(split, i)))


def _drawing(splits, split, i):
    return original.encode_png(render.draw_2d(splits[split].objects_N[i]))


def _gallery(split, data, picture, i):
    image_id = _image_id(split, i)
    return schema.gallery_row(image_id, io.BytesIO(picture(split, i)), target_class=data.labels_N[i])


def _query(split, data, roles, row):
    """The row of a query.

    Args:
        roles: "reference" and "target" -> function (split, i) -> PNG bytes, for the view that has them.
    """
    text, ends = data.texts_Q[row], {"reference": data.reference_Q[row], "target": data.target_Q[row]}
    return schema.query_row(
        f"{split}-{row}",
        _image_id(split, ends["reference"]),
        text,
        _image_id(split, ends["target"]),
        target_ids=[],  # hits are by class
        target_class=data.labels_N[ends["target"]],
        category=scenes.edit_kind(text),
        modification_id=str(data.modification_Q[row]),
        **{f"{role}_image": io.BytesIO(picture(split, ends[role])) for role, picture in roles.items()},
    )
