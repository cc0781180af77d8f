"""Scores query vectors against gallery vectors by a protocol. Knows arrays, never a model.

Dimension key: Q queries, N gallery, K kept ranks, T accepted targets per query, D shared embedding.
"""

import dataclasses
import hashlib
from typing import Any, NamedTuple

import numpy as np

from cir_tf import __version__
from cir_tf.evaluation.intervals import Estimate, bootstrap_by_group, bootstrap_interval
from cir_tf.evaluation.metrics import hits, recalls
from cir_tf.evaluation.protocol import Protocol
from cir_tf.retrieval.brute_force import exact_ranks

MODEL = "model"
REPORTED = 50  # ranked ids per query that a result keeps


@dataclasses.dataclass(frozen=True)
class Result:
    """The numbers of one evaluation, with what they depend on.

    Attributes:
        protocol: `Protocol`.
        seed: of the intervals.
        data: counts and hashes (12 digits of SHA-256 over the sorted ids) of queries and gallery, and `gaps`.
        index: {"kind", "is_exact", "recall"}; recall is that of the exact best 10, on the model's queries.
        metrics: row name -> {"overall": {metric: Estimate}, "groups": {group: {metric: Estimate}}}; fractions.
        queries: of each query of the model, as lists: query_id, reference_id, text, category, target_ids (one accepted
            id at least), ranked_ids (the best 50, fewer where the gallery is smaller), and rank, the exact rank of the
            best accepted target from 1, or 0 where only the removed reference would be accepted.
        version: of this library.
    """

    protocol: Protocol
    seed: int
    data: dict
    index: dict
    metrics: dict
    queries: dict
    version: str = __version__

    def to_json(self):
        """The result as dicts, lists, strings and numbers."""
        return {
            "protocol": dataclasses.asdict(self.protocol) | {"ks": list(self.protocol.ks)},
            "describe": self.protocol.describe(),
            "seed": self.seed,
            "version": self.version,
            "data": self.data,
            "index": self.index,
            "metrics": _plain(self.metrics),
            "queries": self.queries,
        }


class Targets(NamedTuple):
    """What counts as a hit. Codes as in `metrics`; `target_QT` are gallery rows padded with -1."""

    gallery_code_N: Any
    target_code_QT: Any
    target_QT: Any


def evaluate(protocol, rows, gallery, query_vectors, gallery_vectors_ND, make_index, seed=0, gaps=None):
    """Rank the gallery for every query and score the rankings.

    Args:
        protocol: `Protocol`.
        rows: dict of Q entries each: query_id, reference_id, target_ids (lists), target_class, category, text.
        gallery: dict of N entries each: ids, target_class.
        query_vectors: dict name -> floats [Q, D]; "model" is the one that is reported query by query, the others
            stand beside it.
        gallery_vectors_ND: floats, in the order of `gallery`.
        make_index: function without arguments that gives an empty `Index`.
        seed: of the bootstrap intervals.
        gaps: what the user's copy of the dataset lacks, {"missing": int, "bad": int}; printed with every result.

    Returns:
        `Result`.

    Raises:
        ValueError: no queries, no "model", counts that do not match, a target that is not in the gallery, or a
            reference that is to be removed and is not there.
    """
    _check_counts(rows, gallery, query_vectors, gallery_vectors_ND)
    position = {name: row for row, name in enumerate(gallery["ids"])}
    targets = _targets(protocol, rows, gallery, position)
    exclude = _references(rows, position) if protocol.exclude_reference else None
    index = make_index().build(gallery_vectors_ND, gallery["ids"])
    group_Q = np.asarray(rows[protocol.groups]) if protocol.groups else None
    metrics, rankings = {}, {}
    for name, query_QD in query_vectors.items():
        ranking = index.search(query_QD, max(*protocol.ks, REPORTED), exclude)
        ranked_code_QK = np.where(ranking.positions_QK < 0, -1, targets.gallery_code_N[ranking.positions_QK])
        value_Q = recalls(hits(ranked_code_QK, targets.target_code_QT), protocol.ks)
        metrics[name] = _summary(value_Q, group_Q, seed)
        rankings[name] = ranking
    exclude_Q = None if exclude is None else np.array([position[name] for name in exclude])
    rank_Q = exact_ranks(query_vectors[MODEL], gallery_vectors_ND, targets.target_QT, exclude_Q)
    return Result(
        protocol=protocol,
        seed=seed,
        data=_stamp(rows, gallery) | (gaps or {}),
        index={
            "kind": index.kind,
            "is_exact": index.is_exact,
            "recall": index.measured_recall(query_vectors[MODEL]),
        },
        metrics=metrics,
        queries=_queries(rows, gallery, targets.target_QT, rankings[MODEL].ids_QK[:, :REPORTED], rank_Q),
    )


def _check_counts(rows, gallery, query_vectors, gallery_vectors_ND):
    count = len(rows["query_id"])
    if not count:
        raise ValueError("There are no queries to evaluate.")
    if MODEL not in query_vectors:
        raise ValueError(f"query_vectors must have {MODEL!r}. Received: {', '.join(query_vectors)}.")
    for name, query_QD in query_vectors.items():
        if len(query_QD) != count:
            raise ValueError(
                f"There must be a vector per query. Received: {len(query_QD)} of {name!r}, {count} queries."
            )
    if len(gallery_vectors_ND) != len(gallery["ids"]):
        raise ValueError(
            "There must be a vector per gallery entry. "
            f"Received: {len(gallery_vectors_ND)} vectors, {len(gallery['ids'])} entries."
        )


def _targets(protocol, rows, gallery, position):
    if protocol.hit == "class":
        return _class_targets(rows, gallery)
    target_QT = _padded([[position.get(name, -2) for name in names] for names in rows["target_ids"]])
    lost_Q = (target_QT == -2).any(axis=1) | (target_QT < 0).all(axis=1)
    _complain("a target that is in the gallery", rows, lost_Q)
    return Targets(np.arange(len(position)), target_QT, target_QT)


def _class_targets(rows, gallery):
    """Targets where a hit is an equal class: all gallery rows of the class are accepted."""
    names, gallery_code_N = np.unique(np.asarray(gallery["target_class"], str), return_inverse=True)
    code = {name: number for number, name in enumerate(names.tolist()) if name}
    target_code_Q = np.array([code.get(name, -1) for name in rows["target_class"]])
    _complain("a target class that is in the gallery", rows, target_code_Q < 0)
    by_code_N = np.argsort(gallery_code_N, kind="stable")
    first_Q = np.searchsorted(gallery_code_N[by_code_N], target_code_Q)
    size_Q = np.bincount(gallery_code_N)[target_code_Q]
    offset_T = np.arange(size_Q.max())
    member_QT = offset_T < size_Q[:, None]
    target_QT = np.where(member_QT, by_code_N[np.where(member_QT, first_Q[:, None] + offset_T, 0)], -1)
    return Targets(gallery_code_N, target_code_Q[:, None], target_QT)


def _padded(lists):
    """Ragged lists of integers as one array, padded with -1."""
    length_Q = np.array([len(numbers) for numbers in lists])
    padded = np.full((len(lists), max(1, length_Q.max())), -1)
    padded[np.arange(padded.shape[1]) < length_Q[:, None]] = [number for numbers in lists for number in numbers]
    return padded


def _references(rows, position):
    lost_Q = np.array([name not in position for name in rows["reference_id"]])
    _complain("its reference in the gallery, to be removed from the ranking", rows, lost_Q)
    return rows["reference_id"]


def _complain(what, rows, lost_Q):
    if lost_Q.any():
        names = [str(rows["query_id"][row]) for row in np.flatnonzero(lost_Q)[:5]]
        raise ValueError(
            f"Every query needs {what}. Received: {lost_Q.sum()} without, the first ones {', '.join(names)}."
        )


def _summary(value_Q, group_Q, seed):
    """Estimates of each metric (a dict name -> [Q]) over all queries and within each group that has a name."""
    overall = {metric: bootstrap_interval(values, seed) for metric, values in value_Q.items()}
    groups = {}
    for metric, values in value_Q.items() if group_Q is not None else ():
        named = group_Q != ""
        for group, estimate in bootstrap_by_group(values[named], group_Q[named], seed).items():
            groups.setdefault(group, {})[metric] = estimate
    return {"overall": overall, "groups": groups}


def _stamp(rows, gallery):
    def digest(ids):
        return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:12]

    return {
        "queries": len(rows["query_id"]),
        "gallery": len(gallery["ids"]),
        "queries_sha256": digest(rows["query_id"]),
        "gallery_sha256": digest(gallery["ids"]),
    }


def _queries(rows, gallery, target_QT, ranked_id_QK, rank_Q):
    strings = {key: [str(value) for value in rows[key]] for key in ("query_id", "reference_id", "text", "category")}
    return strings | {
        "target_ids": [[str(gallery["ids"][row]) for row in targets if row >= 0] for targets in target_QT.tolist()],
        "ranked_ids": [[str(name) for name in names if name] for names in ranked_id_QK.tolist()],
        "rank": rank_Q.tolist(),
    }


def _plain(metrics):
    """Nested dicts with every `Estimate` as a dict."""
    if isinstance(metrics, Estimate):
        return metrics._asdict()
    return {key: _plain(value) for key, value in metrics.items()}
