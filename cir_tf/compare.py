"""What differs between two scored runs, and how sure: `python -m cir_tf.compare RUN_A RUN_B [--protocol=NAME]`.

A side may be several runs of one config with different seeds, separated by commas.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from cir_tf import config as configs
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation import verdict
from cir_tf.evaluation.comparison import LEVEL, compare
from cir_tf.evaluation.intervals import RESAMPLES
from cir_tf.evaluation.matching import match
from cir_tf.evaluation.result import read_results

SIDES = ("A", "B")
SEED = 0  # of the intervals
NO_MATTER = ("seed", "evals", *configs.PLACES)  # keys of a config in which the runs of one side may differ


def read_side(argument):
    """{folder: results} of the runs that one argument names.

    Raises:
        UserError: no results, a run given twice, or runs that differ in more than the seed.
    """
    names = [argument] if Path(argument).is_dir() else map(str.strip, argument.split(","))
    folders = list(filter(None, names)) or [argument]
    runs, folder_of = {}, {}
    for folder in folders:
        results = read_results(folder)
        entry = _any(results)
        twin = folder_of.setdefault(entry.get("weights", folder), folder)
        if folder in runs or twin != folder:
            raise UserError(f"{twin} and {folder} are the same run; a side has every run once")
        runs[folder] = results
        changed = config_changes(_any(runs[folders[0]]), entry)
        if changed:
            raise UserError(
                f"{folders[0]} and {folder} differ in more than the seed ({', '.join(changed)}); a side is runs of one "
                "config"
            )
    return runs


def common_protocols(sides, wanted=()):
    """The protocols to compare: those wanted, or all that every run has.

    Raises:
        UserError: a run lacks a wanted one, or there is none in common.
    """
    runs = {folder: results for side in sides for folder, results in side.items()}
    for name in wanted:
        for folder, results in runs.items():
            if name not in results:
                raise UserError(
                    f"{folder} has no results of {name}, only of {', '.join(results)}; score it with "
                    f"python -m cir_tf.evaluate --workdir={folder} --protocol={name}"
                )
    names = wanted or [name for name in _any(runs) if all(name in results for results in runs.values())]
    if not names:
        has = "; ".join(f"{folder} has {', '.join(results)}" for folder, results in runs.items())
        raise UserError(
            f"no protocol is in all runs: {has}; score one more with python -m cir_tf.evaluate --workdir=RUN "
            "--protocol=NAME"
        )
    return names


def compare_runs(name, sides, queries=10):
    """Two sides under one protocol.

    Args:
        name: of the protocol.
        sides: {folder: results} of A and of B.
        queries: how many of those whose rank changes most are listed.

    Returns:
        Dict of JSON values and `Change`s.

    Raises:
        UserError: results that cannot be compared.
    """
    answers, entry = match(name, sides), _any(sides[0])[name]
    subset_Q = np.array(answers.columns["subset"])
    a, b = ({metric: value_SQ.mean(axis=0) for metric, value_SQ in side.items()} for side in answers.values)

    def changes(member_Q, part_Q=None):
        return {
            metric: compare(a[metric][member_Q], b[metric][member_Q], answers.row_Q[member_Q], part_Q, SEED, len(a))
            for metric in a
        }

    overall = changes(np.full(len(subset_Q), True), subset_Q)
    groups = {group: changes(member_Q) for group, member_Q in _groups(answers.columns).items()}
    seeds = {metric: [means(side[metric], subset_Q) for side in answers.values] for metric in a}
    return {
        "describe": entry["describe"],
        "runs": {letter: _facts(side, name) for letter, side in zip(SIDES, sides, strict=True)},
        "config": config_changes(*(_any(side)[name] for side in sides)),
        "data": entry["data"],
        "intervals": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        "seeds": {metric: dict(zip(SIDES, found, strict=True)) for metric, found in seeds.items()},
        "overall": overall,
        "groups": groups,
        "sentences": verdict.sentences(overall, seeds, len(subset_Q)),
        "notes": verdict.notes(
            metrics=len(a),
            groups=len(groups),
            subsets=len(entry["data"]),
            is_by_row=has_rows(answers.row_Q),
            seeds=tuple(map(len, sides)),
        )
        + _remarks(sides, name),
        "queries": _largest(answers, queries),
    }


def has_rows(row_Q):
    """Whether some queries were made of one row."""
    return len(np.unique(row_Q)) < len(row_Q)


def means(value_SQ, part_Q):
    """The plain mean over the parts of the means over their queries, for each seed: list of S floats."""
    return np.mean([value_SQ[:, part_Q == part].mean(axis=1) for part in np.unique(part_Q)], axis=0).tolist()


def _groups(columns):
    """{name: which queries, bool [Q]}: the subsets, where there are several, and the protocol's groups."""
    subsets, found = sorted(set(columns["subset"])), {}
    if len(subsets) > 1:
        found = {subset: np.array(columns["subset"]) == subset for subset in subsets}
    names = sorted({name for names in columns["groups"] for name in names})
    return found | {group: np.array([group in names for names in columns["groups"]]) for group in names}


def _largest(answers, count):
    """The queries whose rank changes by the largest factor; ranks are geometric means over seeds."""
    log_a_Q, log_b_Q = (np.log(rank_SQ).mean(axis=0) for rank_SQ in answers.ranks)
    change_Q = np.abs(log_b_Q - log_a_Q).round(9)
    order = np.argsort(-change_Q, kind="stable")[:count]
    return [
        {
            "query_id": answers.columns["query_id"][place],
            "text": answers.columns["text"][place],
            "rank": [round(float(np.exp(log_Q[place])), 1) for log_Q in (log_a_Q, log_b_Q)],
        }
        for place in order
        if change_Q[place]
    ]


def _facts(side, name):
    """What is known of the runs of a side."""
    return [
        {
            "folder": folder,
            "seed": results[name].get("config", {}).get("seed"),
            "weights": results[name].get("weights"),
            "version": results[name]["version"],
        }
        for folder, results in side.items()
    ]


def _remarks(sides, name):
    """What is unusual about the runs."""
    found, entries = [], [results[name] for side in sides for results in side.values()]
    weights = [{results[name].get("weights") for results in side.values()} for side in sides]
    if weights[0] & weights[1] - {None}:
        found.append("A and B have a run in common (equal weights).")
    versions = sorted({entry["version"] for entry in entries})
    if len(versions) > 1:
        found.append(f"The runs were scored by different versions of this library: {', '.join(versions)}.")
    return found


def config_changes(one, other):
    """{key: [value, value]} of what differs between two entries' configs, seeds and places aside."""
    one, other = (_flat(entry.get("config", {})) for entry in (one, other))
    keys = [key for key in {**one, **other} if key.partition(".")[0] not in NO_MATTER]
    return {key: [one.get(key), other.get(key)] for key in keys if one.get(key) != other.get(key)}


def _flat(values, prefix=""):
    """{"optimizer.name": …} of nested dicts."""
    found = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _any(values):
    return next(iter(values.values()))


def plain(value):
    """Nested values with every named tuple as a dict."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.compare", description=__doc__)
    parser.add_argument("run_a", metavar="RUN_A", help="folder of a scored run, or several of other seeds: A1,A2,A3")
    parser.add_argument("run_b", metavar="RUN_B", help="the same of the run to compare it with")
    parser.add_argument("--protocol", action="append", default=[], help="default: all in common; may be repeated")
    parser.add_argument("--to", default="", metavar="FILE", help="also write the figures, as JSON")
    parser.add_argument("--queries", type=int, default=10, help="queries listed that change most (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.queries < 0:
        raise UserError(f"--queries={arguments.queries} must be 0 or more")
    sides = read_side(arguments.run_a), read_side(arguments.run_b)
    names = common_protocols(sides, arguments.protocol)
    found = {name: compare_runs(name, sides, arguments.queries) for name in names}
    print("\n\n\n".join(map(verdict.to_text, found.values())))
    if arguments.to:
        configs.write_json(arguments.to, plain(found))
        print(f"\nwrote {arguments.to}")
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
