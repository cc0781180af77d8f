"""Score a trained run: `python -m cir_tf.evaluate --workdir=runs/emoji_edits/sum_tiny [--protocol=…]`."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.data import source
from cir_tf.data.triplets import Pictures
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation import protocols, runner, table
from cir_tf.evaluation.encode import in_batches
from cir_tf.samplers.base import positions


def evaluate(config, model, protocol):
    """The `Result` of a model under a protocol, with rows for its parts beside it.

    Args:
        config: the run's `ConfigDict`.
        model: a trained `Retriever`.
        protocol: a `Protocol`.
    """
    index = source.open_builder(protocol.dataset, f"{protocol.subset}_index", config.data_dir)
    pictures = source.open_builder(protocol.dataset, f"{protocol.subset}_gallery", config.data_dir)
    rows = source.read_rows(index, protocol.split)
    gallery = source.read_gallery(pictures, protocol.gallery)
    reference_gallery = gallery
    if protocol.reference_gallery != protocol.gallery:
        reference_gallery = source.read_gallery(pictures, protocol.reference_gallery)
    query_vectors, gallery_ND = encode(config, model, rows[protocol.text], rows, reference_gallery, gallery)
    arrays = {"ids": gallery.ids, "target_class": gallery.target_class}
    return runner.evaluate(
        protocol,
        rows,
        arrays,
        query_vectors,
        gallery_ND,
        lambda: assemble.index(config),
        seed=config.seed,
        gaps=source.gaps(pictures),
    )


def encode(config, model, texts, rows, reference_gallery, gallery):
    """Every query and every gallery picture as vectors: ({row of the table: [Q, D]}, [N, D])."""
    size, batch = model.image_encoder.image_size, config.eval_batch_size
    reference_Q = positions(reference_gallery.ids, rows["reference_id"])
    ids_QL = model.text_encoder.tokenizer.tokenize(texts)
    targets = Pictures(gallery.encoded_N, size, config.fit)
    references = targets if reference_gallery is gallery else Pictures(reference_gallery.encoded_N, size, config.fit)

    @tf.function
    def queries(image_BHWC, ids_BL):
        return {runner.MODEL: model.query_vectors(image_BHWC, ids_BL), **model.baselines(image_BHWC, ids_BL)}

    @tf.function
    def entries(image_BHWC):
        return {runner.MODEL: model.gallery_vectors(image_BHWC)}

    query_vectors = in_batches(
        lambda row: queries(references.take(reference_Q[row]), ids_QL[row]), len(reference_Q), batch, "queries"
    )
    gallery_ND = in_batches(lambda row: entries(targets.take(row)), len(targets), batch, "gallery")[runner.MODEL]
    return query_vectors, gallery_ND


def find_protocol(name):
    """The protocol of a name; `UserError` where there is none."""
    try:
        return protocols.get(name)
    except ValueError as error:
        raise UserError(str(error)) from error


def evaluate_run(config, model, workdir, names=()):
    """Score a run under its config's protocols, or add those named to results.json; print the tables."""
    path = Path(workdir) / "results.json"
    found = json.loads(path.read_text(encoding="utf-8")) if names and path.is_file() else {}
    for name in names or config.evals:
        protocol = find_protocol(name)
        start = time.monotonic()
        try:
            result = evaluate(config, model, protocol)
        except ValueError as error:
            raise UserError(f"{name} cannot be scored: {error}") from error
        print(f"\n{table.to_text(result)}")
        found[name] = result.to_json() | {"seconds": round(time.monotonic() - start, 1)}
    configs.write_json(path, found)
    return found


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.evaluate", description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of a trained run")
    parser.add_argument("--protocol", action="append", default=[], help="besides the config's own; may be repeated")
    arguments = parser.parse_args(argv)
    config, model = assemble.trained(arguments.workdir)
    evaluate_run(config, model, arguments.workdir, arguments.protocol)
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
