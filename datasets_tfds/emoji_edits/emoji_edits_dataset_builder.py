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


class Builder(schema.ViewBuilder):
    """Person emoji, an edit in words, and the emoji with exactly that attribute changed."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = schema.view_configs(people={"description": "One attribute of one person changes."})

    def _info(self):
        return schema.info(
            self,
            homepage="https://github.com/jdecked/twemoji",
            license="Pictures: Twemoji, CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # Both packages with pictures and names are installed with the library.
        if self.builder_config.view == "gallery":
            names = [person.image_id for person in people()]
            others = sorted(pictures().keys() - {*names, TWIN})
            galleries = {"people": names, "all_emoji": names + others}
            return {split: self._generate_examples(split, gallery_row, of) for split, of in galleries.items()}
        return {
            split: self._generate_examples(
                split, functools.partial(self._query, split), list(enumerate(edits.queries(*plan)))
            )
            for split, plan in SPLITS.items()
        }

    def _query(self, split, row_and_query):
        row, (kind, text, reference, target) = row_and_query
        query = schema.query_row(f"{split}-{row}", reference.image_id, text, target.image_id, category=kind)
        if self.builder_config.view == "triplets":
            for role, person in (("reference", reference), ("target", target)):
                query[f"{role}_image"] = io.BytesIO(on_white(pictures()[person.image_id]))
        return query


def gallery_row(name):
    """The gallery row of an emoji."""
    path = pictures()[name]
    return schema.gallery_row(name, io.BytesIO(on_white(path)), relpath=path.name, category=_categories().get(name, ""))


@functools.cache
def _categories():
    return {person.image_id: person.role or person.gender for person in people()}


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
