"""The person emoji as a folder of PNG files: `python -m datasets_tfds.emoji_edits.folder FOLDER`."""

import sys
from pathlib import Path

from datasets_tfds.emoji_edits.emoji_edits_dataset_builder import on_white
from datasets_tfds.emoji_edits.people import people, pictures


def write(folder):
    """Write every person emoji as `<image_id>.png`, composed on white; the number of files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for person in people():
        (folder / f"{person.image_id}.png").write_bytes(on_white(pictures()[person.image_id]))
    return len(people())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{write(sys.argv[1])} pictures in {sys.argv[1]}")
