"""A run small enough to be exported in a second, with random weights, and pictures for it."""

import io

import numpy as np
from PIL import Image

from cir_tf import assemble, config
from tests.golden import S

WORDS = ("dark", "hair", "her", "make", "man", "red", "with")
SIZES = [(16, 16), (23, 11), (9, 31), (40, 40), (16, 17)]


def make_run(workdir, precision="float32", compositor="sum"):
    """(config, model) with the text encoder's files in the work folder."""
    made = config.base(
        width=12,
        image_encoder={"name": "image_tiny", "image_size": 16, "widths": (6, 8)},
        text_encoder={"name": "text_lstm", "width": 12},
        compositor={"name": compositor},
        precision=precision,
    )
    config.write_text(workdir / "assets" / "vocabulary.txt", "".join(f"{word}\n" for word in WORDS))
    return made, assemble.retriever(made, assemble.load_assets(workdir))


def picture(number, size=None, mode="RGB"):
    """A picture that differs from all others: waves of its own length and colour."""
    width, height = size or SIZES[number % len(SIZES)]
    pixels = 127.5 + 127.5 * S((height, width, 3), 0.05 + 0.11 * number, number)
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def file_of(image, kind="PNG", **options):
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def write_pictures(folder, count):
    """`count` pictures in a folder and one folder within it: {name: bytes}, in the order of the names."""
    files = {}
    for number in range(count):
        name = f"{'more/' if number % 3 == 1 else ''}p{number:02d}.{'jpg' if number % 2 else 'PNG'}"
        files[name] = file_of(picture(number), "JPEG" if number % 2 else "PNG")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files[name])
    return dict(sorted(files.items()))
