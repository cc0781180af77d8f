"""A small training problem without files: coloured squares, a few words."""

import io

import numpy as np
from PIL import Image

from cir_tf.config import base
from cir_tf.data.source import Gallery
from cir_tf.data.triplets import make_triplets
from cir_tf.samplers.stored import Stored

SIZE = 16
WORDS = ("red", "green", "blue")


def small_config(**changes):
    """A config that trains in a blink."""
    config = base(
        batch_size=4,
        total_steps=6,
        width=8,
        image_encoder={"name": "image_tiny", "image_size": SIZE, "widths": (4, 6)},
        text_encoder={"name": "text_lstm", "width": 8, "dropout": 0.0},
        steps_per_call=2,
        log_steps=2,
        checkpoint_steps=2,
    )
    config.update(changes)
    return config


def small_gallery(count=5):
    """`Gallery` of noise pictures, each its own."""
    rng = np.random.default_rng(3)
    encoded = []
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)).save(file, "PNG")
        encoded.append(file.getvalue())
    return Gallery([f"picture {i}" for i in range(count)], np.array(encoded, object), [""] * count)


def small_rows(count=11, pictures=5):
    """Rows whose targets repeat: 11 rows over 5 pictures."""
    return {
        "reference_id": [f"picture {i % pictures}" for i in range(count)],
        "target_id": [f"picture {(2 * i + 1) % pictures}" for i in range(count)],
        "text": [" ".join(WORDS[: 1 + i % 3][::-1]) for i in range(count)],
        "target_class": [""] * count,
        "captions": [[]] * count,
        "has_target": [True] * count,
    }


def small_triplets(model):
    """The `Triplets` of `small_rows`."""
    return stored_triplets(small_rows(), model.text_encoder.tokenizer)


def stored_triplets(rows, tokenizer):
    """The `Triplets` of rows over `small_gallery`."""
    gallery = small_gallery()
    return make_triplets(Stored(rows, gallery, gallery), gallery, gallery, tokenizer, SIZE)


ASSETS = {"vocabulary.txt": "blue\ngreen\nred\n"}
