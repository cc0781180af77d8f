"""Tune a run's index: `python -m cir_tf.tune_index --workdir=RUN [--protocol=NAME] [--target_recall=0.95]`.

Recall against exact search, and time, over a ladder of settings, on the composed queries of a protocol.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cir_tf import assemble, evaluate
from cir_tf import config as configs
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation.result import MODEL

K = 10
FILE, PLOT = "tuning.json", "tuning.png"
HEAD = f"{'leaves searched':>24}{'reordered':>11}{'recall@' + str(K):>11}{'ms a query':>12}{'ms alone':>10}"


def tune_run(config, model, workdir, protocol_name="", target_recall=0.95):
    """Tune the index of a run and write table, `tuning.json` and `tuning.png`.

    Args:
        config: the run's `ConfigDict`.
        model: its `Retriever`.
        workdir: its folder.
        protocol_name: whose queries and gallery; empty: the config's first protocol.
        target_recall: share of the exact best 10 that must be found, above 0 and at most 1.

    Returns:
        What was written to `tuning.json`; {} where the search is exact and there is nothing to tune.

    Raises:
        UserError: no such protocol, or a target that is not a share.
    """
    if not 0 < target_recall <= 1:
        raise UserError(f"--target_recall must be above 0 and at most 1, not {target_recall}")
    if not (protocol_name or config.evals):
        raise UserError("the run's config names no protocol; give one with --protocol")
    protocol = evaluate.find_protocol(protocol_name or config.evals[0])
    subset, index = protocol.subsets[0], assemble.index(config)
    count = evaluate.gallery_size(config, protocol, subset)
    print(f"{protocol.name}: {count} gallery pictures of {subset}, index {index.kind}")
    if index.is_exact_at(count):
        print("the search of a gallery of this size is exact: there is nothing to tune")
        return {}
    encoder = assemble.weights_hash(model)
    try:
        part = evaluate.Scorer(config, model).part(protocol, subset)
        index.build(part.gallery_vectors_ND, part.gallery["ids"], encoder)
        tuning = index.tune(part.query_vectors[MODEL], target_recall, K)
    except ValueError as error:
        raise UserError(f"{protocol.name} cannot be searched: {error}") from error
    tuning = {"protocol": protocol.name, "encoder": encoder, "data": index.stamp, **tuning}
    print(to_text(tuning))
    configs.write_json(Path(workdir) / FILE, tuning)
    draw(tuning, Path(workdir) / PLOT)
    print(f"written: {Path(workdir) / FILE}, {Path(workdir) / PLOT}")
    return tuning


def to_text(tuning):
    """The measured settings as a table; the chosen one is marked and said in words."""
    chosen = tuning["chosen"]
    lines = [HEAD]
    for rung in tuning["curve"]:
        mark = "  <-" if rung == chosen else ""
        leaves = f"{rung['leaves']} ({100 * rung['searched_share']:.1f} %)"
        times = f"{rung['milliseconds']:>12.3f}{rung['single_milliseconds']:>10.3f}"
        lines.append(f"{leaves:>24}{rung['reordered']:>11}{rung['recall']:>11.4f}{times}{mark}")
    times = f"{tuning['exact_milliseconds']:>12.3f}{tuning['exact_single_milliseconds']:>10.3f}"
    lines.append(f"{'exact':>24}{'':>11}{1:>11.4f}{times}")
    faster = tuning["exact_milliseconds"] / chosen["milliseconds"]
    if not tuning["reached"]:
        lines.append(f"no setting reaches {tuning['target_recall']}; the best one is marked")
    lines.append(
        f"recall {chosen['recall']:.4f} on {tuning['queries']} queries, {faster:.1f} times as fast as exact: "
        f"index searched_share={chosen['searched_share']}, reordered={chosen['reordered']}"
    )
    return "\n".join(lines)


def draw(tuning, path):
    """Plot recall against the time of a query, a line for each number of reordered candidates; a PNG file."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{path.name} is not drawn: install matplotlib") from error
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", xlabel="milliseconds a query, in a batch", ylabel=f"recall@{tuning['k']} against exact"
    )
    for reordered in sorted({rung["reordered"] for rung in tuning["curve"]}):
        line = [rung for rung in tuning["curve"] if rung["reordered"] == reordered]
        times, recalls = [rung["milliseconds"] for rung in line], [rung["recall"] for rung in line]
        axes.plot(times, recalls, marker="o", label=f"{reordered} reordered")
    chosen = tuning["chosen"]
    axes.plot(chosen["milliseconds"], chosen["recall"], "k*", markersize=14, zorder=3, label="chosen")
    axes.plot(tuning["exact_milliseconds"], 1, "kx", label="exact")
    axes.axhline(tuning["target_recall"], color="grey", linestyle=":", label=f"target {tuning['target_recall']}")
    axes.set_title(f"{tuning['protocol']}: {tuning['count']} pictures, {tuning['queries']} queries")
    axes.legend()
    unfinished = path.with_name(f".{path.name}.part")
    figure.savefig(unfinished, format="png", dpi=120)
    unfinished.replace(path)


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.tune_index", description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", required=True, help="folder of a trained run")
    parser.add_argument("--protocol", default="", help="whose queries and gallery; default: the first of the config")
    parser.add_argument("--target_recall", type=float, default=0.95, help="of the exact best 10 (%(default)s)")
    arguments = parser.parse_args(argv)
    config, model = assemble.trained(arguments.workdir)
    tune_run(config, model, arguments.workdir, arguments.protocol, arguments.target_recall)
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
