"""The page of a run, one HTML file with everything in it: `python -m cir_tf.report --workdir=RUN [--to=FILE]`."""

import argparse
import base64
import io
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jinja2
import numpy as np
from PIL import Image

from cir_tf import config as configs
from cir_tf.data import source
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation.runner import MODEL

SHOWN = 8  # results of a query
SIDE = 144  # pixels: larger pictures are made smaller
KEPT_BYTES = 16_000  # larger files are encoded anew
CURVE_POINTS = 200
RESULT_KEYS = {"protocol", "describe", "seed", "version", "data", "index", "metrics", "queries"}


def report_run(workdir, to="", examples=24):
    """Write the page of a scored run and return its path.

    Args:
        workdir: folder of a run with results.json.
        to: the file to write; empty: `report.html` in the folder.
        examples: sample queries of the first protocol, with half as many failures; other protocols show a quarter of
            each.

    Raises:
        UserError: no run, no readable results, pictures that are not there, or a file that cannot be written.
    """
    workdir = Path(workdir)
    if examples < 0:
        raise UserError(f"--examples={examples} must be 0 or more")
    config, results = configs.read(workdir), read_results(workdir)
    album = Album(config.data_dir)
    quarter = -(-examples // 4)
    sections = [
        section(result, album, *((quarter, quarter) if place else (examples, -(-examples // 2))))
        for place, result in enumerate(results.values())
    ]
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("cir_tf"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    ).get_template("report.html")
    html = template.render(
        title=workdir.resolve().name,
        facts=run_facts(config, next(iter(results.values()))),
        # Where the data lay is nobody's business but the user's.
        config=json.dumps({k: v for k, v in config.to_dict().items() if k != "data_dir"}, indent=2),
        curve=curve(workdir),
        sections=sections,
        pictures=album.css_of_uri,
        shown=SHOWN,
    )
    path = Path(to) if to else workdir / "report.html"
    try:
        configs.write_text(path, html)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return path


def read_results(workdir):
    """{protocol name: result} of a run's results.json.

    Raises:
        UserError: there is none, or it is cut off or not of this shape.
    """
    path = Path(workdir) / "results.json"
    remedy = f"score the run with python -m cir_tf.evaluate --workdir={workdir}"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{workdir} has no results.json yet; {remedy}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {remedy}") from error
    entries = list(results.values()) if isinstance(results, dict) else []
    if not entries or not all(isinstance(entry, dict) and entry.keys() >= RESULT_KEYS for entry in entries):
        raise UserError(f"{path} holds no results of this version; {remedy}")
    return results


class Album:
    """The pictures of a page: found by id, made small, and kept once however often they are shown.

    Args:
        data_dir: where prepared datasets lie.
    """

    def __init__(self, data_dir):
        self.css_of_uri = {}  # data URI -> CSS class
        self._data_dir = data_dir
        self._galleries = {}
        self._shown = {}

    def show(self, protocol, split, name):
        """{"css", "name"} of a picture of the protocol's dataset.

        Args:
            protocol: dict with "dataset" and "subset".
            split: of the gallery view.
            name: the picture's id.
        """
        place = protocol["dataset"], protocol["subset"], split
        if (place, name) not in self._shown:
            uri = data_uri(self._encoded(place, name))
            self._shown[place, name] = self.css_of_uri.setdefault(uri, f"p{len(self.css_of_uri)}")
        return {"css": self._shown[place, name], "name": name}

    def _encoded(self, place, name):
        dataset, subset, split = place
        if place not in self._galleries:
            builder = source.open_builder(dataset, f"{subset}_gallery", self._data_dir)
            gallery = source.read_gallery(builder, split)
            self._galleries[place] = dict(zip(gallery.ids, gallery.encoded_N, strict=True))
        try:
            return self._galleries[place][name]
        except KeyError:
            raise UserError(
                f"{dataset}/{subset}_gallery {split} has no picture {name!r}: the results are of other data; "
                "score the run again with python -m cir_tf.evaluate"
            ) from None


def data_uri(encoded):
    """A picture as text: small PNG and JPEG files as they are, others as JPEG of at most `SIDE` pixels."""
    with Image.open(io.BytesIO(encoded)) as picture:
        kind = picture.format
        if kind not in ("PNG", "JPEG") or max(picture.size) > SIDE or len(encoded) > KEPT_BYTES:
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            file, kind = io.BytesIO(), "JPEG"
            small.save(file, kind, quality=80)
            encoded = file.getvalue()
    return f"data:{Image.MIME[kind]};base64,{base64.b64encode(encoded).decode()}"


def run_facts(config, result):
    """(label, value) pairs: the run in a line."""
    return [
        ("trained on", f"{config.dataset}/{config.subset} {config.train_split}"),
        ("encoders", f"{config.image_encoder.name} + {config.text_encoder.name}"),
        ("composition", config.compositor.name),
        ("objective", config.objective.name),
        ("steps", f"{config.total_steps:,}"),
        ("batch", config.batch_size),
        ("seed", config.seed),
        ("version", result["version"]),
    ]


def section(result, album, samples, failures):
    """What the page shows of one protocol.

    Args:
        result: an entry of results.json.
        album: `Album`.
        samples: how many queries to draw at random, evenly from the categories.
        failures: how many of the queries with the lowest-ranked targets to add.
    """
    queries = result["queries"]
    rank_Q, category_Q = np.array(queries["rank"]), np.array(queries["category"])
    worst = np.argsort(-rank_Q, kind="stable")[:failures]
    data, index = result["data"], result["index"]
    exact = "exact" if index["is_exact"] else f"recall@10 {100 * index['recall']:.1f} %"
    stamp = [
        ("queries", f"{data['queries']} ({data['queries_sha256']})"),
        ("gallery entries", f"{data['gallery']} ({data['gallery_sha256']})"),
        ("index", f"{index['kind']}, {exact}"),
        ("seed", result["seed"]),
        ("version", result["version"]),
    ]
    return {
        "name": result["protocol"]["name"],
        "describe": result["describe"],
        "stamp": stamp,
        "protocol": [(key.replace("_", " "), value) for key, value in result["protocol"].items()],
        "columns": [metric.replace("recall_at_", "R@") for metric in result["metrics"][MODEL]["overall"]],
        "rows": table_rows(result["metrics"]),
        "samples": [card(result, row, album) for row in draw(category_Q, samples)],
        "failures": [card(result, row, album) for row in worst[rank_Q[worst] > 1]],
    }


def table_rows(metrics):
    """Rows of the recall table: every set of queries, then the model by group.

    Args:
        metrics: `Result.metrics` as in results.json.
    """
    rows = [(name, summary["overall"], name == MODEL) for name, summary in metrics.items()]
    rows += [(f"{MODEL}, {group}", estimates, True) for group, estimates in metrics[MODEL]["groups"].items()]
    return [
        {
            "name": name,
            "is_model": is_model,
            "is_group": place >= len(metrics),
            "n": next(iter(estimates.values()))["n"],
            "cells": [
                {key: 100 * estimate[key] for key in ("value", "low", "high")} for estimate in estimates.values()
            ],
        }
        for place, (name, estimates, is_model) in enumerate(rows)
    ]


def draw(category_Q, count, seed=0):
    """Rows of `count` queries at random, as evenly from the categories as they allow, sorted by category."""
    order_Q = np.random.default_rng(seed).permutation(len(category_Q))
    order_Q = order_Q[np.argsort(category_Q[order_Q], kind="stable")]
    _, first, code_Q = np.unique(category_Q[order_Q], return_index=True, return_inverse=True)
    turn_Q = np.arange(len(order_Q)) - first[code_Q]
    return order_Q[np.sort(np.argsort(turn_Q, kind="stable")[:count])]


def card(result, row, album):
    """One query with its best results."""
    protocol, queries = result["protocol"], {key: values[row] for key, values in result["queries"].items()}
    targets, rank = queries["target_ids"], queries["rank"]
    found = [name for name in queries["ranked_ids"][:SHOWN] if name in targets]
    return {
        "text": queries["text"],
        "category": queries["category"],
        "rank": rank,
        "grade": "none" if not rank else "first" if rank == 1 else "near" if rank <= SHOWN else "far",
        "gallery": result["data"]["gallery"] - protocol["exclude_reference"],
        "reference": album.show(protocol, protocol["reference_gallery"], queries["reference_id"]),
        "target": album.show(protocol, protocol["gallery"], (found or targets)[0]),
        "targets": len(targets),
        "results": [
            album.show(protocol, protocol["gallery"], name) | {"is_target": name in targets}
            for name in queries["ranked_ids"][:SHOWN]
        ],
    }


def curve(workdir):
    """The loss by step for the plot: points in percent of its box, ticks and the last figures; None if not logged."""
    path = Path(workdir) / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    logged = np.array([point for point in map(_point, lines) if point])
    if not len(logged):
        return None
    groups = np.array_split(logged, min(len(logged), CURVE_POINTS))
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


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.report", description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of a scored run")
    parser.add_argument("--to", default="", metavar="FILE", help="default: report.html in the run's folder")
    parser.add_argument("--examples", type=int, default=24, help="sample queries of the first protocol")
    arguments = parser.parse_args(argv)
    path = report_run(arguments.workdir, arguments.to, arguments.examples)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
