"""Scores query vectors against gallery vectors by a protocol. Knows arrays, never a model.

Dimension key: Q queries, N gallery, K kept ranks, T accepted targets per query, G group, D shared embedding.
"""

import hashlib
import itertools
from typing import Any, NamedTuple

import numpy as np

from cir_tf.evaluation import metrics, ranks
from cir_tf.evaluation.intervals import mean_of_parts, resampled_means
from cir_tf.evaluation.protocol import MEAN, parse_metric
from cir_tf.evaluation.result import ALONE, MODEL, REPORTED, Result

STRINGS = ("query_id", "reference_id", "text", "category")
CLASS_OF = {
    "class": lambda name: name,
    "adjective": lambda name: name.partition(" ")[0],
    "noun": lambda name: name.partition(" ")[2],
}


class Part(NamedTuple):
    """The queries and the gallery of one subset.

    Attributes:
        rows: dict of Q entries each: query_id, reference_id, target_ids (lists), target_class, category, text, what
            the protocol's groups and metrics name, and `row`, the row of the dataset that each query was made of.
        gallery: dict of N entries each: ids, target_class.
        query_vectors: dict name -> floats [Q, D]; "model" is the one that is reported query by query, the others
            stand beside it.
        gallery_vectors_ND: floats, in the order of `gallery`.
        gaps: what the user's copy of the dataset lacks, {"missing": int, "bad": int}.
    """

    rows: dict
    gallery: dict
    query_vectors: dict
    gallery_vectors_ND: Any
    gaps: dict = {}


class Scores(NamedTuple):
    """Attributes: values: metric -> float64 [Q]; rank_Q: of the best accepted target; best_QK: gallery rows; hit_QK:
    which of these are accepted; accepted_Q: how many there are.
    """

    values: dict
    rank_Q: Any
    best_QK: Any
    hit_QK: Any
    accepted_Q: Any


def evaluate(protocol, parts, seed=0):
    """Rank the galleries for every query and score the rankings, exactly.

    Args:
        protocol: `Protocol`.
        parts: {subset: `Part`}, with the same names of query vectors everywhere.
        seed: of the bootstrap intervals.

    Returns:
        `Result`.

    Raises:
        ValueError: no queries, no "model", counts that do not match, a target that is not in the gallery, or a
            reference that is to be removed and is not there.
    """
    scores = {subset: _score_part(protocol, part) for subset, part in parts.items()}
    names = list(next(iter(scores.values())))
    return Result(
        protocol=protocol,
        seed=seed,
        data={subset: _stamp(part) for subset, part in parts.items()},
        metrics={
            name: _summary(protocol, parts, {subset: scores[subset][name].values for subset in parts}, seed)
            for name in names
        },
        queries=_queries(protocol, parts, scores),
    )


def _score_part(protocol, part):
    """{name of the query vectors: `Scores`}."""
    _check_counts(part)
    position = {name: row for row, name in enumerate(part.gallery["ids"])}
    if len(position) < len(part.gallery["ids"]):
        raise ValueError(f"Gallery ids must differ. Received: {len(part.gallery['ids']) - len(position)} again.")
    exclude_Q = np.full(len(part.rows["query_id"]), -1)
    if protocol.exclude_reference:
        exclude_Q = _positions(position, part.rows["reference_id"])
        if protocol.reference_gallery == protocol.gallery:  # elsewhere a reference may be none of the entries
            _complain("its reference in the gallery, to be removed from the ranking", part.rows, exclude_Q < 0)
    accepted = _accepted(protocol, part, position)
    return {
        name: _score(protocol, part, query_QD, accepted, exclude_Q, REPORTED if name == MODEL else 1)
        for name, query_QD in part.query_vectors.items()
    }


class Accepted(NamedTuple):
    """Attributes: target_QT: gallery rows; class_N, class_Q: codes; group_QG: gallery rows. None where not needed."""

    target_QT: Any = None
    class_N: Any = None
    class_Q: Any = None
    group_QG: Any = None


def _accepted(protocol, part, position):
    rows, found = part.rows, Accepted()
    if protocol.hit in CLASS_OF:
        names = np.array([CLASS_OF[protocol.hit](name) for name in part.gallery["target_class"]], str)
        classes, class_N = np.unique(names, return_inverse=True)
        code = {name: number for number, name in enumerate(classes.tolist()) if name}
        class_Q = np.array([code.get(CLASS_OF[protocol.hit](name), -1) for name in rows["target_class"]])
        _complain("a target class that is in the gallery", rows, class_Q < 0)
        found = found._replace(class_N=class_N, class_Q=class_Q)
    else:
        target_QT = padded(rows["target_ids"], position)
        lost_Q = (target_QT == -2).any(axis=1) | (target_QT < 0).all(axis=1)
        _complain("a target that is in the gallery", rows, lost_Q)
        found = found._replace(target_QT=target_QT)
    if any(metric.startswith("R_subset") for metric in protocol.metrics):
        group_QG = padded(rows["group_ids"], position)
        lost_Q = (group_QG == -2).any(axis=1) | (group_QG < 0).all(axis=1)
        _complain("a group whose members are in the gallery", rows, lost_Q)
        found = found._replace(group_QG=group_QG)
    return found


def _score(protocol, part, query_QD, accepted, exclude_Q, keep):
    vectors = query_QD, part.gallery_vectors_ND
    if accepted.class_Q is not None:
        found = ranks.rank_classes(*vectors, accepted.class_N, accepted.class_Q, exclude_Q, keep)
        hit_QK = accepted.class_N[found.best_QK] == accepted.class_Q[:, None]
        accepted_Q = np.bincount(accepted.class_N)[accepted.class_Q]
    else:
        found = ranks.rank_targets(*vectors, accepted.target_QT, exclude_Q, keep)
        hit_QK = (found.best_QK[:, :, None] == accepted.target_QT[:, None, :]).any(axis=2)
        accepted_Q = (accepted.target_QT >= 0).sum(axis=1)
    rank_QT, padding_QT = found.rank_QT, accepted.target_QT is not None and accepted.target_QT < 0
    ranks_of = {"R": rank_QT[:, :1] if protocol.hit == "target" else rank_QT, "mAP": np.where(padding_QT, -1, rank_QT)}
    if accepted.group_QG is not None:
        group = accepted.target_QT[:, 0], accepted.group_QG, exclude_Q
        ranks_of["R_subset"] = ranks.rank_in_groups(*vectors, *group)[:, None]
    functions = {"R": metrics.recall_at_k, "R_subset": metrics.recall_at_k, "mAP": metrics.average_precision_at_k}
    kinds = {metric: parse_metric(metric) for metric in protocol.metrics}
    values = {metric: functions[kind](ranks_of[kind], k) for metric, (kind, k) in kinds.items()}
    if protocol.mean_of:
        values[MEAN] = np.mean([values[metric] for metric in protocol.mean_of], axis=0)
    best_Q = np.where(rank_QT > 0, rank_QT, np.iinfo(np.int64).max).min(axis=1)
    return Scores(values, np.where((rank_QT > 0).any(axis=1), best_Q, 0), found.best_QK, hit_QK, accepted_Q)


def _summary(protocol, parts, values, seed):
    """Estimates over all queries, and within each subset and each group that has a name."""
    drawn = {
        (subset, metric): resampled_means(value_Q, [seed, number], row_Q=parts[subset].rows["row"])
        for number, subset in enumerate(parts)
        for metric, value_Q in values[subset].items()
    }
    names = list(next(iter(values.values())))
    overall = {
        metric: mean_of_parts([values[s][metric] for s in parts], [drawn[s, metric] for s in parts]) for metric in names
    }
    groups = {}
    if len(parts) > 1:
        for subset in parts:
            groups[subset] = {m: mean_of_parts([values[subset][m]], [drawn[subset, m]]) for m in names}
    if protocol.groups:
        groups |= _groups(protocol, parts, values, names, seed)
    return {"overall": overall, "groups": groups}


def _groups(protocol, parts, values, names, seed):
    """Estimates of all queries of a group, whatever their subset; sorted by group."""
    value_Q = {metric: np.concatenate([values[subset][metric] for subset in parts]) for metric in names}
    row_Q = np.concatenate([np.add(10**9 * number, part.rows["row"]) for number, part in enumerate(parts.values())])
    of_Q, found = _groups_of(protocol, parts), {}
    for group in sorted({name for names in of_Q for name in names}):
        member_Q = np.array([group in names for names in of_Q])
        found[group] = {
            metric: mean_of_parts([value[member_Q]], [resampled_means(value[member_Q], seed, row_Q=row_Q[member_Q])])
            for metric, value in value_Q.items()
        }
    return found


def _groups_of(protocol, parts):
    """The names of the groups of each query, [] where the protocol has none."""
    if not protocol.groups:
        return [()] * sum(len(part.rows["query_id"]) for part in parts.values())
    of_Q = [names for part in parts.values() for names in part.rows[protocol.groups]]
    return [[name for name in ([names] if isinstance(names, str) else names) if name] for names in of_Q]


def _queries(protocol, parts, scores):
    """The columns of `Result.queries`."""
    columns = "subset", "row", "target_ids", "accepted", "ranked_ids", "hits", "rank", "reference_rank"
    found = {key: [] for key in (*STRINGS, *columns)}
    best_of = {name: [] for name in ALONE if name in next(iter(scores.values()))}
    for subset, part in parts.items():
        rows, ids = part.rows, np.array([*part.gallery["ids"], ""], object)
        model = scores[subset][MODEL]
        for key in STRINGS:
            found[key] += map(str, rows[key])
        found["subset"] += [subset] * len(rows["query_id"])
        found["row"] += np.asarray(rows["row"]).tolist()
        found["target_ids"] += _target_ids(protocol, part)
        found["accepted"] += model.accepted_Q.tolist()
        ranked = ids[model.best_QK].tolist()
        is_short = (model.best_QK < 0).any()
        ranked = [[name for name in names if name] for names in ranked] if is_short else ranked
        found["ranked_ids"] += ranked
        hits = model.hit_QK.tolist()
        found["hits"] += [row[: len(names)] for row, names in zip(hits, ranked, strict=True)] if is_short else hits
        found["rank"] += model.rank_Q.tolist()
        is_reference_QK = ids[model.best_QK] == np.array(rows["reference_id"], object)[:, None]
        found["reference_rank"] += np.where(is_reference_QK.any(1), 1 + is_reference_QK.argmax(1), 0).tolist()
        for name, best in best_of.items():
            best += ids[scores[subset][name].best_QK[:, 0]].tolist()
    values = [scores[subset][MODEL].values for subset in parts]
    found["values"] = {key: np.concatenate([value[key] for value in values]).round(6).tolist() for key in values[0]}
    return found | {"groups": _groups_of(protocol, parts), "best_of": best_of}


def _target_ids(protocol, part):
    if protocol.hit not in CLASS_OF:
        return list(part.rows["target_ids"])
    of_class = {}
    for name, target_class in zip(part.gallery["ids"], part.gallery["target_class"], strict=True):
        of_class.setdefault(CLASS_OF[protocol.hit](target_class), []).append(str(name))
    return [of_class[CLASS_OF[protocol.hit](name)][:REPORTED] for name in part.rows["target_class"]]


def padded(lists, position=None):
    """Ragged lists of integers as one array, padded with -1, one column at least.

    Args:
        lists: Q lists.
        position: {name: integer}, where the lists are of names; -2 stands for one that is not there.
    """
    length_Q, flat = np.array(list(map(len, lists))), itertools.chain.from_iterable(lists)
    array = np.full((len(lists), max(1, length_Q.max())), -1)
    found = list(flat) if position is None else [position.get(name, -2) for name in flat]
    array[np.arange(array.shape[1]) < length_Q[:, None]] = found
    return array


def _positions(position, ids):
    return np.array([position.get(name, -1) for name in ids])


def _check_counts(part):
    count = len(part.rows["query_id"])
    if not count:
        raise ValueError("There are no queries to evaluate.")
    if MODEL not in part.query_vectors:
        raise ValueError(f"query_vectors must have {MODEL!r}. Received: {', '.join(part.query_vectors)}.")
    for name, query_QD in part.query_vectors.items():
        if len(query_QD) != count:
            raise ValueError(
                f"There must be a vector per query. Received: {len(query_QD)} of {name!r}, {count} queries."
            )
    vectors, entries = len(part.gallery_vectors_ND), len(part.gallery["ids"])
    if vectors != entries:
        raise ValueError(f"There must be a vector per gallery entry. Received: {vectors} vectors, {entries} entries.")
    for name, vectors_ND in {**part.query_vectors, "the gallery": part.gallery_vectors_ND}.items():
        wrong = len(vectors_ND) - int(np.isfinite(vectors_ND).all(axis=1).sum())
        if wrong:
            raise ValueError(f"Vectors must be finite. Received: {wrong} of {name!r} that are not.")


def _complain(what, rows, lost_Q):
    if lost_Q.any():
        names = [str(rows["query_id"][row]) for row in np.flatnonzero(lost_Q)[:5]]
        raise ValueError(
            f"Every query needs {what}. Received: {lost_Q.sum()} without, the first ones {', '.join(names)}."
        )


def _stamp(part):
    def digest(ids):
        return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:12]

    return {
        "queries": len(part.rows["query_id"]),
        "gallery": len(part.gallery["ids"]),
        "queries_sha256": digest(part.rows["query_id"]),
        "gallery_sha256": digest(part.gallery["ids"]),
        **part.gaps,
    }
