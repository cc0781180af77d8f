"""The one schema of every dataset here: three views of the same rows.

| config name | view | for |
|---|---|---|
| `<subset>` | both pictures and the text of every query | end-to-end reading |
| `<subset>_index` | the same rows without pictures | training and evaluation joined with the gallery by id |
| `<subset>_gallery` | one row for each picture | embedding a gallery |
"""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

VIEWS = ("triplets", "index", "gallery")


@dataclasses.dataclass
class ViewConfig(tfds.core.BuilderConfig):
    """One view of one subset of a dataset.

    `on_missing` is what a missing or broken picture of the user's copy means: "error", or "skip", which leaves out the
    rows and the gallery entries that need it.
    """

    subset: str = ""
    view: str = "triplets"
    on_missing: str = "error"  # or "skip": rows and gallery entries without a usable picture are dropped, and counted


def view_configs(config_class=ViewConfig, **subsets):
    """The configs `<subset>`, `<subset>_index`, `<subset>_gallery` of every subset, the first one being the default.

    Args:
        config_class: `ViewConfig` or a subclass with further fields.
        **subsets: name -> dict of the config's further fields (`description` among them).
    """
    suffix = {"triplets": "", "index": "_index", "gallery": "_gallery"}
    return [
        config_class(name=subset + suffix[view], subset=subset, view=view, **fields)
        for subset, fields in subsets.items()
        for view in VIEWS
    ]


def features(view, **extras):
    """The feature dict of a view.

    Args:
        view: one of `VIEWS`.
        **extras: the dataset's own features, appended.
    """
    text, texts = tfds.features.Text(), tfds.features.Sequence(tfds.features.Text())
    image = tfds.features.Image(shape=(None, None, 3))
    if view == "gallery":
        keys = {"image_id": text, "image": image, "target_class": text, "category": text, "relpath": text}
    else:
        keys = {
            "query_id": text,
            "reference_id": text,
            "text": text,
            "captions": texts,
            "target_id": text,
            "has_target": np.bool_,
            "target_ids": texts,
            "target_class": text,
            "group_ids": texts,
            "category": text,
        }
    if view == "triplets":
        keys |= {"reference_image": image, "target_image": image}
    return tfds.features.FeaturesDict(keys | extras)


def supervised_keys(view):
    """`as_supervised` of a view: ((reference, text), target), or None where there are no pictures."""
    if view != "triplets":
        return None
    return ({"reference_image": "reference_image", "text": "text"}, "target_image")


def query_row(query_id, reference_id, text, target_id="", *, captions=None, **fields):
    """One row of the `index` view, with every key of the schema.

    Args:
        query_id, reference_id, text: strings.
        target_id: the accepted image, or "" where it is hidden.
        captions: the raw texts in file order; `(text,)` when None.
        **fields: `target_ids`, `target_class`, `group_ids`, `category` and the dataset's own features.
    """
    row = {
        "query_id": query_id,
        "reference_id": reference_id,
        "text": text,
        "captions": [text] if captions is None else list(captions),
        "target_id": target_id,
        "has_target": bool(target_id),
        "target_ids": [target_id] if target_id else [],
        "target_class": "",
        "group_ids": [],
        "category": "",
    }
    return row | fields


def gallery_row(image_id, image, *, relpath="", target_class="", category=""):
    """One row of the `gallery` view.

    Args:
        image_id: string, unique in the gallery.
        image: encoded bytes in a file object, a path, or uint8 [H, W, 3].
    """
    return {
        "image_id": image_id,
        "image": image,
        "target_class": target_class,
        "category": category,
        "relpath": relpath,
    }
