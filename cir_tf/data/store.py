"""Resized pictures on the disk, made once: reading them back costs less than decoding their files again.

Dimension key: N pictures, H W C image.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL.features
import tensorflow as tf
from tqdm import tqdm

from cir_tf import config as configs
from cir_tf.data import crops, fits, preprocess
from cir_tf.errors import UserError

LOCK = ".lock"
UNFINISHED = ".part"


def pixels(folder, encoded_N, size, fit, parts):
    """All pictures as [N, size, size, 3], an array on the disk that is read-only; made first where it is not there.

    Each set of pictures, size and fit has a file of its own, so galleries and runs share a folder. A file counts once
    it has its name, which it gets when it is complete, and as long as its JSON says what is asked for.

    Args:
        folder: where the files lie.
        encoded_N, size, fit: as for `triplets.Pictures`.
        parts: iterable of tensors, the pixels in their order, of the fit's dtype; used only to make the file.

    Raises:
        UserError: the disk has no room, or the folder cannot be written.
    """
    facts = _facts(encoded_N, size, fit)
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    path = Path(folder) / f"{fit}_{size}_{name}.npy"
    spec = (len(encoded_N), size, size, 3), np.dtype(fits.FITS[fit].dtype.as_numpy_dtype)
    found = _read(path, facts, spec)
    if found is None:
        try:
            with _alone(path.parent):
                found = _read(path, facts, spec)  # another process may have made it meanwhile
                if found is None:
                    _write(path, facts, spec, parts)
                    found = _read(path, facts, spec)
        except OSError as error:
            raise UserError(f"cannot write to picture_store {folder}: {error.strerror}; choose another") from error
    return found


def _facts(encoded_N, size, fit):
    """What the pixels depend on, as JSON values."""
    digest, code = hashlib.sha256(), hashlib.sha256()
    for encoded in encoded_N:
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for module in (crops, fits, preprocess):
        code.update(Path(module.__file__).read_bytes())
    return {
        "pictures": len(encoded_N),
        "sha256": digest.hexdigest(),
        "size": size,
        "fit": fit,
        "code": code.hexdigest(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "pillow's jpeg": PIL.features.version("jpg"),
    }


def _read(path, facts, spec):
    """The array of a file; None where there is none that holds what is asked for."""
    try:
        kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        found = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(found) if kept == facts and (found.shape, found.dtype) == spec else None


def _write(path, facts, spec, parts):
    """Make the file of an array under another name, then rename it."""
    (shape, dtype), unfinished = spec, path.with_suffix(UNFINISHED)
    size, room = int(np.prod(shape)) * dtype.itemsize, shutil.disk_usage(path.parent).free
    if size > room:
        raise UserError(
            f"picture_store {path.parent} needs {size / 1e9:.2f} GB for {shape[0]} pictures and has room for "
            f"{room / 1e9:.2f} GB; choose another, or none with --config.picture_store="
        )
    again = " again, as what is there does not match its JSON" if path.exists() else ""
    print(f"resizing {shape[0]} pictures into {path} ({size / 1e9:.2f} GB){again}", file=sys.stderr, flush=True)
    try:
        with unfinished.open("wb") as file, tqdm(total=shape[0], desc="resized", leave=False) as bar:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(part.numpy().data)
                bar.update(len(part))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    configs.write_json(path.with_suffix(".json"), facts)


@contextlib.contextmanager
def _alone(folder):
    """While it is entered, no other process makes files in a folder; what killed ones left is removed first.

    The lock goes with the process that holds it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process resizes pictures in {folder}: waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        for remains in folder.glob(f"*{UNFINISHED}"):
            remains.unlink()
        yield
