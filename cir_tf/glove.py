"""Word vectors from a GloVe text file, of which the vocabulary's share is kept beside it.

Dimension key: V words, E width of a vector.
"""

import hashlib
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

from cir_tf.errors import UserError


def read(path, words, width, cache=""):
    """(vectors float32 [V, E], known bool [V]): a row of zeros for each word that the file does not have.

    The file, of gigabytes, is read once; what was found is written to a small file that is read the next time.

    Args:
        path: text file, on each line a word and E numbers, separated by single blanks.
        words: V strings.
        width: E.
        cache: folder of the small files; empty: the file's own.

    Raises:
        UserError: no such file, or a line that is not a word and E numbers.

    Reference: Pennington et al., EMNLP 2014.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file of word vectors {path}; get one from the GloVe project and unpack it")
    stat = path.stat()
    key = "\0".join([path.name, str(stat.st_size), str(stat.st_mtime_ns), str(width), *words])
    kept = Path(cache or path.parent) / f"{path.stem}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    found = _read_kept(kept, (len(words), width))
    if found is None:
        found = _scan(path, words, width)
        _keep(kept, *found)
    return found


def _scan(path, words, width):
    rows = {word.encode(): row for row, word in enumerate(words)}
    vectors_VE, known_V = np.zeros((len(rows), width), np.float32), np.zeros(len(rows), bool)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip(b"\r\n")
            blanks = line.count(b" ")
            if blanks < width or (number == 1 and blanks > width):
                raise UserError(f"{path}, line {number}: a word and {width} numbers are wanted, there are {blanks}")
            # Some words of the larger files hold blanks themselves.
            word = line.partition(b" ")[0] if blanks == width else line.rsplit(b" ", width)[0]
            row = rows.get(word)
            if row is not None and not known_V[row]:
                vectors_VE[row], known_V[row] = _numbers(line, width, f"{path}, line {number}"), True
    return vectors_VE, known_V


def _numbers(line, width, place):
    try:
        vector_E = np.array(line.rsplit(b" ", width)[1:], np.float32)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error
    if not np.isfinite(vector_E).all():
        raise UserError(f"{place}: a number is not finite")
    return vector_E


def _read_kept(kept, shape):
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            vectors_VE, known_V = arrays["vectors"], arrays["known"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # there is none, or a damaged one
    return (vectors_VE, known_V) if vectors_VE.shape == shape and known_V.shape == shape[:1] else None


def _keep(kept, vectors_VE, known_V):
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".part", delete=False) as file:
            try:
                np.savez(file, vectors=vectors_VE, known=known_V)
                file.close()
                Path(file.name).replace(kept)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        warnings.warn(f"the word vectors are read anew each time: {kept}: {error.strerror}", stacklevel=3)
