"""The index: vectors with ids, and the best k of them by inner product.

Dimension key: Q queries, N gallery, K kept ranks, D shared embedding.
"""

import abc
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cir_tf.errors import UserError
from cir_tf.retrieval import _storage
from cir_tf.retrieval._checks import checked_ids, checked_vectors
from cir_tf.retrieval._storage import IDS, VECTORS

METRIC = "inner_product"


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
        encoder: hash of the weights of the model that made the vectors, "" where unknown.
        tuning: what `tune` measured, a dict of JSON values; empty where it was not called.
        extra: dict of JSON values that was saved with the index; empty for one just built.
    """

    kind = ""

    def __init__(self):
        self.encoder, self.tuning, self.extra = "", {}, {}
        self._set(np.zeros((0, 0), np.float32), [])

    @abc.abstractmethod
    def is_exact_at(self, count):
        """True where `search` in a gallery of `count` vectors returns exactly the best k."""

    @abc.abstractmethod
    def _top_k(self, query_QD, k, exclude_Q, among_n):
        """The best k: positions int64 [Q, k] and scores float32 [Q, k], -1 and -inf for none.

        Q and N are not 0; `exclude_Q` is -1 for none; `among_n` are the rows to choose from, rising, at least k, or
        None for all.
        """

    def _forget(self):  # noqa: B027, nothing to do for most
        """Drop what was made from other vectors than the present `vectors_ND`; called by `_set`."""

    @property
    def is_exact(self):
        """True where `search` returns exactly the best k."""
        return self.is_exact_at(len(self.vectors_ND))

    @property
    def stamp(self):
        """Which gallery this is: 12 digits of SHA-256 over the sorted ids."""
        return hashlib.sha256("\n".join(sorted(self.ids_N)).encode()).hexdigest()[:12]

    def _options(self):
        """The constructor's arguments, as JSON values."""
        return {}

    def _write_files(self, folder):  # noqa: B027
        """Write what was made from `vectors_ND`, if it is worth keeping."""

    def _read_files(self, folder):  # noqa: B027
        """Read what `_write_files` wrote."""

    def _tuned(self, query_QD, target_recall, k):
        """Choose a setting and give what was measured; only asked of an index that is not exact."""
        raise NotImplementedError

    def tune(self, query_QD, target_recall=0.95, k=10):
        """Choose the cheapest setting that reaches a recall, and keep what was measured as `tuning`.

        Args:
            query_QD: finite floats [Q, D], Q at least 1: composed queries as users ask them.
            target_recall: share of the exact best k that must be found, above 0 and at most 1.
            k: how many neighbours to look at.

        Returns:
            `tuning`; empty for an exact index: there is nothing to choose.

        Raises:
            ValueError: queries or the target break a rule above.
        """
        query_QD = checked_vectors(query_QD, "queries")
        self._check_dimension(query_QD, "Queries")
        if not 0 < target_recall <= 1 or not len(query_QD):
            raise ValueError(
                "Tuning needs a target recall above 0 and at most 1, and queries. "
                f"Received: target_recall={target_recall}, {len(query_QD)} queries."
            )
        self.tuning = {} if self.is_exact else self._tuned(query_QD, target_recall, k)
        return self.tuning

    def measured_recall(self, query_QD, k=10):
        """Share of the exact best k that `search` finds; an exact index finds them all."""
        return 1.0

    def build(self, vectors_ND, ids, encoder=""):
        """Fill the index, forgetting what was in it.

        Args:
            vectors_ND: finite floats [N, D]; N may be 0. Kept as float32; an array that is float32 already is not
                copied and must not be changed afterwards.
            ids: N different strings, none of them empty.
            encoder: hash of the weights of the model that made the vectors; `load` can ask for it.

        Returns:
            The index itself.

        Raises:
            ValueError: vectors or ids break a rule above.
        """
        self._set(checked_vectors(vectors_ND, "vectors"), checked_ids(ids, len(vectors_ND)))
        self.encoder, self.tuning, self.extra = encoder, {}, {}
        return self

    def add(self, vectors_MD, ids):
        """Put new entries behind those that are there, as if the index had been built with them.

        Args:
            vectors_MD: finite floats [M, D] of the same model.
            ids: M strings that are not in the index yet.

        Returns:
            The index itself.

        Raises:
            ValueError: vectors or ids break a rule of `build`, or the dimension is another.
        """
        vectors_MD = checked_vectors(vectors_MD, "vectors")
        self._check_dimension(vectors_MD, "New vectors")
        ids = [*self.ids_N, *checked_ids(ids, len(vectors_MD))]
        self._set(np.concatenate([self.vectors_ND, vectors_MD]), checked_ids(ids, len(ids)))
        return self

    def delete(self, ids):
        """Take entries out; those behind them move up, as if the index had been built without them.

        Args:
            ids: strings that are in the index.

        Returns:
            The index itself.

        Raises:
            ValueError: an id is not in the index.
        """
        if isinstance(ids, str):
            raise ValueError(f"ids must be a sequence of ids. Received: the string {ids!r}.")
        ids = list(ids)
        lost = [name for name in ids if name not in self._position]
        if lost:
            raise ValueError(f"Ids to delete must be in the index. Received: {', '.join(map(repr, lost[:5]))}.")
        keep_N = np.ones(len(self.ids_N), bool)
        keep_N[[self._position[name] for name in ids]] = False
        self._set(self.vectors_ND[keep_N], self.ids_N[keep_N].tolist())
        return self

    def search(self, query_QD, k, exclude=None, among=None):
        """The best k gallery entries of each query.

        Args:
            query_QD: finite floats [Q, D]; Q may be 0.
            k: at least 1; places beyond the gallery's size are padded (see `Ranking`).
            exclude: None, or Q ids (None or "" for none): that entry is never returned for that query.
            among: None, or the ids that may be returned, for all queries; ids that are not in the index count for
                nothing. Such a search is exact whatever the index, and its cost grows with the number of ids.

        Returns:
            `Ranking` with k columns.

        Raises:
            ValueError: queries that are not finite or of another dimension, a bad k, or another number of `exclude`.
        """
        query_QD = checked_vectors(query_QD, "queries")
        self._check_dimension(query_QD, "Queries")
        if k < 1:
            raise ValueError(f"k must be at least 1. Received: k={k}.")
        exclude_Q = self._exclude_positions(exclude, len(query_QD))
        among_n = None if among is None else self._among_positions(among)
        position_QK = np.full((len(query_QD), k), -1, np.int64)
        score_QK = np.full((len(query_QD), k), -np.inf, np.float32)
        kept = min(k, len(self.ids_N) if among is None else len(among_n))
        if len(query_QD) and kept:
            position_QK[:, :kept], score_QK[:, :kept] = self._top_k(query_QD, kept, exclude_Q, among_n)
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
        manifest = {
            "kind": self.kind,
            "metric": METRIC,
            "count": len(self.ids_N),
            "dimension": self.vectors_ND.shape[1],
            "encoder": self.encoder,
            "data": self.stamp,
            "options": self._options(),
            "tuning": self.tuning,
            "extra": extra or {},
        }
        _storage.write(folder, self._write, manifest)

    @classmethod
    def load(cls, folder, encoder=""):
        """Read an index that `save` wrote.

        Args:
            folder: path.
            encoder: hash of the weights of the model that will ask; empty: any.

        Raises:
            UserError: there is no index of this kind in the folder, it is damaged, or it is of another model.
        """
        manifest = _storage.read_manifest(folder)
        if manifest.get("kind") != cls.kind:
            raise UserError(f"{folder} holds an index of kind {manifest.get('kind')!r}; {cls.kind!r} cannot read it.")
        if encoder and manifest.get("encoder") != encoder:
            theirs = manifest.get("encoder") or "unknown"
            raise UserError(f"The index in {folder} is of another model ({theirs}, not {encoder}); build it again.")
        try:
            _storage.check_files(folder, manifest["files"])
            vectors_ND = np.load(Path(folder, VECTORS), allow_pickle=False)
            ids = json.loads(Path(folder, IDS).read_text(encoding="utf-8"))
            if (*vectors_ND.shape, METRIC) != (manifest["count"], manifest["dimension"], manifest["metric"]):
                raise ValueError(f"{VECTORS} has shape {vectors_ND.shape}")
            index = cls(**manifest["options"])
            index._set(checked_vectors(vectors_ND, "vectors"), checked_ids(ids, len(vectors_ND)))
            index._read_files(Path(folder))
            index.encoder, index.tuning, index.extra = manifest["encoder"], manifest["tuning"], manifest["extra"]
        except ImportError as error:
            raise UserError(f"The index in {folder} cannot be used. {error}") from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise UserError(f"The index in {folder} is damaged ({error}); build it again.") from error
        return index

    def _set(self, vectors_ND, ids):
        self.vectors_ND = vectors_ND
        self._padded_ids = np.array([*ids, ""], dtype=object)  # position -1 reads the "" at the end
        self.ids_N = self._padded_ids[:-1]
        self._position = {name: row for row, name in enumerate(ids)}
        self._forget()

    def _check_dimension(self, vectors, role):
        dimension = self.vectors_ND.shape[1]
        if vectors.shape[1] != dimension:
            raise ValueError(
                f"{role} must have the dimension of the index. Received: {vectors.shape[1]}, index: {dimension}."
            )

    def _exclude_positions(self, exclude, count):
        if exclude is None:
            return np.full(count, -1, np.int64)
        if len(exclude) != count:
            raise ValueError(f"exclude must have one id per query. Received: {len(exclude)} ids, {count} queries.")
        return np.array([self._position.get(name, -1) for name in exclude], np.int64)

    def _among_positions(self, among):
        if isinstance(among, str):
            raise ValueError(f"among must be a sequence of ids. Received: the string {among!r}.")
        return np.unique(np.array([self._position[name] for name in among if name in self._position], np.int64))

    def _write(self, folder):
        """Write all files of the index into an empty folder."""
        np.save(folder / VECTORS, self.vectors_ND, allow_pickle=False)
        (folder / IDS).write_text(json.dumps(self.ids_N.tolist(), ensure_ascii=False), encoding="utf-8")
        self._write_files(folder)
