"""Time builds, training, input and search against bare references: `python scripts/bench.py [WHAT]`, see `--help`.

A time says little away from its machine; its ratio to the bare work, measured in turn with it in the same run, says how
much the library adds. Medians (smallest - largest). "ms": lower is better; "pictures/s": higher is better. The CPU
ratio compares processor time over all threads, which other work on the machine disturbs less.

Dimension key: B batch, Q queries, N gallery, D shared embedding, R rounds.
"""

import argparse
import concurrent.futures
import contextlib
import io
import math
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from cir_tf import assemble, registry
from cir_tf import config as configs
from cir_tf.data import triplets
from cir_tf.data.source import Gallery
from cir_tf.errors import run_command
from cir_tf.evaluation import protocols, runner
from cir_tf.retrieval.scann import EXACT_BELOW
from cir_tf.samplers.stored import Stored
from cir_tf.tokenizers import WordTokenizer
from datasets_tfds import build

WORDS = [first + second for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
WORDS_IN_TEXT = 10
KEPT = 50  # ranks
MILLION_WIDTH = 128
WHAT = ["build", "train", "input", "evaluate", "search", "search_million", "all"]
EVALUATED = ("original_both_orders_kept", "original_both_orders", "val_both_orders")  # protocols of FashionIQ
HEAD = f"{'benchmark':<36}{'unit':<12}{'ours':>26}{'bare':>26}{'ours / bare':>22}{'CPU ratio':>11}"


class Sizes(NamedTuple):
    """How much each benchmark does in one round."""

    recipe: str
    steps: int
    pictures: int
    side: int  # of the pictures' files
    cached_batches: int
    streamed_batches: int
    gallery: int
    queries: int
    single_queries: int
    width: int
    million: int = 1_000_000
    built: int = 600  # pictures
    built_side: int = 512
    kinds: tuple = ((2017, 3817, 2628), (2038, 6346, 3089), (1961, 5373, 2902))  # FashionIQ: rows, gallery, union
    evaluated_width: int = 640


FULL = Sizes(configs.DEFAULT, 3, 256, 256, 200, 6, 16_384, 512, 10, 512)
SMALLEST = Sizes(f"{configs.DEFAULT}:runlocal", 1, 8, 80, 2, 1, 60, 3, 2, 16, 2_000, 8, 80, ((9, 30, 20),) * 3, 16)


class Row(NamedTuple):
    """One comparison; the arrays hold a figure for each round."""

    name: str
    unit: str
    ours_R: Any
    bare_R: Any
    ratio_R: Any
    cpu_ratio_R: Any


def compare(name, unit, ours, bare, repeat):
    """The `Row` of two functions that return how many items they worked off, called in turn after a warm-up."""
    ours(), bare()
    ours_R2, bare_R2 = np.array([(_seconds(ours), _seconds(bare)) for _ in range(repeat)]).swapaxes(0, 1)
    ours_R2, bare_R2 = (1e3 * ours_R2, 1e3 * bare_R2) if unit == "ms" else (1 / ours_R2, 1 / bare_R2)
    return Row(name, unit, ours_R2[:, 0], bare_R2[:, 0], *(ours_R2 / bare_R2).T)


def _seconds(function):
    """Wall and processor seconds of an item."""
    wall, cpu = time.perf_counter(), time.process_time()
    items = function()
    return (time.perf_counter() - wall) / items, max(time.process_time() - cpu, 1e-6) / items


def save_picture(rng, side, file, kind="JPEG"):
    """Write soft blobs with a little noise: as much to decode as a photograph has."""
    blobs = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize([side] * 2)
    noisy = np.asarray(blobs) + rng.integers(-8, 8, (side, side, 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, kind, quality=85)
    return file


def build_row(sizes, kind, repeat):
    """Preparing the gallery view of a folder of "JPEG" or "PNG" files, against decoding them on all cores."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        manual_dir = Path(place, "pictures")
        manual_dir.mkdir()
        files = [save_picture(rng, sizes.built_side, manual_dir / f"{i}.{kind}", kind) for i in range(sizes.built)]
        command = ["own_images", "--config=own_gallery", "--overwrite", f"--manual_dir={manual_dir}"]

        def prepare():
            with contextlib.redirect_stdout(io.StringIO()):
                return len(files) if build.main([*command, f"--data_dir={place}"]) == 0 else 0

        def decode():
            return len(list(pool.map(lambda file: Image.open(file).convert("RGB").size, files)))

        return compare(f"build {kind}, {sizes.built_side} px", "pictures/s", prepare, decode, repeat)


def generated_triplets(sizes, tokenizer, image_size, rows=1024):
    """`Triplets` of generated texts and JPEG files."""
    rng = np.random.default_rng(0)
    encoded = [save_picture(rng, sizes.side, io.BytesIO()).getvalue() for _ in range(sizes.pictures)]
    ids = [str(i) for i in range(sizes.pictures)]
    gallery = Gallery(ids, np.array(encoded, object), [""] * len(ids))
    made = {
        "captions": [[]] * rows,
        "reference_id": rng.choice(ids, rows),
        "target_id": rng.choice(ids, rows),
        "text": [" ".join(rng.choice(WORDS, WORDS_IN_TEXT)) for _ in range(rows)],
        "target_class": [""] * rows,
        "has_target": [True] * rows,
    }
    sampler = Stored(made, gallery, gallery)
    return triplets.make_triplets(sampler, gallery, gallery, tokenizer, image_size)


def train_row(sizes, name, repeat):
    """A training step of the default recipe with one compositor, against the products of both towers and itself."""
    config = configs.load(sizes.recipe, [f"compositor.name={name}"])
    task = assemble.task(config, {"vocabulary.txt": "\n".join(WORDS)}, tf.distribute.get_strategy())
    model = task.retriever
    data = generated_triplets(sizes, model.text_encoder.tokenizer, model.image_encoder.image_size)
    batch = next(iter(triplets.batches(data, config.batch_size, config.seed, 0, config.augment)))
    task.build({key: value[:2] for key, value in batch.items()})
    iterator, steps = iter(tf.data.Dataset.from_tensors(batch).repeat()), tf.constant(sizes.steps)
    calls = products(model, batch)
    label = f"train {name}, {sum(map(operations, calls)) / 1e9:.1f} GFLOP"
    bare = bare_products(calls, sizes.steps)
    return compare(label, "ms", lambda: len(task.train_steps(iterator, steps).numpy()), bare, repeat)


def products(model, batch):
    """Every call of a dense or convolution layer in a forward pass: [(input, kernel, output shape, strides)]."""
    calls = []  # one step too many of a recurrent layer: Keras takes the first twice, to learn the shapes

    def recorded(call):
        def record(layer, inputs, *args, **kwargs):
            output = call(layer, inputs, *args, **kwargs)
            calls.append((inputs.shape, layer.kernel.shape, output.shape, getattr(layer, "strides", None)))
            return output

        return record

    with contextlib.ExitStack() as stack:
        for kind in (keras.layers.Dense, keras.layers.Conv2D):
            stack.enter_context(mock.patch.object(kind, "call", recorded(kind.call)))
        model({key: batch[key] for key in ("reference_image", "text_ids", "target_image")}, training=True)
    return calls


def operations(call):
    """Floating-point operations of a call, forward and backward; nobody asks for the gradient of pictures."""
    input_shape, kernel_shape, output_shape, _ = call
    return (4 if input_shape[-1] == 3 else 6) * math.prod(output_shape[:-1]) * math.prod(kernel_shape)


def bare_products(calls, steps):
    """A function that does the products of `steps` steps, forward and backward, and nothing else."""
    operands = [(tf.random.normal(x), 0.1 * tf.random.normal(kernel), strides) for x, kernel, _, strides in calls]

    def gradients(x, kernel, strides):
        wanted = [kernel] if x.shape[-1] == 3 else [x, kernel]
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            y = tf.nn.conv2d(x, kernel, strides, "VALID") if strides else tf.reshape(x, [-1, x.shape[-1]]) @ kernel
        return tape.gradient(y, wanted, output_gradients=y)

    step = tf.function(lambda: [gradients(*each) for each in operands])
    return lambda: len([step() for _ in range(steps)])


def input_row(sizes, name, repeat):
    """The pictures of training batches, "cached" as pixels or "streamed" from the files, against bare decoding."""
    config = configs.load(sizes.recipe)
    limit, count = {"cached": (2**30, sizes.cached_batches), "streamed": (0, sizes.streamed_batches)}[name]
    data = generated_triplets(sizes, WordTokenizer(WORDS), config.image_encoder.image_size)
    with mock.patch.object(triplets, "CACHE_BYTES", limit):
        batches = triplets.batches(data, config.batch_size, config.seed, 0, config.augment).take(count)
    files = tf.data.Dataset.from_tensor_slices(data.targets.encoded_N).repeat()
    numbers = files.map(lambda encoded: tf.size(tf.io.decode_jpeg(encoded, channels=3)), os.cpu_count())
    decoded = numbers.batch(2 * config.batch_size).take(sizes.streamed_batches)

    runs = [lambda dataset=dataset: 2 * config.batch_size * sum(1 for _ in dataset) for dataset in (batches, decoded)]
    return compare(f"input, {name}", "pictures/s", *runs, repeat)


def fashion_iq_part(rng, rows, entries, width):
    """A `runner.Part` of one kind: two queries of each row, between its reference and its target."""
    gallery_ND = rng.standard_normal((entries, width), np.float32)
    reference_Q, target_Q = np.repeat([rng.permutation(entries)[:2] for _ in range(rows)], 2, axis=0).T
    query_QD = gallery_ND[reference_Q] + gallery_ND[target_Q] + 4 * rng.standard_normal((2 * rows, width), np.float32)
    query_QD, gallery_ND = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (query_QD, gallery_ND))
    made = {
        "query_id": [f"{row // 2}/{row % 2}" for row in range(2 * rows)],
        "reference_id": [f"B{row:09}" for row in reference_Q],
        "target_ids": [[f"B{row:09}"] for row in target_Q],
        **{key: [""] * 2 * rows for key in ("target_class", "category", "text")},
        "row": np.arange(2 * rows) // 2,
    }
    gallery = {"ids": [f"B{row:09}" for row in range(entries)], "target_class": [""] * entries}
    return runner.Part(made, gallery, {"model": query_QD}, gallery_ND)


def evaluate_row(sizes, repeat):
    """Three protocols of FashionIQ with ranks, metrics and intervals, against the float32 products of their vectors."""
    rng = np.random.default_rng(0)
    original, union = (
        {kind: fashion_iq_part(rng, *size, sizes.evaluated_width) for kind, size in zip("dst", part, strict=True)}
        for part in zip(*(((rows, all_), (rows, union)) for rows, all_, union in sizes.kinds), strict=True)
    )
    work = [(protocols.get(f"fashion_iq_{name}"), union if "val" in name else original) for name in EVALUATED]
    pairs = [(part.query_vectors["model"], part.gallery_vectors_ND) for _, parts in work for part in parts.values()]
    return compare(
        f"evaluate FashionIQ, {len(work)} protocols",
        "ms",
        lambda: len([runner.evaluate(protocol, parts) for protocol, parts in work]),
        lambda: len([len(query_QD @ gallery_ND.T) for query_QD, gallery_ND in pairs]) // len(sizes.kinds),
        repeat,
    )


def search_rows(sizes, name, repeat):
    """Exact search: many queries against the float32 product, and one against reading the gallery once."""
    rng = np.random.default_rng(0)
    gallery_ND = rng.standard_normal((sizes.gallery, sizes.width)).astype(np.float32)
    query_QD = rng.standard_normal((sizes.queries, sizes.width)).astype(np.float32)
    half_ND = gallery_ND[: sizes.gallery // 2]  # a copy reads and writes it: as many bytes as the gallery has
    copy_ND = np.empty_like(half_ND)
    index = registry.create("retrieval", name).build(gallery_ND, [str(i) for i in range(sizes.gallery)])

    def one_by_one():
        return sum(len(index.search(query_QD[row : row + 1], KEPT).ids_QK) for row in range(sizes.single_queries))

    def copies():
        for _ in range(sizes.single_queries):
            np.copyto(copy_ND, half_ND)
        return sizes.single_queries

    many = (lambda: len(index.search(query_QD, KEPT).ids_QK)), (lambda: len(query_QD @ gallery_ND.T))
    yield compare(f"search {name}, {sizes.queries} at a time", "ms", *many, repeat)
    yield compare(f"search {name}, one at a time", "ms", one_by_one, copies, repeat)


def million_row(sizes, repeat, exact_below=EXACT_BELOW):
    """Approximate search tuned to a recall@10 of 0.95, against exact search by the same engine."""
    rng = np.random.default_rng(0)
    centre_CD = rng.standard_normal((int(sizes.million**0.5) * 4, MILLION_WIDTH)).astype(np.float32)

    def clustered(count):
        near_ND = centre_CD[rng.integers(len(centre_CD), size=count)]
        near_ND += 0.6 * rng.standard_normal(near_ND.shape, np.float32)
        return near_ND / np.linalg.norm(near_ND, axis=1, keepdims=True)

    gallery_ND = np.empty((sizes.million, MILLION_WIDTH), np.float32)
    for start in range(0, sizes.million, 100_000):
        gallery_ND[start : start + 100_000] = clustered(len(gallery_ND[start : start + 100_000]))
    tuned_QD, query_QD = clustered(sizes.queries), clustered(sizes.queries)
    ids = [str(i) for i in range(sizes.million)]
    index = registry.create("retrieval", "scann", exact_below=exact_below).build(gallery_ND, ids)
    index.tune(tuned_QD)
    exact = registry.create("retrieval", "scann", exact_below=sizes.million + 1).build(gallery_ND, ids)
    label = f"search {sizes.million} x {MILLION_WIDTH}, R@10 {index.measured_recall(query_QD):.3f}"
    runs = [lambda index=index: len(index.search(query_QD, 10).ids_QK) for index in (index, exact)]
    return compare(label, "queries/s", *runs, repeat)


def rows(what, sizes, repeat, big=False):
    """Yield the `Row`s of a benchmark, one of `WHAT`; "all" has the last only if `big`."""
    if what in ("build", "all"):
        yield from (build_row(sizes, kind, repeat) for kind in ("JPEG", "PNG"))
    if what in ("train", "all"):
        yield from (train_row(sizes, name, repeat) for name in registry.available("compositors"))
    if what in ("input", "all"):
        yield from (input_row(sizes, name, repeat) for name in ("cached", "streamed"))
    if what in ("evaluate", "all"):
        yield evaluate_row(sizes, repeat)
    if what in ("search", "all"):
        for name in registry.available("retrieval"):
            yield from search_rows(sizes, name, repeat)
    if what == "search_million" or (what == "all" and big):
        yield million_row(sizes, repeat)


def machine():
    """One line: cores, processor, versions."""
    file = Path("/proc/cpuinfo")
    names = [text.partition(": ")[2] for text in file.read_text().splitlines() if text.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0]}, Python {platform.python_version()}, TensorFlow {tf.__version__}"


def line(row):
    """A row of the table, under `HEAD`."""
    digits = 2 if row.unit == "ms" else 0
    ours, bare, ratio = (
        f"{np.median(figures_R):.{places}f} ({min(figures_R):.{places}f} - {max(figures_R):.{places}f})"
        for figures_R, places in ((row.ours_R, digits), (row.bare_R, digits), (row.ratio_R, 2))
    )
    return f"{row.name:<36}{row.unit:<12}{ours:>26}{bare:>26}{ratio:>22}{np.median(row.cpu_ratio_R):>11.2f}"


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=WHAT)
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--big", action="store_true", help="with all: also what takes minutes and gigabytes")
    parser.add_argument("--json", default="", metavar="FILE", help="write every figure there, too")
    arguments = parser.parse_args(argv)
    print(f"{machine()}\n\n{HEAD}")
    done = []
    for row in rows(arguments.what, FULL, arguments.repeat, arguments.big):
        print(line(row), flush=True)
        done.append(row._asdict() | {key: list(value) for key, value in row._asdict().items() if key.endswith("_R")})
    if arguments.json:
        configs.write_json(arguments.json, {"machine": machine(), "rows": done})
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
