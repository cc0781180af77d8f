"""Search a folder of pictures with an exported model and show what is found.

python -m cir_tf.search --model=EXPORT --images=FOLDER --query=IMAGE --text="…" [--k=10] [--to=results.png]
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

import cir_tf
from cir_tf import sheet
from cir_tf.data import folder
from cir_tf.errors import UserError, run_command
from cir_tf.retrieval.brute_force import BruteForceIndex
from cir_tf.retrieval.scann import ScannIndex

MANIFEST = "manifest.json"


class Model(NamedTuple):
    """Attributes: endpoints: the loaded SavedModel, which must be held as long as it is used; manifest: its dict."""

    endpoints: object
    manifest: dict


class Found(NamedTuple):
    """Attributes: entries: list of `sheet.Entry`, best first; query: the query picture, normalised."""

    entries: list
    query: bytes


def load(path):
    """The `Model` in a folder that `python -m cir_tf.export` wrote.

    Raises:
        UserError: there is no such folder, it is no export, it is damaged, or it needs ScaNN and there is none.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; make an export with python -m cir_tf.export --workdir=RUN")
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if not manifest["format"].startswith("cir_tf export"):
            raise ValueError("it is of another format")
        if manifest["index"] == "scann":
            ScannIndex()  # brings the operations that the graph is made of
        return Model(tf.saved_model.load(str(path)), manifest)
    except ImportError as error:
        raise UserError(f"{path} has ScaNN packed in. {error} Or export with --index=exact") from error
    except FileNotFoundError:
        raise UserError(f"{path} is no export of cir_tf; make one with python -m cir_tf.export --workdir=RUN") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise UserError(f"the export in {path} cannot be read: {str(error).splitlines()[0]}; export again") from error


def search(model, images, query, text, k=10, index_dir=""):
    """The pictures of a folder that a model ranks best for a query picture and a text.

    The query picture itself is left out, by its place or its bytes.

    Args:
        model: of `load`.
        images: the folder.
        query: path of the query picture.
        text: what shall be different.
        k: how many, at least 1.
        index_dir: where the folder's index is kept; default: `default_index_dir`.

    Returns:
        `Found`, with k entries where the folder has as many.

    Raises:
        UserError: the folder or the query cannot be read, or nothing is left to be found.
    """
    query = Path(query)
    try:
        picture = folder.read(query)
    except ValueError as error:
        raise UserError(f"cannot read the query picture {query}: {error}") from error
    _warn_about_text(model, text)
    listing = folder.find(images)
    index = folder_index(model, listing, index_dir)
    same = _same_pictures(query, listing, index)
    encode = lambda images: model.endpoints.encode_query(images, [text])  # noqa: E731
    ranking = index.search(folder.encode_files([picture], encode), k + len(same))
    best = zip(ranking.ids_QK[0], ranking.scores_QK[0], strict=True)
    best = [(name, score) for name, score in best if name and name not in same][:k]
    if not best:
        raise UserError(f"{listing.folder} holds no readable picture besides the query")
    return Found([sheet.Entry(name, float(score), folder.read(listing.paths[name])) for name, score in best], picture)


def folder_index(model, listing, index_dir=""):
    """The index of a folder: as kept from the last time where nothing changed since, else made and kept.

    Args:
        model: of `load`.
        listing: of `folder.find`.
        index_dir: where it is kept; default: `default_index_dir`.

    Raises:
        UserError: not one picture can be read.
    """
    options = model.manifest.get("index_options", {})
    key = _digest([cir_tf.__version__, model.manifest["weights"], options, str(listing.folder), listing.states])
    empty = make_index(**options)
    place = Path(index_dir) if index_dir else default_index_dir(model, listing)
    try:
        index = type(empty).load(place)
        if index.extra.get("key") == key:
            note(folder.summary(listing, len(index.ids_N), index.extra["bad"]))
            return index
    except UserError:
        pass  # none yet, or damaged, or of the other kind: it is made again
    names, vectors_ND, bad = folder.encode(listing, model.endpoints.encode_gallery)
    note(folder.summary(listing, len(names), bad))
    index = empty.build(vectors_ND, names)
    try:
        index.save(place, {"key": key, "bad": bad})
    except UserError as error:
        note(f"the index is not kept for the next time: {error}")
    return index


def make_index(**options):
    """An empty ScaNN index with these arguments, or the exact one of NumPy where ScaNN does not work."""
    try:
        return ScannIndex(**options)
    except ImportError:
        return BruteForceIndex()


def default_index_dir(model, listing):
    """A folder in the user's cache, for each folder of pictures and each model."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    name = f"{listing.folder.name}-{_digest([model.manifest['weights'], str(listing.folder)])[:16]}"
    return cache / "cir_tf" / name


def note(line):
    """Say something beside the results."""
    print(line, file=sys.stderr)


def _warn_about_text(model, text):
    if not text.strip():
        note("warning: the text is empty; the ranking follows the picture alone")
    elif not int(model.endpoints.count_known_words([text])[0]):
        note(f"warning: no word of {text!r} was in the training texts; the ranking cannot follow it")


def _same_pictures(query, listing, index):
    """Names of the index's pictures that are the query itself: the same file, or the same bytes."""
    place, size, data = query.resolve(), query.stat().st_size, query.read_bytes()
    same = {name for name in index.ids_N if listing.paths[name].resolve() == place}
    alike = [name for name in index.ids_N if listing.states[name][0] == size]
    return same | {name for name in alike if listing.paths[name].read_bytes() == data}


def _digest(values):
    return hashlib.sha256(json.dumps(values).encode("utf-8")).hexdigest()


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.search", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder that python -m cir_tf.export wrote")
    parser.add_argument("--images", required=True, help="folder of pictures, searched with all folders in it")
    parser.add_argument("--query", required=True, help="the query picture")
    parser.add_argument("--text", required=True, help="what shall be different")
    parser.add_argument("--k", type=int, default=10, help="how many results (%(default)s)")
    parser.add_argument("--to", default="search.png", help="the sheet of results: .png or .html (%(default)s)")
    parser.add_argument("--index_dir", default="", help="where the folder's index is kept; default: the user's cache")
    arguments = parser.parse_args(argv)
    if arguments.k < 1:
        raise UserError(f"--k must be at least 1, not {arguments.k}")
    sheet.check(arguments.to)
    model = load(arguments.model)
    found = search(model, arguments.images, arguments.query, arguments.text, arguments.k, arguments.index_dir)
    for rank, entry in enumerate(found.entries, 1):
        print(f"{rank:4d}  {entry.score:7.4f}  {entry.name}")
    sheet.write(arguments.to, found.query, arguments.text, found.entries)
    print(f"written: {arguments.to}")
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
