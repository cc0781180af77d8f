"""The index: vectors with ids, and the best k of them by inner product.

Dimension key: Q queries, N gallery, K kept ranks, D shared embedding.
"""

import abc
import json
import shutil
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cir_tf.errors import UserError

FORMAT_VERSION = 1
MANIFEST, VECTORS, IDS = "manifest.json", "vectors.npy", "ids.json"


class Ranking(NamedTuple):
    """The best gallery entries of each query, best first; equal scores stand in gallery order.

    Attributes:
        ids_QK: object array of strings, "" where there is no entry.
        positions_QK: int64 rows of the gallery, -1 where there is no entry.
        scores_QK: float32 inner products, -inf where there is no entry.
    """

    ids_QK: Any
    positions_QK: Any
    scores_QK: Any


class Index(abc.ABC):
    """Searches a gallery by inner product. Subclasses set `kind` (their file's name) and fill the abstract methods.

    Attributes:
        vectors_ND: float32, the gallery.
        ids_N: object array of the gallery's ids.
        extra: dict of JSON values that was saved with the index; empty for one just built.
    """

    kind = ""

    def __init__(self):
        self.extra = {}
        self._set(np.zeros((0, 0), np.float32), [])

    @property
    @abc.abstractmethod
    def is_exact(self):
        """True where `search` returns exactly the best k."""

    @abc.abstractmethod
    def _prepare(self):
        """Make what a search needs from `vectors_ND`."""

    @abc.abstractmethod
    def _top_k(self, query_QD, k, exclude_Q):
        """The best k <= N: positions int64 [Q, k] and scores float32 [Q, k], with Q, N > 0; -1 and -inf for none."""

    def _options(self):
        """The constructor's arguments, as JSON values."""
        return {}

    def _read_files(self, folder):
        """Get ready to search after `vectors_ND` was read."""
        self._prepare()

    def measured_recall(self, query_QD, k=10):
        """Share of the exact best k that `search` finds; an exact index finds them all."""
        return 1.0

    def build(self, vectors_ND, ids):
        """Fill the index, forgetting what was in it.

        Args:
            vectors_ND: finite floats [N, D]; N may be 0. Kept as float32.
            ids: N different strings, none of them empty.

        Returns:
            The index itself.

        Raises:
            ValueError: vectors or ids break a rule above.
        """
        self._set(_checked_vectors(vectors_ND, "vectors"), _checked_ids(ids, len(vectors_ND)))
        self.extra = {}
        self._prepare()
        return self

    def search(self, query_QD, k, exclude=None):
        """The best k gallery entries of each query.

        Args:
            query_QD: finite floats [Q, D]; Q may be 0.
            k: at least 1; places beyond the gallery's size are padded (see `Ranking`).
            exclude: None, or Q ids (None or "" for none): that entry is never returned for that query.

        Returns:
            `Ranking` with k columns.

        Raises:
            ValueError: queries that are not finite or of another dimension, a bad k, or another number of `exclude`.
        """
        query_QD = _checked_vectors(query_QD, "queries")
        count, dimension = self.vectors_ND.shape
        if query_QD.shape[1] != dimension:
            raise ValueError(
                f"Queries must have the dimension of the index. Received: {query_QD.shape[1]}, index: {dimension}."
            )
        if k < 1:
            raise ValueError(f"k must be at least 1. Received: k={k}.")
        exclude_Q = self._exclude_positions(exclude, len(query_QD))
        position_QK = np.full((len(query_QD), k), -1, np.int64)
        score_QK = np.full((len(query_QD), k), -np.inf, np.float32)
        if len(query_QD) and count:
            kept = min(k, count)
            position_QK[:, :kept], score_QK[:, :kept] = self._top_k(query_QD, kept, exclude_Q)
        return Ranking(self._padded_ids[position_QK], position_QK, score_QK)

    def save(self, folder, extra=None):
        """Write the index to a folder: complete, or not at all.

        An index that is already there is replaced; any other folder with something in it is left alone.

        Args:
            folder: path; its parents are made.
            extra: dict of JSON values to keep with it, such as a hash of the encoder; `load` gives it back as `extra`.

        Raises:
            UserError: the folder holds something else, or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and not _replaceable(folder):
            raise UserError(f"{folder} exists and is not an index; choose another folder.")
        unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
        try:
            unfinished.mkdir(parents=True)
            self._write(unfinished, extra or {})
            _move(unfinished, folder)
        except OSError as error:
            raise UserError(f"The index cannot be written to {folder}: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @classmethod
    def load(cls, folder):
        """Read an index that `save` wrote.

        Raises:
            UserError: there is no index of this kind in the folder, or it is damaged.
        """
        manifest = read_manifest(folder)
        if manifest.get("kind") != cls.kind:
            raise UserError(f"{folder} holds an index of kind {manifest.get('kind')!r}; {cls.kind!r} cannot read it.")
        try:
            vectors_ND = np.load(Path(folder, VECTORS), allow_pickle=False)
            ids = json.loads(Path(folder, IDS).read_text(encoding="utf-8"))
            if vectors_ND.shape != (manifest["count"], manifest["dimension"]):
                raise ValueError(f"{VECTORS} has shape {vectors_ND.shape}")
            index = cls(**manifest["options"])
            index._set(_checked_vectors(vectors_ND, "vectors"), _checked_ids(ids, len(vectors_ND)))
            index._read_files(Path(folder))
            index.extra = manifest["extra"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"The index in {folder} is damaged ({error}); build it again.") from error
        return index

    def _set(self, vectors_ND, ids):
        self.vectors_ND = vectors_ND
        self._padded_ids = np.array([*ids, ""], dtype=object)  # position -1 reads the "" at the end
        self.ids_N = self._padded_ids[:-1]
        self._position = {name: row for row, name in enumerate(ids)}

    def _exclude_positions(self, exclude, count):
        if exclude is None:
            return np.full(count, -1, np.int64)
        if len(exclude) != count:
            raise ValueError(f"exclude must have one id per query. Received: {len(exclude)} ids, {count} queries.")
        return np.array([self._position.get(name, -1) for name in exclude], np.int64)

    def _write(self, folder, extra):
        """Write all files of the index into an empty folder."""
        np.save(folder / VECTORS, self.vectors_ND, allow_pickle=False)
        (folder / IDS).write_text(json.dumps(self.ids_N.tolist(), ensure_ascii=False), encoding="utf-8")
        count, dimension = self.vectors_ND.shape
        manifest = {
            "version": FORMAT_VERSION,
            "kind": self.kind,
            "metric": "inner_product",
            "count": count,
            "dimension": dimension,
            "options": self._options(),
            "extra": extra,
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def read_manifest(folder):
    """The manifest of a saved index: version, kind, metric, count, dimension, options, extra.

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


def _replaceable(folder):
    return folder.is_dir() and ((folder / MANIFEST).exists() or not any(folder.iterdir()))


def _move(unfinished, folder):
    """Put a finished folder in its place; a folder cannot be renamed over a full one, so the old one steps aside."""
    if not folder.exists():
        unfinished.replace(folder)
        return
    old = unfinished.with_suffix(".old")
    folder.replace(old)
    try:
        unfinished.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _checked_vectors(vectors, role):
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ValueError(f"The {role} must be a float array of 2 axes. Received: {vectors.dtype} {vectors.shape}.")
    vectors = np.ascontiguousarray(vectors, np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise ValueError(f"The {role} must be finite. Received: {len(rows)} bad rows, the first ones {rows[:5]}.")
    return vectors


def _checked_ids(ids, count):
    ids = [str(name) if isinstance(name, np.str_) else name for name in ids]
    if len(ids) != count:
        raise ValueError(f"There must be one id per vector. Received: {len(ids)} ids, {count} vectors.")
    if not all(isinstance(name, str) and name for name in ids):
        raise ValueError("Ids must be strings that are not empty.")
    if len(set(ids)) != count:
        seen = set()
        repeated = [name for name in ids if name in seen or seen.add(name)]
        raise ValueError(f"Ids must be different. Received twice: {', '.join(repeated[:5])}.")
    return ids
