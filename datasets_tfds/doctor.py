"""Look at a copy of a dataset before building it: `python -m datasets_tfds.doctor NAME --manual_dir=… [--json=FILE]`.

Exit code 0: nothing is wrong; 1: something is; 2: it could not look.

A dataset that is made from a user's copy offers `datasets_tfds/<name>/survey.py` with `survey(manual_dir)`, a dict of

| key | value |
|---|---|
| `annotations` | paths of the annotation files that are there |
| `splits` | split -> {"rows": [(query id, ids of the pictures the row cannot do without)], "gallery": [image ids]}; a \
row may have a third item, ids of pictures of which it needs one, whichever |
| `locate` | function image id -> candidate paths of the picture below `manual_dir`, in order |
| `lift_limit` (optional) | as in `pictures.Local` |
| `root` (optional) | the folder that `locate` counts from, where it is not `manual_dir` |
| `problems`, `notes` (optional) | lines about what else is wrong, or worth knowing |

It raises FileNotFoundError where the annotations are not there, ValueError where they are damaged.
"""

import argparse
import collections
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

from datasets_tfds import pictures
from datasets_tfds.build import INTERRUPTED, complain, names

LISTED = 5  # names in a line on the screen
COLUMNS = ("split", "rows", "lost", "gallery", "lost", "missing", "broken")


def examine(found, root):
    """What is wrong with a copy, as plain values for JSON.

    Args:
        found: what a `survey` returns.
        root: the folder that the candidate paths start from.

    Returns:
        {"annotations", "layout", "pictures": how many can be used, "splits": {split: {"rows", "rows_lost", "gallery",
        "gallery_lost": counts, "lost_queries", "missing": ids, "broken": {id: reason}}}, "duplicates": [[ids]],
        "problems": lines, "notes": lines}; lost is what a build with `--on_missing=skip` leaves out.

    Raises:
        ValueError: a path or a link leaves the folder.
    """
    wanted = {split: list(_ids(part)) for split, part in found["splits"].items()}
    ids = list(dict.fromkeys(image_id for part in wanted.values() for image_id in part))
    local = pictures.Local(root, found["locate"], ids, None, found.get("lift_limit", False))
    missing, broken = set(local.missing), dict(local.bad)
    splits = {}
    for split, part in found["splits"].items():
        lost = [query_id for query_id, *needed in part["rows"] if not _can_stay(local, *needed)]
        splits[split] = {
            "rows": len(part["rows"]),
            "rows_lost": len(lost),
            "gallery": len(part["gallery"]),
            "gallery_lost": sum(not local.keeps(image_id) for image_id in part["gallery"]),
            "missing": [image_id for image_id in wanted[split] if image_id in missing],
            "broken": {image_id: broken[image_id] for image_id in wanted[split] if image_id in broken},
            "lost_queries": lost,
        }
    problems, notes = list(found.get("problems", [])), list(found.get("notes", []))
    if missing or broken:
        problems.append(f"{len(missing)} pictures are missing and {len(broken)} are broken, of {len(ids)}")
    if missing and (places := [str(path) for path in found["locate"](local.missing[0])]):
        notes.append(f"looked for {local.missing[0]} in {root} as {_first(places)}")
    return {
        "annotations": [os.path.relpath(path, root) for path in found["annotations"]],
        "layout": local.layout,
        "pictures": len(ids) - len(missing) - len(broken),
        "splits": splits,
        "duplicates": duplicates(Path(root), {name: local.relpath(name) for name in ids if local.keeps(name)}),
        "problems": problems,
        "notes": notes,
    }


def duplicates(root, paths):
    """Groups of ids whose files are different but hold the same bytes.

    Args:
        root: Path of the folder.
        paths: image id -> path below it.
    """
    by_size, by_bytes = collections.defaultdict(dict), collections.defaultdict(list)
    for image_id, path in paths.items():
        by_size[(root / path).stat().st_size].setdefault(path, image_id)  # a file of several ids counts once
    for same_size in by_size.values():
        for path, image_id in same_size.items() if len(same_size) > 1 else ():
            by_bytes[hashlib.sha256((root / path).read_bytes()).digest()].append(image_id)
    return [group for group in by_bytes.values() if len(group) > 1]


def to_text(report):
    """A report of `examine` for the screen."""
    lines = [f"annotations: {', '.join(report['annotations']) or 'none'}"]
    if report["layout"]:
        lines.append(f"pictures: {report['pictures']} can be used, most of them at {report['layout']}")
    table, details = [COLUMNS], []
    for split, part in report["splits"].items():
        counts = (part[key] for key in ("rows", "rows_lost", "gallery", "gallery_lost"))
        table.append((split, *map(str, counts), str(len(part["missing"])), str(len(part["broken"]))))
        if part["lost_queries"]:
            details.append(f"{split}: rows lost: {_first(part['lost_queries'])}")
        if part["missing"]:
            details.append(f"{split}: missing: {_first(part['missing'])}")
        if part["broken"]:
            reasons = [f"{image_id} ({reason})" for image_id, reason in part["broken"].items()]
            details.append(f"{split}: broken: {_first(reasons)}")
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    lines += details
    if report["duplicates"]:
        groups = [" = ".join(group) for group in report["duplicates"]]
        lines.append(f"same bytes, {len(groups)} times: {_first(groups)}")
    lines += [f"note: {line}" for line in report["notes"]]
    lines += [f"problem: {line}" for line in report["problems"]] or ["no problems"]
    if any(part["rows_lost"] or part["gallery_lost"] for part in report["splits"].values()):
        lines.append("a build stops at these pictures; with --on_missing=skip it leaves out what is lost above")
    return "\n".join(lines)


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m datasets_tfds.doctor", description=__doc__.split("\n")[0])
    parser.add_argument("name", help=f"one of {', '.join(names())}")
    parser.add_argument("--manual_dir", default="", help="where your copy of the dataset lies")
    parser.add_argument("--json", default="", metavar="FILE", help="write all that was found, with every name")
    arguments = parser.parse_args(argv)
    name, manual_dir = arguments.name, Path(arguments.manual_dir).expanduser()
    if name not in names():
        return complain(f"there is no dataset {name!r}; there are {', '.join(names())}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec(f"datasets_tfds.{name}.survey") is None:
        return _without_survey(name)
    if not arguments.manual_dir or not manual_dir.is_dir():
        return complain(f"--manual_dir={arguments.manual_dir} is not a folder; give the one with your copy of {name}")
    try:
        return _look(name, manual_dir, arguments.json)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _look(name, manual_dir, json_file):
    try:
        found = importlib.import_module(f"datasets_tfds.{name}.survey").survey(manual_dir)
        report = examine(found, found.get("root", manual_dir))
        print(to_text(report))
    except OSError as error:
        return complain(f"cannot look into {manual_dir}: {error}")
    except ValueError as error:
        report = {"problems": [str(error)]}
        print(f"problem: {error}")
    if json_file:
        try:
            _write_json(Path(json_file), {"dataset": name, "manual_dir": str(manual_dir), **report})
        except OSError as error:
            return complain(f"cannot write {json_file}: {error.strerror}")
    return 1 if report["problems"] else 0


def _without_survey(name):
    builder = importlib.import_module(f"datasets_tfds.{name}.{name}_dataset_builder").Builder
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not getattr(builder.BUILDER_CONFIGS[0], "is_generated", False):
        return complain(f"the doctor cannot look into {name}; its build names what is missing or broken")
    print(f"{name} is generated: there is no copy to look at")
    return 0


def _can_stay(local, needed, one_of=()):
    return all(map(local.keeps, needed)) and (not one_of or any(map(local.keeps, one_of)))


def _ids(part):
    """The pictures of a split, each once, the gallery's first."""
    needed = (image_id for row in part["rows"] for image_id in row[1])
    return dict.fromkeys([*part["gallery"], *needed])


def _first(texts):
    return ", ".join(texts[:LISTED]) + (f", ... ({len(texts)} in all)" if len(texts) > LISTED else "")


def _write_json(path, value):
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
