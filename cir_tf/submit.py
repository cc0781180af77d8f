"""Write the files that a test server takes: `python -m cir_tf.submit NAME --workdir=RUN [--to=FOLDER]`.

`python -m cir_tf.submit NAME --check=FILE` looks at a file that is there, and scores it where the targets are known.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from cir_tf import assemble, evaluate
from cir_tf import config as configs
from cir_tf.data import source
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation import ranks, submissions
from cir_tf.evaluation.intervals import bootstrap_interval
from cir_tf.evaluation.result import MODEL
from cir_tf.evaluation.runner import padded
from cir_tf.samplers.base import positions


def submit_run(config, model, submission, folder, incomplete=False):
    """Rank with a run's model, check every rule, and only then write the files; returns their paths.

    Args:
        config: the run's `ConfigDict`.
        model: its `Retriever`.
        submission: `Submission`.
        folder: Path, where the files go.
        incomplete: whether they are written although the prepared data lack queries.

    Raises:
        UserError: data that are not there or not complete, or a file that would break a rule.
    """
    rows = read_rows(submission, config.data_dir)
    open_view(submission, "gallery", config.data_dir)
    strange = strange_count(submission, rows)
    if strange and not incomplete:
        raise UserError(f"{strange}; build the data from a complete copy, or write the file with --incomplete")
    complain([strange] if strange else [])
    try:
        part = evaluate.Scorer(config, model).part(submission.protocol, submission.subset, hidden=True)
        files = {upload.name: upload.encode(rows, ranked(submission, upload, part)) for upload in submission.uploads}
        for data in files.values():
            submission.check(data, rows, part.gallery["ids"])
    except ValueError as error:
        raise UserError(f"{submission.name} cannot be made, nothing is written: {error}") from error
    complain(_gaps(part.gaps))
    print(submission.protocol.describe())
    paths = [folder / name for name in files]
    for path, data in zip(paths, files.values(), strict=True):
        configs.write_text(path, data.decode())
        print(f"written: {path}: {facts(data, rows)}")
    print(f"next: {submission.advice}")
    return paths


def ranked(submission, upload, part):
    """The ids of each query for one of the files, best first: list of Q lists; fewer ids where there are no more.

    Args:
        submission: `Submission`.
        upload: one of its `Upload`s.
        part: `runner.Part`.

    Raises:
        ValueError: vectors that cannot be ranked, or a reference that is to be left out and is not in the gallery.
    """
    query_QD, vectors_ND = part.query_vectors[MODEL], part.gallery_vectors_ND
    if not (np.isfinite(query_QD).all() and np.isfinite(vectors_ND).all()):
        raise ValueError("the run's model gives vectors that are not finite")
    position = {name: place for place, name in enumerate(part.gallery["ids"])}
    exclude_Q = np.full(len(query_QD), -1)
    if submission.protocol.exclude_reference:
        exclude_Q = positions(part.gallery["ids"], part.rows["reference_id"])
    if upload.in_group:
        group_QG = padded([[position.get(name, -1) for name in names] for names in part.rows["group_ids"]])
        best_QK = ranks.best_in_groups(query_QD, vectors_ND, group_QG, exclude_Q, upload.keep)
    else:
        best_QK = ranks.best(query_QD, vectors_ND, exclude_Q, upload.keep)
    ids = np.array([*part.gallery["ids"], ""], object)
    return [[name for name in names if name] for names in ids[best_QK].tolist()]


def check_file(submission, path, data_dir=""):
    """Check a file against the rules, and print its figures where the targets are known: {metric: `Estimate`}.

    Args:
        submission: `Submission`.
        path: of the file.
        data_dir: where prepared data lie; empty: the default.

    Raises:
        UserError: the data are not prepared, or the file breaks a rule.
    """
    rows = read_rows(submission, data_dir)
    strange, gallery_ids = strange_count(submission, rows), read_gallery_ids(submission, data_dir)
    unseen = "the gallery is not prepared: whether the ids are in it is not checked" if gallery_ids is None else ""
    complain(filter(None, [strange, unseen]))
    data = Path(path).read_bytes()
    try:
        upload, lists = submission.check(data, rows, gallery_ids)
    except ValueError as error:
        raise UserError(f"{path} breaks the rules of {submission.name}: {error}") from error
    print(f"{path} keeps the rules of {submission.name} ({upload.name}): {facts(data, rows)}")
    if not all(rows["has_target"]):
        return {}
    values = upload.values(submission.protocol, lists, rows)
    found = {metric: bootstrap_interval(value_Q) for metric, value_Q in values.items()}
    for metric, estimate in found.items():
        value, low, high = 100 * estimate.value, 100 * estimate.low, 100 * estimate.high
        print(f"{metric:<11}{value:9.4f} % [{low:.2f}, {high:.2f}]")
    return found


def open_view(submission, view, data_dir):
    """The prepared "index" or "gallery" of a submission.

    Raises:
        UserError: it is not prepared.
    """
    dataset, config = submission.protocol.dataset, f"{submission.subset}_{view}"
    try:
        return source.open_builder(dataset, config, data_dir, prepare=False)
    except UserError as error:
        remedy = f"python -m datasets_tfds.build {dataset} --config={config} --manual_dir=FOLDER"
        raise UserError(f"{submission.name} needs prepared data: {error}; prepare it with {remedy}") from error


def read_rows(submission, data_dir):
    """The rows that a file must answer, targets or not."""
    return source.read_rows(open_view(submission, "index", data_dir), submission.protocol.split)


def read_gallery_ids(submission, data_dir):
    """The ids of the gallery, or None where it is not prepared."""
    try:
        builder = open_view(submission, "gallery", data_dir)
    except UserError:
        return None
    return source.read_gallery(builder, submission.protocol.gallery).ids


def strange_count(submission, rows):
    """A line where there are not as many queries as are published, else ""."""
    count, protocol = len(rows["query_id"]), submission.protocol
    if count == submission.queries:
        return ""
    return (
        f"the prepared {protocol.dataset}/{submission.subset}_index has {count:,} queries in {protocol.split}, and "
        f"{submission.queries:,} are published, of which a server wants every one"
    )


def complain(warnings):
    """Print warnings, one a line."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def facts(data, rows):
    """What a file is, in words."""
    return f"{len(rows['query_id']):,} queries, {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"


def find_submission(name):
    """The submission of a name; `UserError` where there is none."""
    try:
        return submissions.get(name)
    except ValueError as error:
        raise UserError(str(error)) from error


def _gaps(gaps):
    if not (gaps.get("missing") or gaps.get("bad")):
        return []
    return [f"the copy lacks {gaps['missing']} pictures and has {gaps['bad']} broken ones: they cannot be found"]


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.submit", description=__doc__.split("\n")[0])
    parser.add_argument("name", help=f"one of {', '.join(submissions.available())}")
    parser.add_argument("--workdir", default="", help="folder of a trained run")
    parser.add_argument("--to", default="", help="folder of the files; default: `submissions` in the run's")
    parser.add_argument("--incomplete", action="store_true", help="write also where prepared data lack queries")
    parser.add_argument("--check", default="", metavar="FILE", help="write nothing, look at this file")
    arguments = parser.parse_args(argv)
    submission = find_submission(arguments.name)
    if arguments.check:
        data_dir = configs.read(arguments.workdir).data_dir if arguments.workdir else ""
        check_file(submission, arguments.check, data_dir)
        return 0
    if not arguments.workdir:
        raise UserError("give --workdir=RUN, the folder of a trained run, or --check=FILE")
    folder = Path(arguments.to or Path(arguments.workdir) / "submissions")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--to={folder} is not a folder")
    config, model = assemble.trained(arguments.workdir)
    submit_run(config, model, submission, folder, arguments.incomplete)
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
