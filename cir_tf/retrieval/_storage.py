"""The folder of a saved index: written complete or not at all, checked before anything in it is opened."""

import json
import shutil
import uuid
import zlib
from pathlib import Path

from cir_tf.config import put_in_place
from cir_tf.errors import UserError

FORMAT_VERSION = 2
MANIFEST, VECTORS, IDS, SCANN = "manifest.json", "vectors.npy", "ids.json", "scann"  # all that an index's folder holds
CHUNK = 2**24  # bytes read at a time


def write(folder, fill, manifest):
    """Write a folder atomically; an index that is already there is replaced.

    Args:
        folder: path; its parents are made.
        fill: function that writes the files into an empty folder.
        manifest: dict of JSON values; the version and the files' sizes and check sums are added to it.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not _replaceable(folder):
        raise UserError(f"{folder} exists and is not an index; choose another folder.")
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        unfinished.mkdir(parents=True)
        fill(unfinished)
        content = {"version": FORMAT_VERSION, **manifest, "files": _sums(unfinished)}
        (unfinished / MANIFEST).write_text(json.dumps(content, indent=2), encoding="utf-8")
        put_in_place(unfinished, folder)
    except OSError as error:
        raise UserError(f"The index cannot be written to {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_manifest(folder):
    """The manifest of a saved index, a dict.

    Keys: version, kind, metric, count, dimension, encoder (hash of the model's weights, "" where unknown), data (stamp
    of the ids), options (of the constructor), tuning, extra, files ({name: [bytes, CRC-32]}).

    Raises:
        UserError: there is no readable manifest of this version.
    """
    try:
        manifest = json.loads(Path(folder, MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"There is no index in {folder}: {MANIFEST} cannot be read.") from error
    except ValueError as error:
        raise UserError(f"The index in {folder} is damaged: {MANIFEST} is not JSON; build it again.") from error
    if not isinstance(manifest, dict) or manifest.get("version") != FORMAT_VERSION:
        raise UserError(f"The index in {folder} is not of format version {FORMAT_VERSION}; build it again.")
    return manifest


def check_files(folder, files):
    """`ValueError` where a file is missing, cut off or changed: ScaNN's own reader may not survive it."""
    for name, (size, checksum) in files.items():
        path = Path(folder, name)
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        if path.stat().st_size != size:
            raise ValueError(f"{name} has {path.stat().st_size} bytes instead of {size}")
        if _crc(path) != checksum:
            raise ValueError(f"{name} was changed after it was written")


def _sums(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, _crc(path)] for path in paths}


def _crc(path):
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _replaceable(folder):
    """An empty folder, or one with an index, whole or damaged, and nothing else."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    return not names or (bool(names & {VECTORS, IDS}) and names <= {MANIFEST, VECTORS, IDS, SCANN})
