"""Score a trained run: `python -m cir_tf.evaluate --workdir=runs/emoji_edits/sum_tiny [--protocol=…]`."""

import argparse
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from cir_tf import assemble, captions
from cir_tf import config as configs
from cir_tf.data import source
from cir_tf.data.triplets import Pictures
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation import protocols, runner, table
from cir_tf.evaluation.encode import in_batches
from cir_tf.evaluation.result import MODEL, Result, read_results
from cir_tf.samplers.base import positions

TABLES = {"text": table.to_text, "markdown": table.to_markdown, "latex": table.to_latex}


class Scorer:
    """Makes vectors of the queries and the galleries of protocols; a gallery is encoded once for all of them.

    Args:
        config: the run's `ConfigDict`.
        model: a trained `Retriever`.
    """

    def __init__(self, config, model):
        self._config, self._model = config, model
        self._galleries, self._vectors = {}, {}
        self._queries = tf.function(
            lambda image_BHWC, ids_BL: {
                MODEL: model.query_vectors(image_BHWC, ids_BL),
                **model.baselines(image_BHWC, ids_BL),
            }
        )
        self._composed = tf.function(lambda image_BHWC, ids_BL: {MODEL: model.query_vectors(image_BHWC, ids_BL)})
        self._entries = tf.function(lambda image_BHWC: {MODEL: model.gallery_vectors(image_BHWC)})

    def result(self, protocol):
        """The `Result` under a protocol, with rows beside the model's for its parts.

        Where the config says `eval_shuffled`, there are rows also for the model with another query's text, and with
        another query's reference: what it loses by that is what it draws from the text, and from the reference.
        """
        shuffle = self._config.get("eval_shuffled", True)  # runs made before there was the key lack it
        parts = {subset: self.part(protocol, subset, shuffle=shuffle) for subset in protocol.subsets}
        return runner.evaluate(protocol, parts, seed=self._config.seed)

    def part(self, protocol, subset, hidden=False, shuffle=False):
        """The queries and the gallery of one of a protocol's subsets, as a `runner.Part`.

        `hidden` is for `read_queries`; `shuffle` adds the model with other queries' texts and references.

        Raises:
            ValueError: rows without targets, or a reference that is not in its gallery.
        """
        rows, texts, query_T = read_queries(self._config, protocol, subset, hidden)
        place = protocol.dataset, subset
        gallery = self._gallery(*place, protocol.gallery)
        references = self._gallery(*place, protocol.reference_gallery)
        vectors = self._query_vectors(rows, texts, query_T, references, shuffle)
        return runner.Part(
            rows,
            {"ids": gallery.ids, "target_class": gallery.target_class},
            vectors,
            self._gallery_vectors(*place, protocol.gallery),
            source.gaps(self._open(*place)),
        )

    def _query_vectors(self, rows, texts, query_T, references, shuffle):
        reference_T = positions(references.ids, rows["reference_id"])[query_T]
        ids_TL = self._model.text_encoder.tokenizer.tokenize(texts)
        images, batch = self._pictures(references), self._config.eval_batch_size
        encode = lambda row: self._queries(images.take(reference_T[row]), ids_TL[row])  # noqa: E731
        found = in_batches(encode, len(texts), batch, "queries")
        if shuffle:
            other_T = shuffled(rows["row"][query_T], self._config.seed)
            encode = lambda row: self._composed(images.take(reference_T[row]), ids_TL[other_T[row]])  # noqa: E731
            vectors_TD = in_batches(encode, len(texts), batch, "shuffled queries")[MODEL]
            # The same pairs of picture and text, first by the picture's query, then by the text's.
            found |= {"shuffled texts": vectors_TD, "shuffled references": vectors_TD[np.argsort(other_T)]}
        if len(texts) == len(rows["query_id"]):
            return found
        return {name: mean_directions(vectors_TD, query_T) for name, vectors_TD in found.items()}

    def _gallery_vectors(self, *place):
        if place not in self._vectors:
            images, batch = self._pictures(self._gallery(*place)), self._config.eval_batch_size
            found = in_batches(lambda row: self._entries(images.take(row)), len(images), batch, "gallery")
            self._vectors[place] = found[MODEL]
        return self._vectors[place]

    def _gallery(self, *place):
        if place not in self._galleries:
            self._galleries[place] = source.read_gallery(self._open(*place[:2]), place[2])
        return self._galleries[place]

    def _open(self, dataset, subset):
        return source.open_builder(dataset, f"{subset}_gallery", self._config.data_dir)

    def _pictures(self, gallery):
        folder = self._config.picture_store
        return Pictures(gallery.encoded_N, self._model.image_encoder.image_size, self._config.fit, folder)


def gallery_size(config, protocol, subset):
    """How many pictures a protocol's gallery has."""
    builder = source.open_builder(protocol.dataset, f"{subset}_gallery", config.data_dir)
    return builder.info.splits[protocol.gallery].num_examples


def read_queries(config, protocol, subset, hidden=False):
    """The queries of one of a protocol's subsets: (rows, texts, query_T).

    The rows have one entry for each query; `row` is the row of the dataset that it was made of, and `text` is all of
    its texts. `query_T` says which query each of the texts to encode belongs to. `hidden` says whether rows may be
    without a target.

    Raises:
        ValueError: no rows, a row without a target, or captions that are meant for training.
    """
    rows = source.read_rows(source.open_builder(protocol.dataset, f"{subset}_index", config.data_dir), protocol.split)
    if not rows["query_id"]:
        raise ValueError(f"There must be queries. Received: {protocol.split} without rows.")
    unknown = sum(not (known or name) for known, name in zip(rows["has_target"], rows["target_class"], strict=True))
    if unknown and not hidden:
        raise ValueError(f"The targets must be known. Received: {unknown} rows of {protocol.split} whose are hidden.")
    made = captions.apply(protocol.captions, rows)
    if made.combine == "sample":
        raise ValueError(f"Texts are drawn in training only. Received: captions={protocol.captions!r}.")
    if made.combine == "average":
        joined = [[] for _ in rows["query_id"]]
        for text, row in zip(made.texts, made.row_T, strict=True):
            joined[row].append(text)
        return rows | {"text": list(map(" / ".join, joined)), "row": np.arange(len(joined))}, made.texts, made.row_T
    number_T = np.arange(len(made.texts)) - np.searchsorted(made.row_T, made.row_T)
    rows = {key: [values[row] for row in made.row_T] for key, values in rows.items()}
    several = len(made.texts) > made.row_T[-1] + 1
    names = [f"{name}/{number}" if several else name for name, number in zip(rows["query_id"], number_T, strict=True)]
    return rows | {"query_id": names, "text": made.texts, "row": made.row_T}, made.texts, np.arange(len(made.texts))


def shuffled(row_T, seed=0):
    """For each text the number of another row's: a permutation, int [T].

    Args:
        row_T: the row each text belongs to, rising. No row may have more than half of the texts.
        seed: of the permutation.
    """
    size_W = np.bincount(row_T)
    rank_W = np.random.default_rng(seed).permutation(len(size_W))
    order_T = np.argsort(rank_W[row_T], kind="stable")
    other_T = np.empty_like(order_T)
    other_T[order_T] = np.roll(order_T, -size_W.max())
    return other_T


def mean_directions(vectors_TD, query_T):
    """The normalised mean of the unit vectors of each query, float32 [Q, D]; zero vectors stay zero."""
    sum_QD = np.zeros((query_T[-1] + 1, vectors_TD.shape[1]))
    np.add.at(sum_QD, query_T, _unit(vectors_TD))
    return _unit(sum_QD).astype(np.float32)


def _unit(x_ND):
    return x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)


def find_protocol(name):
    """The protocol of a name; `UserError` where there is none."""
    try:
        return protocols.get(name)
    except ValueError as error:
        raise UserError(str(error)) from error


def check_data(config):
    """Raise `UserError` unless the data of each of a config's protocols is prepared, with the splits that it wants."""
    for name in config.evals:
        protocol = find_protocol(name)
        for subset in protocol.subsets:
            views = (("index", (protocol.split,)), ("gallery", (protocol.gallery, protocol.reference_gallery)))
            for view, splits in views:
                builder = source.open_builder(protocol.dataset, f"{subset}_{view}", config.data_dir)
                for split in splits:
                    try:
                        source.find_split(builder, split)
                    except UserError as error:
                        raise UserError(f"{error}: name other protocols than {name} in config.evals") from error


def evaluate_run(config, model, workdir, names=()):
    """Score a run under its config's protocols, or those named; print the tables and put them into results.json.

    What is there already of other protocols stays, as far as the same weights made it.
    """
    try:
        earlier = read_results(workdir)
    except UserError:  # none yet, or damaged, or of another version
        earlier = {}
    weights = assemble.weights_hash(model)
    found = {name: result for name, result in earlier.items() if result.get("weights") == weights}
    scorer = Scorer(config, model)
    for name in names or config.evals:
        protocol = find_protocol(name)
        start = time.monotonic()
        try:
            result = scorer.result(protocol)
        except ValueError as error:
            raise UserError(f"{name} cannot be scored: {error}") from error
        print(f"\n{table.to_text(result)}")
        found[name] = result.to_json() | facts(config, model) | {"seconds": round(time.monotonic() - start, 1)}
        configs.write_json(Path(workdir) / "results.json", found)
    return found


def facts(config, model):
    """What made a result besides protocol and data: the weights, the config, the versions; as JSON values."""
    packages = ("tensorflow", "keras", "numpy", "tensorflow-datasets")
    return {
        "weights": assemble.weights_hash(model),
        "config": json.loads(config.to_json()),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def print_tables(workdir, form, names=()):
    """Print the tables of results.json again, all or those named, without scoring."""
    found = read_results(workdir)
    for name in names or found:
        if name not in found:
            raise UserError(f"{workdir} has no results of {name}, only of {', '.join(found)}; score it without --table")
        try:
            result = Result.from_json(found[name])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{workdir}: the results of {name} are broken ({error}); score it without --table"
            ) from error
        print(f"\n{TABLES[form](result)}")


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.evaluate", description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of a trained run")
    parser.add_argument(
        "--protocol", action="append", default=[], help="score this one, not the config's; may be repeated"
    )
    parser.add_argument("--table", choices=TABLES, help="print the tables of results.json again, without scoring")
    arguments = parser.parse_args(argv)
    if arguments.table:
        print_tables(arguments.workdir, arguments.table, arguments.protocol)
        return 0
    config, model = assemble.trained(arguments.workdir)
    evaluate_run(config, model, arguments.workdir, arguments.protocol)
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
