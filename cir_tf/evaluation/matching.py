"""Brings results of several runs together query by query, and refuses those that do not belong together.

Dimension key: Q queries, S runs (seeds) of one side.
"""

from typing import Any, NamedTuple

import numpy as np

from cir_tf.errors import UserError

SAME = ("reference_id", "text", "target_ids")  # of every query, besides what the stamp says
STAMP = {"queries_sha256": "queries", "gallery_sha256": "gallery"}


class Answers(NamedTuple):
    """Two sides' answers to the same queries, sorted by subset and id.

    Attributes:
        columns: {name: list of Q entries}, the columns of a result that do not depend on the run, and others of A's
            first run.
        row_Q: number of the row each query was made of, over all subsets.
        values: for each side {metric: float64 [S, Q]}.
        ranks: for each side int [S, Q]; one behind the gallery where there is no accepted target.
    """

    columns: dict
    row_Q: Any
    values: tuple[dict, dict]
    ranks: tuple[Any, Any]


def match(name, sides):
    """The `Answers` of two sides under one protocol.

    Args:
        name: of the protocol.
        sides: {folder: results} of A and of B, results as `read_results` gives them.

    Raises:
        UserError: protocols of one name that are not the same, or other queries, galleries, texts or targets.
    """
    runs = [(folder, results[name]) for side in sides for folder, results in side.items()]
    (first, one), tables = runs[0], []
    for folder, entry in runs:
        _check_protocol(name, first, one["protocol"], folder, entry["protocol"])
        _check_stamp(name, first, one["data"], folder, entry["data"])
        tables.append(_sorted(entry["queries"]))
        _check_queries(name, first, tables[0], folder, tables[-1])
    columns, split = tables[0], len(sides[0])
    row = list(zip(columns["subset"], columns["row"], strict=True))
    number = {key: place for place, key in enumerate(dict.fromkeys(row))}
    last_Q = np.array([one["data"][subset]["gallery"] + 1 for subset in columns["subset"]])
    rank_SQ = np.array([table["rank"] for table in tables])
    rank_SQ = np.where(rank_SQ > 0, rank_SQ, last_Q)
    return Answers(
        columns,
        np.array([number[key] for key in row]),
        tuple(
            {metric: np.array([table[metric] for table in side], np.float64) for metric in one["queries"]["values"]}
            for side in (tables[:split], tables[split:])
        ),
        (rank_SQ[:split], rank_SQ[split:]),
    )


def _sorted(queries):
    """The columns and the metrics side by side, sorted by subset and id; equal ids stay in their order."""
    key = list(zip(queries["subset"], queries["query_id"], strict=True))
    order = sorted(range(len(key)), key=key.__getitem__)
    columns = {name: column for name, column in queries.items() if isinstance(column, list)} | queries["values"]
    return {name: [column[place] for place in order] for name, column in columns.items()}


def _check_protocol(name, first, one, folder, other):
    missing = "missing"
    keys = [key for key in {**one, **other} if one.get(key, missing) != other.get(key, missing)]
    if keys:
        changed = "; ".join(f"{key} is {one.get(key, missing)} and {other.get(key, missing)}" for key in keys)
        raise UserError(f"{name} is not the same protocol in {first} and {folder}: {changed}; score both runs again")


def _check_stamp(name, first, one, folder, other):
    for subset, stamp in one.items():
        theirs = other.get(subset, {})
        for key, what in STAMP.items():
            if theirs.get(key) != stamp[key]:
                counts = f"{stamp[what]} ({stamp[key]}) and {theirs.get(what)} ({theirs.get(key)})"
                raise UserError(
                    f"{name}: {first} and {folder} were scored on other data: {what} of {subset}, {counts}; "
                    "score both runs on the same copy"
                )


def _check_queries(name, first, one, folder, other):
    for key in SAME:
        ids = [query_id for query_id, a, b in zip(one["query_id"], one[key], other[key], strict=True) if a != b]
        if ids:
            raise UserError(
                f"{name}: {first} and {folder} were scored on other data: {key} of {len(ids)} queries, the first "
                f"{ids[0]}; score both runs on the same copy"
            )
