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


class Builder(tfds.core.GeneratorBasedBuilder):
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
        extras = {} if config.view == "gallery" else {"modification_id": tfds.features.Text()}
        metadata = {"source": "original archive"}
        if config.is_generated:
            metadata = {"source": "generated, not the paper's data", "seed": config.seed}
        return self.dataset_info_from_configs(
            features=schema.features(config.view, **extras),
            supervised_keys=schema.supervised_keys(config.view),
            homepage="https://github.com/google/tirg",
            license="Generated data: Apache-2.0. Original archive: no licence of its own; TIRG's code is Apache-2.0.",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _split_generators(self, dl_manager):
        splits, picture_3d = self._source(dl_manager)
        picture_2d = functools.partial(_drawing, splits)
        config = self.builder_config
        if config.view == "index":
            examples = {split: _rows(split, data) for split, data in splits.items()}
        elif config.view == "gallery":
            examples = {split: _gallery(split, data, picture_3d) for split, data in splits.items()}
            if config.reference_2d:
                examples |= {f"{split}_2d": _gallery(split, data, picture_2d) for split, data in splits.items()}
        else:
            picture_3d = functools.lru_cache(CACHED_PICTURES)(picture_3d)
            reference = picture_2d if config.reference_2d else picture_3d
            examples = {split: _triplets(split, data, reference, picture_3d) for split, data in splits.items()}
        return {name: self._generate_examples(rows) for name, rows in examples.items()}

    def _generate_examples(self, rows):
        yield from rows

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


def _gallery(split, data, picture):
    for i, label in enumerate(data.labels_N):
        image_id = _image_id(split, i)
        yield image_id, schema.gallery_row(image_id, io.BytesIO(picture(split, i)), target_class=label)


def _rows(split, data):
    queries = zip(data.reference_Q, data.target_Q, data.texts_Q, data.modification_Q, strict=True)
    for row, (reference, target, text, modification) in enumerate(queries):
        query_id = f"{split}-{row}"
        yield (
            query_id,
            schema.query_row(
                query_id,
                _image_id(split, reference),
                text,
                _image_id(split, target),
                target_ids=[],  # hits are by class
                target_class=data.labels_N[target],
                category=scenes.edit_kind(text),
                modification_id=str(modification),
            ),
        )


def _triplets(split, data, reference_picture, picture_3d):
    ends = zip(data.reference_Q, data.target_Q, strict=True)
    for (query_id, row), (reference, target) in zip(_rows(split, data), ends, strict=True):
        pictures = {
            "reference_image": io.BytesIO(reference_picture(split, reference)),
            "target_image": io.BytesIO(picture_3d(split, target)),
        }
        yield query_id, row | pictures
