"""What the page of a run says about one protocol, from its entry of results.json.

Dimension key: Q queries, P points.
"""

import numpy as np

from cir_tf.evaluation import edits
from cir_tf.evaluation.curves import recall_curve
from cir_tf.evaluation.intervals import bootstrap_interval
from cir_tf.evaluation.protocol import parse_metric
from cir_tf.evaluation.result import MODEL, REPORTED


def summarize(result):
    """Names, tables, curve and filters, ready to be laid out.

    Args:
        result: an entry of results.json.
    """
    queries, protocol = result["queries"], result["protocol"]
    kinds_Q, outcome = [edits.edits(text) for text in queries["text"]], outcomes(queries)
    present = {kind for kinds in kinds_Q for kind in kinds}
    choices = {
        "subset": list(result["data"]),
        "category": sorted({*queries["category"]} - {""}),
        "edit": [kind for kind in (*edits.EDITS, edits.OTHER) if kind in present],
        "outcome": [name for name, member_Q in outcome.items() if member_Q.any()],
    }
    if queries["category"] == queries["subset"]:
        choices["category"] = []
    return {
        "name": protocol["name"],
        "describe": result["describe"],
        "stamp": stamp(result),
        "protocol": [(key.replace("_", " "), _listed(value)) for key, value in protocol.items()],
        "columns": list(result["metrics"][MODEL]["overall"]),
        "rows": table_rows(result["metrics"]),
        "edits": edit_rows(result, kinds_Q),
        "outcomes": outcome_rows(result, outcome),
        "reference_kept": not protocol["exclude_reference"],
        "unanswerable": queries["rank"].count(0),
        "curve": recall_plot(result),
        "total": len(queries["rank"]),
        "choices": {name: values for name, values in choices.items() if len(values) > 1},
        "edit_Q": kinds_Q,
        "outcome_Q": [[name for name, member_Q in outcome.items() if member_Q[q]] for q in range(len(kinds_Q))],
    }


def stamp(result):
    """(label, value) pairs: what was measured, with what."""
    pairs = [("seed", result["seed"])]
    for subset, data in result["data"].items():
        of = f" of {subset}" if len(result["data"]) > 1 else ""
        pairs.append((f"queries{of}", f"{data['queries']:,} ({data['queries_sha256']})"))
        pairs.append((f"gallery entries{of}", f"{data['gallery']:,} ({data['gallery_sha256']})"))
        if data.get("missing") or data.get("bad"):
            pairs.append((f"pictures the copy lacks{of}", f"{data['missing']:,}, and {data['bad']:,} broken ones"))
    return pairs + ([("seconds", result["seconds"])] if "seconds" in result else [])


def table_rows(metrics):
    """Rows of the recall table: the model, the model by group, then every other set of query vectors.

    Args:
        metrics: `Result.metrics` as in results.json.
    """
    rows = []
    for name, summary in metrics.items():
        rows.append(_row(name, map(_cell, summary["overall"].values()), is_model=name == MODEL))
        if name == MODEL:
            groups = summary["groups"].items()
            rows += [_row(group, map(_cell, found.values()), True, is_group=True) for group, found in groups]
    return rows


def edit_rows(result, kinds_Q):
    """Rows of the table by kind of edit; a query counts for all its kinds.

    Args:
        result: an entry of results.json.
        kinds_Q: `edits.edits` of each text.
    """
    rows = []
    for kind in (*edits.EDITS, edits.OTHER):
        member_Q = np.array([kind in kinds for kinds in kinds_Q])
        if member_Q.any():
            values = result["queries"]["values"]
            rows.append(_row(kind, [_mean(result, value_Q, member_Q) for value_Q in values.values()], True, True))
    return rows


def outcomes(queries):
    """{how a query ended: bool [Q]}: right, the failures of `edits.failures`, and failures that are none of these.

    Args:
        queries: `Result.queries`.
    """
    rank_Q, failed = np.array(queries["rank"]), edits.failures(queries)
    explained_Q = np.any(list(failed.values()), axis=0)
    return {edits.RIGHT: rank_Q == 1, **failed, edits.UNEXPLAINED: (rank_Q > 1) & ~explained_Q}


def outcome_rows(result, outcome):
    """Rows of the table of outcomes; those that a protocol or a model cannot have say why.

    Args:
        result: an entry of results.json.
        outcome: `outcomes` of its queries.
    """
    unknown = dict.fromkeys(edits.FAILURES.keys() - outcome.keys(), "not known: the text alone has no vector here")
    if result["protocol"]["exclude_reference"]:
        unknown["reference came back"] = "it cannot: this protocol removes the reference from the ranking"
    rows = []
    for name in (edits.RIGHT, *edits.FAILURES, edits.UNEXPLAINED):
        row = {"name": name, "rule": unknown.get(name) or edits.FAILURES.get(name, "").format(reported=REPORTED)}
        if name not in unknown:
            row |= {"count": int(outcome[name].sum()), "share": _mean(result, outcome[name], slice(None))}
        rows.append(row)
    return rows


def recall_plot(result):
    """The curve of recall against k, in percent of its box, k on a logarithmic scale.

    Args:
        result: an entry of results.json.
    """
    queries, protocol = result["queries"], result["protocol"]
    largest = max(data["gallery"] - protocol["exclude_reference"] for data in result["data"].values())
    columns = queries["rank"], queries["subset"], queries["row"]
    k_P, estimates = recall_curve(*columns, max(largest, 2), result["seed"])

    def points(k_P, share_P):
        x_P = 100 * np.log(k_P) / np.log(max(largest, 2))
        return " ".join(f"{x:.2f},{100 - 100 * y:.2f}" for x, y in zip(x_P, share_P, strict=True))

    ticks = [10**power for power in range(len(str(largest)))]
    low_P, value_P, high_P = ([getattr(e, key) for e in estimates] for key in ("low", "value", "high"))
    return {
        "points": points(k_P, value_P),
        "band": points([*k_P, *k_P[::-1]], [*low_P, *high_P[::-1]]),
        "others": [
            {"name": name, "points": points(*zip(*found, strict=True))}
            for name, found in _recalls(result).items()
            if name != MODEL and len(found) > 1
        ],
        "x_ticks": [(f"{tick:,}", 100 * np.log(tick) / np.log(max(largest, 2))) for tick in ticks],
        "largest": largest,
    }


def _recalls(result):
    """{row name: [(k, R@k)]}, empty where R@k counts other images than the curve does."""
    if result["protocol"]["hit"] == "target":
        return {}
    found = {}
    for name, summary in result["metrics"].items():
        known = {metric: e["value"] for metric, e in summary["overall"].items() if metric.startswith("R@")}
        found[name] = sorted((parse_metric(metric)[1], value) for metric, value in known.items())
    return found


def _row(name, cells, is_model=False, is_group=False):
    cells = list(cells)
    return {"name": name, "is_model": is_model, "is_group": is_group, "n": cells[0]["n"], "cells": cells}


def _cell(estimate):
    """An estimate in percent."""
    return {"n": estimate["n"]} | {key: 100 * estimate[key] for key in ("value", "low", "high")}


def _mean(result, value_Q, member_Q):
    """The plain mean over some of the queries, of any subset, in percent."""
    queries = result["queries"]
    number = {subset: 10**9 * place for place, subset in enumerate(result["data"])}
    row_Q = np.array([number[subset] + row for subset, row in zip(queries["subset"], queries["row"], strict=True)])
    return _cell(bootstrap_interval(np.array(value_Q)[member_Q], result["seed"], row_Q=row_Q[member_Q])._asdict())


def _listed(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else value
