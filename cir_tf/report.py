"""The page of a run, one HTML file with everything in it: `python -m cir_tf.report --workdir=RUN [--to=FILE]`."""

import argparse
import base64
import functools
import hashlib
import itertools
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jinja2
import numpy as np
from markupsafe import Markup

from cir_tf import config as configs
from cir_tf.data.album import Album
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation.edits import EDITS, FAILURES, OTHER
from cir_tf.evaluation.result import read_results
from cir_tf.evaluation.summary import summarize

SHOWN = 8  # results of a query
MAX_MB = 8.0  # size of the page
LOSS_POINTS = 200
RULE = '.p{}{{background-image:url("{}")}}\n'  # the style of a picture; shared by all places that show it


def report_run(workdir, to="", max_mb=MAX_MB):
    """Write the page of a scored run and return its path.

    Args:
        workdir: folder of a run with results.json.
        to: the file to write; empty: `report.html` in the folder.
        max_mb: size of the page in millions of bytes: as many queries are shown as fit, of each protocol in turn.

    Raises:
        UserError: no run, no readable results, pictures that are not there, or a file that cannot be written.
    """
    if not 0 <= max_mb < np.inf:
        raise UserError(f"--max_mb={max_mb} must be a number of megabytes, 0 or more")
    workdir = Path(workdir)
    config, results = configs.read(workdir), read_results(workdir)
    page, card_template = templates()
    # One empty card, so that what stands around the cards is measured too.
    sections = [summarize(result) | {"cards": [""]} for result in results.values()]
    pictures = {}
    html = functools.partial(
        page.render,
        title=workdir.resolve().name,
        facts=run_facts(config, next(iter(results.values()))),
        # Where the data lay is nobody's business but the user's.
        config=json.dumps(
            {key: value for key, value in json.loads(config.to_json()).items() if key not in configs.PLACES}, indent=2
        ),
        loss=loss_curve(workdir),
        sections=sections,
        pictures=pictures,
        max_mb=max_mb,
    )
    room, album = 1e6 * max_mb - _size(html()), Album(config.data_dir)
    cards = choose(results.values(), sections, album, card_template, room, pictures)
    for part, of_part in zip(sections, cards, strict=True):
        part["cards"] = of_part
    path = Path(to) if to else workdir / "report.html"
    try:
        configs.write_text(path, html())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return path


def templates():
    """The templates of the page and of a query on it."""
    loader = jinja2.PackageLoader("cir_tf")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css, js = (loader.get_source(environment, f"report.{kind}")[0] for kind in ("css", "js"))
    # The hash stands in the page's policy: a browser runs this script and no other.
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()
    environment.globals.update(css=Markup(css), js=Markup(js), js_sha256=digest, shown=SHOWN)
    environment.globals.update(edit_words=EDITS, other=OTHER, failures=FAILURES)
    return environment.get_template("report.html"), environment.get_template("report_query.html")


def run_facts(config, result):
    """(label, value) pairs: the run in a line."""
    facts = [
        ("trained on", f"{config.dataset}/{config.subset} {config.train_split}"),
        ("encoders", f"{config.image_encoder.name} + {config.text_encoder.name}"),
        ("composition", config.compositor.name),
        ("objective", config.objective.name),
        ("steps", f"{config.total_steps:,}"),
        ("batch", config.batch_size),
        ("seed", config.seed),
        ("cir_tf", result["version"]),
        *result.get("versions", {}).items(),
    ]
    return facts + ([("weights", result["weights"])] if "weights" in result else [])


def choose(results, sections, album, template, room, pictures):
    """As many queries as there is room for, one of each protocol in turn: for each a list of HTML, in dataset order.

    Args:
        results: entries of results.json.
        sections: their `summarize`.
        album: `Album`.
        template: of a query.
        room: bytes.
        pictures: {number: CSS rule} of the pictures on the page; those of the queries are added.
    """
    cards = [{} for _ in sections]
    for place, result, part, row in in_turn(results, sections) if room > 0 else ():
        card = query_card(result, part, row, album)
        html = template.render(card=card)
        numbers = {shown["number"] for shown in (card["reference"], card["target"], *card["results"])}
        fresh = {number: RULE.format(number, album.uris[number]) for number in numbers - pictures.keys()}
        room -= _size(html) + 1 + sum(map(len, fresh.values()))  # a card ends its line
        if room < 0:
            break
        cards[place][row] = Markup(html)
        pictures.update((number, Markup(rule)) for number, rule in fresh.items())
    return [[found[row] for row in sorted(found)] for found in cards]


def in_turn(results, sections):
    """(place, result, section, row) of every query: the first drawn of each protocol, the second of each, …"""
    drawn = []
    for result in results:
        columns = result["queries"]
        strata = zip(columns["subset"], columns["category"], strict=True)
        drawn.append(drawn_evenly(np.array([f"{subset}/{category}" for subset, category in strata])))
    for rows in itertools.zip_longest(*drawn):
        for place, (result, part, row) in enumerate(zip(results, sections, rows, strict=True)):
            if row is not None:
                yield place, result, part, row


def drawn_evenly(stratum_Q, seed=0):
    """All rows in a random order whose beginnings have as many of each stratum as there are."""
    order_Q = np.random.default_rng(seed).permutation(len(stratum_Q))
    order_Q = order_Q[np.argsort(stratum_Q[order_Q], kind="stable")]
    _, first, code_Q = np.unique(stratum_Q[order_Q], return_index=True, return_inverse=True)
    turn_Q = np.arange(len(order_Q)) - first[code_Q]
    return order_Q[np.argsort(turn_Q, kind="stable")].tolist()


def query_card(result, part, row, album):
    """One query with its best results."""
    protocol, columns = result["protocol"], result["queries"]
    keys = ("query_id", "text", "category", "subset", "reference_id", "target_ids", "ranked_ids", "rank")
    query = {key: columns[key][row] for key in keys}
    targets, rank, ranked = query["target_ids"], query["rank"], query["ranked_ids"][:SHOWN]

    def show(split, name):
        return {"name": name, "number": album.number(protocol["dataset"], query["subset"], split, name)}

    results = [show(protocol["gallery"], name) for name in ranked]
    # Of a class `targets` are some of many; results of an earlier version say no more.
    hits = columns["hits"][row] if "hits" in columns else [name in targets for name in ranked]
    for shown, is_hit in zip(results, hits, strict=False):
        is_reference = shown["name"] == query["reference_id"]
        shown["mark"] = "hit" if is_hit else "back" if is_reference else ""
    right = [shown["name"] for shown in results if shown["mark"] == "hit"]
    others = [name for name in targets if name != query["reference_id"]]
    return query | {
        "edits": part["edit_Q"][row],
        "outcomes": part["outcome_Q"][row],
        "grade": "none" if not rank else "first" if rank == 1 else "near" if rank <= SHOWN else "far",
        "gallery": result["data"][query["subset"]]["gallery"] - protocol["exclude_reference"],
        "reference": show(protocol["reference_gallery"], query["reference_id"]),
        "target": show(protocol["gallery"], [*right, *others, *targets][0]),
        "accepted": columns["accepted"][row] if "accepted" in columns else len(targets),
        "results": results,
        "choices": part["choices"],
    }


def loss_curve(workdir):
    """The loss by step for the plot: points in percent of its box, ticks and the last figures; None if not logged."""
    path = Path(workdir) / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    logged = np.array([point for point in map(_point, lines) if point])
    if not len(logged):
        return None
    groups = np.array_split(logged, min(len(logged), LOSS_POINTS))
    step_P, loss_P = np.array([group.mean(axis=0) for group in groups]).T
    ticks = _ticks(min(0.0, loss_P.min()), loss_P.max())
    last = logged[-1, 0]
    y_P = 100 * (1 - (loss_P - ticks[0]) / (ticks[-1] - ticks[0]))
    points = [f"{x:.2f},{y:.2f}" for x, y in zip(100 * step_P / max(last, 1), y_P, strict=True)]
    return {
        "points": " ".join(points * 2 if len(points) == 1 else points),
        "y_ticks": [(f"{tick:g}", 100 * k / (len(ticks) - 1)) for k, tick in enumerate(ticks)],
        "last_step": int(last),
        "last_loss": logged[-1, 1],
    }


def _point(line):
    """(step, loss) of a line of metrics.jsonl, or None: a kill may have cut it off."""
    try:
        entry = json.loads(line)
        point = float(entry["step"]), float(entry["loss"])
    except (ValueError, KeyError, TypeError):
        return None
    return point if np.isfinite(point).all() else None


def _ticks(low, high):
    """Round numbers, evenly spaced, from at or below `low` to at or above `high`."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return step * np.arange(np.floor(low / step), np.ceil(high / step - 1e-9) + 1)


def _size(html):
    return len(html.encode())


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.report", description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of a scored run")
    parser.add_argument("--to", default="", metavar="FILE", help="default: report.html in the run's folder")
    parser.add_argument("--max_mb", type=float, default=MAX_MB, help="size of the page; %(default)s, shows what fits")
    arguments = parser.parse_args(argv)
    path = report_run(arguments.workdir, arguments.to, arguments.max_mb)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
