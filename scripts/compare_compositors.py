"""Train every composition with one equal budget and write the table: `python scripts/compare_compositors.py`.

Each run has its own work folder below --runs, so that a stopped comparison goes on where it was. The table in
docs/results.md is made from those folders, and keeps the rows of compositions that have none there; --table_only makes
it again without training.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cir_tf import registry
from cir_tf.evaluation.intervals import bootstrap_interval

ROOT = Path(__file__).resolve().parent.parent
# recipe -> (seeds, steps, the protocols of its table; the first is the one it is sorted by)
PLAN = {
    "emoji_edits/sum_tiny.py": (
        (0, 1, 2),
        500,
        ("emoji_edits_test", "emoji_edits_validation", "emoji_edits_test_paraphrase", "emoji_edits_test_roles"),
    ),
    "css/tirg_tiny.py": ((0,), 800, ("css3d_generated_test", "css3d_generated_validation")),
}


# What a compositor needs beside its name: a text of plain words, lengths that its own vectors learn; and of the tower's
# four maps the two deepest, as attention over the 324 places of the next one would take ten times as long.
NEEDS = {
    "attribute_as_operator": {"text_encoder.width": 64},  # 64 matrices of 256 x 256
    "comqueryformer": {
        "objective.length": "own",
        "compositor.levels": 2,
        "compositor.layers": 2,
        "compositor.mlp_ratio": 2,
    },
    "show_and_tell": {"text_encoder.name": "text_words"},
    "val": {"compositor.levels": 2},
}
# Besides every compositor as it is: what a changed argument shows.
VARIANTS = {
    "val_semi_hard": {"compositor.name": "val", "compositor.levels": 2, "objective.name": "semi_hard"},
    "tirg_even": {"compositor.name": "tirg", "compositor.mix": (1.0, 1.0)},
    "sum_unmoved": {"compositor.name": "sum", "augment.shift_pixels": 0},
    "sum_all_words": {"compositor.name": "sum", "augment.unknown_word_share": 0.0},
}


def compositions():
    """Name of a row -> what it changes in the recipe."""
    names = registry.available("compositors")
    return {name: {"compositor.name": name} | NEEDS.get(name, {}) for name in names} | VARIANTS


def workdir(runs, recipe, name, seed):
    """The work folder of one run."""
    return runs / recipe.partition("/")[0] / f"{name}_seed{seed}"


def train(runs, recipe, name, seed, steps):
    """Train and evaluate one composition; a finished run is left as it is."""
    folder = workdir(runs, recipe, name, seed)
    if (folder / "results.json").exists():
        return
    overrides = compositions()[name] | {"seed": seed, "total_steps": steps}
    start = time.monotonic()
    command = [sys.executable, "-m", "cir_tf.train", f"--config={recipe}", f"--workdir={folder}", "--no_export"]
    subprocess.run(command + [f"--config.{key}={value}" for key, value in overrides.items()], check=True, cwd=ROOT)
    (folder / "seconds").write_text(f"{time.monotonic() - start:.0f}\n")


def rows_of(runs, recipe):
    """A dict per composition with a run: name, minutes, {protocol: Estimates of R@1 and R@10, R@1 of each seed}."""
    seeds, _, protocols = PLAN[recipe]
    found = []
    for name in compositions():
        folders = [workdir(runs, recipe, name, seed) for seed in seeds]
        folders = [folder for folder in folders if (folder / "results.json").exists()]
        if not folders:
            continue
        results = [json.loads((folder / "results.json").read_text()) for folder in folders]
        minutes = np.mean([float((folder / "seconds").read_text()) for folder in folders]) / 60
        cells = {}
        for protocol in protocols:
            rank_SQ = np.array([result[protocol]["queries"]["rank"] for result in results])
            category_Q = np.array(results[0][protocol]["queries"]["category"])
            hit_SQ = (rank_SQ >= 1) & (rank_SQ <= 1)
            cells[protocol] = {
                # Over seeds the mean of each query; over queries the interval.
                "recall_at_1": bootstrap_interval(hit_SQ.mean(0)),
                "recall_at_10": bootstrap_interval(((rank_SQ >= 1) & (rank_SQ <= 10)).mean(0)),
                "seeds": hit_SQ.mean(1),
                "groups": {kind: hit_SQ[:, category_Q == kind].mean() for kind in np.unique(category_Q)},
            }
        found.append({"name": name, "minutes": minutes, "cells": cells})
    return found


def table_of(runs, recipe, before):
    """The Markdown table of a recipe's runs, best first.

    Args:
        runs, recipe: as in `rows_of`.
        before: the table so far; its rows of compositions without runs are kept.
    """
    seeds, steps, protocols = PLAN[recipe]
    rows = rows_of(runs, recipe)
    if not rows:
        return before
    several = f"seeds {', '.join(map(str, seeds))} as far as there are figures"
    said = several if len(seeds) > 1 else f"seed {seeds[0]}"
    lines = [f"{steps} steps each, {said}; R@1 in percent with 95 % interval over queries.", ""]
    kinds = sorted(rows[0]["cells"][protocols[0]]["groups"])
    heads = [f"{protocols[0]} R@1", "R@10", *kinds, *(f"{protocol} R@1" for protocol in protocols[1:])]
    if len(seeds) > 1:
        heads.append("R@1 of each seed")
    heads.append("minutes")
    lines += [f"| compositor | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    line_of = {_cell(line, 1): line for line in before.splitlines() if _cell(line, 1) in compositions()}
    for row in rows:
        first = row["cells"][protocols[0]]
        cells = [_estimate(first["recall_at_1"]), _estimate(first["recall_at_10"])]
        cells += [f"{100 * first['groups'][kind]:.1f}" for kind in kinds]
        cells += [_estimate(row["cells"][protocol]["recall_at_1"]) for protocol in protocols[1:]]
        if len(seeds) > 1:
            cells.append(" / ".join(f"{100 * value:.1f}" for value in first["seeds"]))
        line_of[row["name"]] = f"| {row['name']} | {' | '.join(cells)} | {row['minutes']:.1f} |"
    return "\n".join(lines + sorted(line_of.values(), key=lambda line: -float(_cell(line, 2).split()[0])))


def _cell(line, number):
    """The text of a cell of a table's line, counted from 1; "" where there is none."""
    return [*line.split("|"), "", ""][number].strip()


def _estimate(estimate):
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def write_tables(runs, path):
    """Replace what stands between the markers of each recipe in a Markdown page."""
    text = path.read_text(encoding="utf-8")
    for recipe in PLAN:
        begin, end = f"<!-- table {recipe} -->\n", f"<!-- end {recipe} -->"
        head, _, rest = text.partition(begin)
        before, _, rest = rest.partition(end)
        text = head + begin + table_of(runs, recipe, before.rstrip("\n")) + "\n" + end + rest
    path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "compare", help="where the work folders lie")
    parser.add_argument("--table_only", action="store_true", help="make the tables from the runs that are there")
    parser.add_argument("--only", default="", help="one recipe of the plan")
    parser.add_argument("--compositions", default=",".join(compositions()), help="those to train (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.table_only:
        for recipe, (seeds, steps, _) in PLAN.items():
            for seed in seeds if arguments.only in ("", recipe) else ():
                for name in arguments.compositions.split(","):
                    train(arguments.runs.resolve(), recipe, name, seed, steps)
    write_tables(arguments.runs, ROOT / "docs" / "results.md")


if __name__ == "__main__":
    main()
