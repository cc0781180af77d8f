"""`emoji_edits`: change one attribute of a person emoji."""

import functools
import io

import tensorflow_datasets as tfds
from PIL import Image

from datasets_tfds import schema
from datasets_tfds.emoji_edits import edits
from datasets_tfds.emoji_edits.people import TWIN, people, pictures

LOOKS = ("gender", "skin", "hair")
# Split -> (side of the hold-out, kinds of edit, queries of each kind, sentences).
SPLITS = {
    "train": ("train", edits.KINDS, 4000, edits.TEMPLATES),
    "validation": ("validation", LOOKS, 300, edits.TEMPLATES),
    "validation_roles": ("validation", ("role",), 300, edits.TEMPLATES),
    "test": ("test", LOOKS, 500, edits.TEMPLATES),
    "test_roles": ("test", ("role",), 500, edits.TEMPLATES),
    "test_paraphrase": ("test", LOOKS, 500, edits.PARAPHRASES),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Person emoji, an edit in words, and the emoji with exactly that attribute changed."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = schema.view_configs(people={"description": "One attribute of one person changes."})

    def _info(self):
        view = self.builder_config.view
        return self.dataset_info_from_configs(
            features=schema.features(view),
            supervised_keys=schema.supervised_keys(view),
            homepage="https://github.com/jdecked/twemoji",
            license="Pictures: Twemoji, CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # Both packages with pictures and names are installed with the library.
        if self.builder_config.view == "gallery":
            names = [person.image_id for person in people()]
            others = sorted(pictures().keys() - {*names, TWIN})
            return {"people": self._gallery(names), "all_emoji": self._gallery(names + others)}
        return {split: self._generate_examples(split, *plan) for split, plan in SPLITS.items()}

    def _gallery(self, names):
        roles = {person.image_id: person.role or person.gender for person in people()}
        for name in names:
            path = pictures()[name]
            picture = io.BytesIO(on_white(path))
            yield name, schema.gallery_row(name, picture, relpath=path.name, category=roles.get(name, ""))

    def _generate_examples(self, split, side, kinds, per_kind, templates):
        for row, (kind, text, reference, target) in enumerate(edits.queries(side, kinds, per_kind, templates)):
            query_id = f"{split}-{row}"
            query = schema.query_row(query_id, reference.image_id, text, target.image_id, category=kind)
            if self.builder_config.view == "triplets":
                for role, person in (("reference", reference), ("target", target)):
                    query[f"{role}_image"] = io.BytesIO(on_white(pictures()[person.image_id]))
            yield query_id, query


@functools.cache
def on_white(path):
    """PNG bytes, RGB, of a picture composed on white: its transparent parts have no colour of their own."""
    with Image.open(path) as picture:
        rgba = picture.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    encoded = io.BytesIO()
    canvas.convert("RGB").save(encoded, "PNG")
    return encoded.getvalue()
