"""The folders of MIT-States as TIRG reads them: photos by adjective and noun, and the queries of the test nouns.

Reference: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section 4.2, and
its code.
"""

import os
from pathlib import Path
from typing import NamedTuple

from datasets_tfds import schema

NOUNS = (
    "armor bracelet bush camera candy castle ceramic cheese clock clothes coffee fan fig fish foam forest fruit "
    "furniture garden gate glass horse island laptop lead lightning mirror orange paint persimmon plastic plate potato "
    "road rubber sand shell sky smoke steel stream table tea tomato vacuum wax wheel window wool"
)
TEST_NOUNS = frozenset(NOUNS.split())
SPLITS = ("train", "test")
STATELESS = "adj"  # the literal word that stands where a folder has no state
ROOTS = ("", "release_dataset")


class Photo(NamedTuple):
    """One picture; its class is "adjective noun"."""

    image_id: str  # path below images/
    adjective: str
    noun: str


def find(manual_dir):
    """The folder that holds `images/`: `manual_dir` or `release_dataset/` in it.

    Raises:
        FileNotFoundError: neither does.
    """
    folder = next((path for name in ROOTS if ((path := Path(manual_dir, name)) / "images").is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"{manual_dir} has no folder images/. Put that of MIT-States there.")
    return folder


def read(folder):
    """Split -> list of `Photo`, folders and files in sorted order.

    Args:
        folder: what `find` returns.

    Raises:
        FileNotFoundError: no folder is named after an adjective and a noun, or none of them holds a picture.
        ValueError: a name is not UTF-8.
    """
    splits = {split: [] for split in SPLITS}
    for name in _names(folder / "images"):
        adjective, _, noun = name.partition(" ")
        path = folder / "images" / name
        if not (adjective and noun) or adjective == STATELESS or not path.is_dir():
            continue
        files = [file for file in _names(path) if file.endswith(".jpg")]
        odd = [file for file in (name, *files) if os.fsencode(file) != file.encode("utf-8", "replace")]
        if odd:
            raise ValueError(f"{folder / 'images'} holds a name that is not UTF-8: {odd[0]!r}. Rename it.")
        splits["test" if noun in TEST_NOUNS else "train"] += [
            Photo(f"{name}/{file}", adjective, noun) for file in files
        ]
    if not any(splits.values()):
        raise FileNotFoundError(f"{folder / 'images'} holds no picture named like 'sliced tomato/1.jpg'.")
    return splits


def locate(image_id):
    """Where a picture lies below what `find` returns."""
    return [f"images/{image_id}"]


def rows(photos):
    """The test queries: every photo with every other adjective of its noun. What is wanted is a class, not a picture.

    Args:
        photos: list of `Photo`.
    """
    adjectives = {}
    for photo in photos:
        adjectives.setdefault(photo.noun, {})[photo.adjective] = True  # in sorted order, as the folders are
    wanted = [(photo, word) for photo in photos for word in adjectives[photo.noun] if word != photo.adjective]
    return [
        schema.query_row(
            f"test-{row}",
            photo.image_id,
            word,
            target_class=f"{word} {photo.noun}",
            category=photo.noun,
            reference_class=f"{photo.adjective} {photo.noun}",
        )
        for row, (photo, word) in enumerate(wanted)
    ]


def gallery(photos):
    """The gallery rows.

    Args:
        photos: list of `Photo`.
    """
    return [
        schema.gallery_row(photo.image_id, target_class=f"{photo.adjective} {photo.noun}", category=photo.noun)
        for photo in photos
    ]


def _names(folder):
    """What lies in a folder, sorted, without hidden files."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
