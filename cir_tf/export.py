"""Write a trained run as a SavedModel: `python -m cir_tf.export --workdir=RUN [--to=FOLDER] [--images=FOLDER]`.

The SavedModel takes picture files and raw text, and needs nothing but TensorFlow (and ScaNN, where ScaNN is packed in).

Dimension key: B batch, N gallery, K kept ranks, D shared embedding.
"""

import argparse
import importlib.metadata
import json
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import cir_tf
from cir_tf import assemble, tune_index
from cir_tf import config as configs
from cir_tf.data import folder, preprocess, source
from cir_tf.data.triplets import Pictures
from cir_tf.errors import UserError, run_command
from cir_tf.evaluation import protocols
from cir_tf.evaluation.encode import in_batches
from cir_tf.retrieval.scann import ScannIndex

FORMAT = "cir_tf export 1"
MANIFEST, PROTO = "manifest.json", "saved_model.pb"
INDEXES = ("exact", "scann", "none")
TOLERANCE = 1e-5
COMPARED = 8  # pictures and texts on which the export is compared with the live model


class Gallery(NamedTuple):
    """Attributes: name: where it is from; ids: N strings; vectors_ND: float32; sample: some picture files; texts."""

    name: str
    ids: list
    vectors_ND: np.ndarray
    sample: list
    texts: list


class Endpoints(tf.Module):
    """A retriever as functions of texts and picture files, which are decoded as `preprocess.decode` says.

    encode_query(image_bytes_B, text_B) -> float32 [B, D];  encode_gallery(image_bytes_B) -> float32 [B, D];
    count_known_words(text_B) -> int32 [B];  after `pack`: search(image_bytes_B, text_B, k) -> ids string [B, K],
    scores float32 [B, K], with K = min(k, N).

    Args:
        model: a `Retriever`.
        fit: how pictures become square, as in `preprocess.decode`.
    """

    def __init__(self, model, fit):
        super().__init__()
        self._weights = [variable.value for variable in model.variables]  # only what is held here is saved
        tokenizer, size = model.text_encoder.tokenizer, model.image_encoder.image_size
        self._images = tf.TensorSpec([None], tf.string, "image_bytes_B")
        self._texts = tf.TensorSpec([None], tf.string, "text_B")

        def decoded(image_bytes_B):  # TensorFlow's convolutions fail on an empty batch, with a riddle
            count = tf.size(image_bytes_B)
            with tf.control_dependencies([tf.debugging.assert_positive(count, "there must be at least one picture")]):
                return preprocess.decode_batch(image_bytes_B, size, fit)

        @tf.function(input_signature=[self._images, self._texts])
        def encode_query(image_bytes_B, text_B):
            rule = "there must be one text for each picture"
            with tf.control_dependencies([tf.debugging.assert_equal(tf.size(image_bytes_B), tf.size(text_B), rule)]):
                return model.query_vectors(decoded(image_bytes_B), tokenizer.in_graph(text_B))

        @tf.function(input_signature=[self._images])
        def encode_gallery(image_bytes_B):
            return model.gallery_vectors(decoded(image_bytes_B))

        @tf.function(input_signature=[self._texts])
        def count_known_words(text_B):
            ids_BL = tokenizer.in_graph(text_B)
            return tf.reduce_sum(tf.cast((ids_BL >= 0) & (ids_BL != tokenizer.unknown_id), tf.int32), axis=1)

        self.encode_query, self.encode_gallery, self.count_known_words = encode_query, encode_gallery, count_known_words

    def pack(self, ids, vectors_ND, kind, options=None):
        """Add `search` over a gallery.

        Args:
            ids: N different strings.
            vectors_ND: float32 [N, D].
            kind: "exact" or "scann".
            options: arguments of `ScannIndex`.
        """
        if kind == "scann":
            self._index, find = ScannIndex(**(options or {})).build(vectors_ND, ids).packed()
        else:
            # Stored as [D, N]: on a CPU the product with a transposed gallery takes two to five times as long.
            self._index = tf.Variable(np.transpose(vectors_ND), trainable=False, name="gallery")
            find = lambda query_BD, k: tf.math.top_k(tf.matmul(query_BD, self._index), k)[::-1]  # noqa: E731
        ids_and_none, count = tf.constant([*ids, ""]), len(ids)

        @tf.function(input_signature=[self._images, self._texts, tf.TensorSpec([], tf.int32, "k")])
        def search(image_bytes_B, text_B, k):
            with tf.control_dependencies([tf.debugging.assert_positive(k, "k must be at least 1")]):
                k = tf.minimum(k, count)
            position_BK, score_BK = find(self.encode_query(image_bytes_B, text_B), k)
            missing = [[0, 0], [0, k - tf.shape(position_BK)[1]]]  # ScaNN: fewer columns, and NaN for "no entry"
            position_BK, score_BK = tf.pad(position_BK, missing), tf.pad(score_BK, missing, constant_values=np.nan)
            none_BK = tf.math.is_nan(score_BK)
            ids_BK = tf.gather(ids_and_none, tf.where(none_BK, count, position_BK))
            return ids_BK, tf.where(none_BK, -np.inf, score_BK)

        self.search = search

    def save(self, path):
        """Write the SavedModel; its signatures are the endpoints with named outputs, as servers want them.

        Raises:
            OSError: it cannot be written.
        """
        outputs = {"encode_query": ["vectors"], "encode_gallery": ["vectors"], "count_known_words": ["count"]}
        outputs |= {"search": ["ids", "scores"]} if hasattr(self, "search") else {}
        signatures = {name: _signature(getattr(self, name), names) for name, names in outputs.items()}
        try:
            options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
            tf.saved_model.save(self, str(path), signatures, options)
        except tf.errors.OpError as error:
            raise OSError(str(error).splitlines()[0].rpartition("; ")[2]) from error


def export_run(config, model, workdir, to="", index="exact", images=""):
    """Export a trained retriever, complete and compared with the live one, or not at all; the `Path` it lies at.

    Args:
        config, model: the run's `ConfigDict` and `Retriever`.
        workdir: folder of the run.
        to: where the SavedModel goes; default: `export` in the work folder. An export that is there is replaced.
        index: what is packed in, one of `INDEXES`.
        images: a folder of pictures as the gallery; default: the gallery of the config's first protocol.

    Raises:
        UserError: no gallery, a random fit, a folder that cannot be written or holds more, or an export that differs.
    """
    to = Path(to or Path(workdir) / "export")
    if to.exists() and not _replaceable(to):
        raise UserError(f"{to} exists and is no export; choose another folder with --to")
    preprocess.check_export(config.fit)
    endpoints, options = Endpoints(model, config.fit), index_options(config, model, workdir)
    try:
        gallery = folder_gallery(endpoints, images, workdir) if images else protocol_gallery(endpoints, config)
        if index != "none":
            endpoints.pack(gallery.ids, gallery.vectors_ND, index, options)
    except ImportError as error:
        raise UserError(f"{error} For an export that is --index=exact") from error
    manifest = make_manifest(config, model, gallery, index) | {"index_options": options}
    place = to.absolute()
    unfinished = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
    try:
        unfinished.mkdir(parents=True)
        endpoints.save(unfinished)
        manifest["max_difference"] = compare(model, config.fit, unfinished, gallery, index)
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        configs.put_in_place(unfinished, place)
    except OSError as error:
        raise UserError(f"the export cannot be written to {to}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"exported to {to}: {gallery.name}; index {index}; largest difference {manifest['max_difference']:.1e}")
    return to


def index_options(config, model, workdir):
    """Arguments of `ScannIndex`: what `python -m cir_tf.tune_index` chose for these weights, else the config's."""
    known = assemble.arguments_of("index", ScannIndex.kind)  # an index of another kind has others
    options = {key: value for key, value in config.index.items() if key in known}
    try:
        tuning = json.loads((Path(workdir) / tune_index.FILE).read_text(encoding="utf-8"))
        if tuning["encoder"] == assemble.weights_hash(model):
            options |= {key: tuning["chosen"][key] for key in ("searched_share", "reordered")}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{workdir}/{tune_index.FILE} cannot be read: {error!r}; remove it, or tune again") from error
    return options


def protocol_gallery(endpoints, config):
    """The `Gallery` of the config's first protocol, with texts of its queries; `UserError` where there is none."""
    try:
        protocol = protocols.get(config.evals[0])
    except (ValueError, IndexError) as error:
        raise UserError("the run's config names no protocol whose gallery could be packed; give --images") from error
    vectors, texts, sample = {}, [], []
    for subset in protocol.subsets:
        rows = source.open_builder(protocol.dataset, f"{subset}_index", config.data_dir)
        texts += source.read_rows(rows, protocol.split)["text"]
        pictures = source.open_builder(protocol.dataset, f"{subset}_gallery", config.data_dir)
        gallery = source.read_gallery(pictures, protocol.gallery)
        vectors |= dict(zip(gallery.ids, _gallery_vectors(endpoints, gallery, config.eval_batch_size), strict=True))
        sample += _some(gallery.encoded_N)
    name = f"{len(vectors)} pictures of {protocol.dataset}/{'+'.join(protocol.subsets)} {protocol.gallery}"
    return Gallery(name, list(vectors), np.stack(list(vectors.values())), _some(sample), _some(texts))


def _gallery_vectors(endpoints, gallery, batch):
    encode = lambda row: {"vectors": endpoints.encode_gallery(gallery.encoded_N.take(row).tolist())}  # noqa: E731
    return in_batches(encode, len(gallery.ids), batch, "gallery")["vectors"]


def folder_gallery(endpoints, images, workdir):
    """The `Gallery` of a folder of pictures, with texts of words the run knows; `UserError` where there is none."""
    listing = folder.find(images)
    names, vectors_ND, bad = folder.encode(listing, endpoints.encode_gallery)
    words = " ".join(assemble.load_assets(workdir).values()).split()
    texts = [" ".join(words[start : start + 1 + start % 5]) for start in range(len(words))]
    sample = [folder.read(listing.paths[name]) for name in _some(names)]
    return Gallery(folder.summary(listing, len(names), bad), names, vectors_ND, sample, _some([*texts, ""]))


def compare(model, fit, exported, gallery, index):
    """The largest difference between the exported and the live model, over vectors and scores, as of `_gap`.

    Args:
        model: the live `Retriever`.
        fit: as for `Endpoints`.
        exported: folder of the SavedModel.
        gallery: `Gallery`; its sample and texts are what is encoded.
        index: what is packed in.

    Raises:
        UserError: it is above `TOLERANCE`, or not a number.
    """
    loaded = tf.saved_model.load(str(exported))
    files, texts = gallery.sample, [gallery.texts[row % len(gallery.texts)] for row in range(len(gallery.sample))]
    image_BHWC = Pictures(np.array(files, object), model.image_encoder.image_size, fit).take(np.arange(len(files)))
    query_BD = _live(model.query_vectors, image_BHWC, model.text_encoder.tokenizer.tokenize(texts))
    pairs = [
        (loaded.encode_query(files, texts), query_BD),
        (loaded.encode_gallery(files), _live(model.gallery_vectors, image_BHWC)),
    ]
    if index != "none":
        ids_BK, score_BK = loaded.search(files, texts, 10)
        row = {name.encode(): row for row, name in enumerate(gallery.ids)}
        found_BKD = gallery.vectors_ND[np.vectorize(row.get)(ids_BK.numpy())]
        pairs.append((score_BK, np.einsum("bd,bkd->bk", query_BD, found_BKD)))
    difference = float(np.max([_gap(np.asarray(one), other) for one, other in pairs]))
    if not difference <= TOLERANCE:
        raise UserError(f"the export differs by {difference:.1e} from the live model, more than {TOLERANCE}: not kept")
    return difference


def _gap(one, other):
    """The largest difference, as a share of the largest number where that is above 1, as of vectors longer than 1."""
    return np.abs(one - other).max() / max(1, np.abs(other).max())


def _live(function, *arguments):
    # Free axes as in the export: with fixed ones TensorFlow fuses other steps, which shows in 16-bit floats.
    free = [tf.TensorSpec([None, *([None] if x.ndim == 2 else x.shape[1:])], x.dtype) for x in arguments]
    return tf.function(function, input_signature=free)(*arguments).numpy()


def make_manifest(config, model, gallery, index):
    """What a reader of the export may want to know, as JSON values."""
    packages = ["tensorflow", "keras", "numpy", *(["scann"] if index == "scann" else [])]
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "format": FORMAT,
        "config": json.loads(config.to_json()),
        "weights": assemble.weights_hash(model),
        "dimension": gallery.vectors_ND.shape[1],
        "image_size": model.image_encoder.image_size,
        "index": index,
        "count": 0 if index == "none" else len(gallery.ids),
        "gallery": gallery.name,
        "versions": {"cir_tf": cir_tf.__version__, **versions},
    }


def _signature(endpoint, names):
    def call(*arguments):
        return dict(zip(names, tf.nest.flatten(endpoint(*arguments)), strict=True))

    return tf.function(call, input_signature=endpoint.input_signature)


def _some(values):
    """At most `COMPARED` values, spread over all of them."""
    return [values[row] for row in sorted(set(np.linspace(0, len(values) - 1, COMPARED).astype(int)))]


def _replaceable(path):
    is_export = (path / MANIFEST).exists() and (path / PROTO).exists()
    return path.is_dir() and (is_export or not any(path.iterdir()))


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.export", description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", required=True, help="folder of a trained run")
    parser.add_argument("--to", default="", help="folder of the SavedModel; default: export in the work folder")
    parser.add_argument("--index", default="exact", choices=INDEXES, help="what is packed in for search")
    parser.add_argument("--images", default="", help="folder of pictures as gallery; default: that of the evaluation")
    arguments = parser.parse_args(argv)
    config, model = assemble.trained(arguments.workdir)
    export_run(config, model, **vars(arguments))
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
