"""The command that prepares a dataset: what it says, what a killed or stopped one leaves, who waits for whom."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import shuffle

from datasets_tfds import build, preparing, schema
from datasets_tfds.own_images.own_images_dataset_builder import Builder
from tests.conftest import ROOT
from tests.datasets_tfds import copies
from tests.datasets_tfds.own_images import toy

MANY = 160


@pytest.fixture
def slow_copy(tmp_path):
    """Queries whose pictures take long to store: PNG files with transparency, which are written anew."""
    root = tmp_path / "own"
    root.mkdir()
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (256, 256, 4), np.uint8)
    Image.fromarray(pixels_HWC).save(root / "p000.png", compress_level=1)
    for number in range(1, MANY):
        os.link(root / "p000.png", root / f"p{number:03d}.png")
    rows = [(f"p{i:03d}", f"p{i + 1:03d}", f"text {i}", "train" if i < 20 else "test") for i in range(MANY - 1)]
    toy.write_csv(root / "triplets.csv", [("reference", "target", "text", "split"), *rows])
    return root


def _start(root, data_dir):
    """The build in a process group of its own, begun to write: its first split is there, its second is not."""
    command = [sys.executable, "-m", "datasets_tfds.build", "own_images", "--config=own"]
    process = subprocess.Popen(
        [*command, f"--manual_dir={root}", f"--data_dir={data_dir}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not list(data_dir.glob("own_images/own/incomplete.*/*-train.tfrecord*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.01)
    return process


def _stop(process, how):
    """(exit code, stdout, stderr)."""
    os.killpg(process.pid, how)
    printed = process.communicate(timeout=60)
    return process.returncode, *printed


def _folders(data_dir):
    return sorted(path.name for path in (data_dir / "own_images/own").iterdir() if path.is_dir())


def _opened(data_dir):
    return tfds.core.read_only_builder.builder_from_files("own_images", config="own", data_dir=data_dir)


def test_a_killed_build_leaves_no_dataset_and_the_next_one_cleans_up(slow_copy, tmp_path, capsys):
    data_dir = tmp_path / "data"
    assert _stop(_start(slow_copy, data_dir), signal.SIGKILL)[0] == -signal.SIGKILL
    (half,) = _folders(data_dir)
    assert half.startswith("incomplete.")
    with pytest.raises(tfds.core.DatasetNotFoundError):
        _opened(data_dir)
    other = data_dir / "own_images/own/incomplete.ABCDEF_2.0.0"
    other.mkdir()
    arguments = ["own_images", "--config=own", f"--manual_dir={slow_copy}", f"--data_dir={data_dir}"]
    assert build.main(arguments) == 0
    assert "is ready" in capsys.readouterr().out
    assert _folders(data_dir) == ["1.0.0", other.name]  # of another version: not ours to remove
    found = copies.read(_opened(data_dir))
    rows = found["train"] + found["test"]
    assert [row["text"].decode() for row in rows] == [f"text {i}" for i in range(MANY - 1)]
    assert {row["target_image"].shape for row in rows} == {(256, 256, 3)}


def test_ctrl_c_says_one_line_and_leaves_nothing(slow_copy, tmp_path):
    code, out, error = _stop(_start(slow_copy, tmp_path / "data"), signal.SIGINT)
    assert (code, out) == (build.INTERRUPTED, "")
    assert error.splitlines()[-1].startswith("stopped;")
    assert "Traceback" not in error
    assert _folders(tmp_path / "data") == []


def test_a_second_build_waits_and_takes_what_the_first_has_made(slow_copy, tmp_path, capsys, caplog):
    data_dir = tmp_path / "data"
    first = _start(slow_copy, data_dir)
    arguments = ["own_images", "--config=own", f"--manual_dir={slow_copy}", f"--data_dir={data_dir}"]
    assert build.main(arguments) == 0
    assert "is ready" in first.communicate(timeout=60)[0]
    assert "another process prepares" in caplog.text
    assert f"rows: train 20, test {MANY - 21}" in capsys.readouterr().out
    assert _folders(data_dir) == ["1.0.0"]


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError("not supported")

    (tmp_path / "incomplete.ABCDEF_1.0.0").mkdir()
    monkeypatch.setattr(preparing.fcntl, "flock", unknown)
    with preparing.alone(tmp_path, "1.0.0"):
        assert (tmp_path / "incomplete.ABCDEF_1.0.0").is_dir()


def test_rows_keep_their_order_where_tfds_sorts_on_disk_a_part_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1000)
    parts = set()
    real = shuffle.get_bucket_number

    def counted(**where):
        parts.add(real(**where))
        return real(**where)

    monkeypatch.setattr(shuffle, "get_bucket_number", counted)
    builder = copies.prepare(Builder, toy.write(tmp_path / "own"), "own_gallery")
    assert [row["image_id"].decode() for row in copies.read(builder)["pictures"]] == toy.NAMES
    assert len(parts) == len(toy.NAMES)
    assert max(parts) < 200  # files that are open at once


def test_results_come_in_order_and_few_wait(monkeypatch):
    monkeypatch.setattr(preparing.os, "cpu_count", lambda: 3)
    begun = []

    def slow(item):
        begun.append(item)
        time.sleep(0.002 * (7 - item % 7))
        return -item

    results = preparing.in_order(slow, range(100))
    for item in range(50):
        assert next(results) == -item
        assert len(begun) <= item + 2 + 2 * 3
    assert list(results) == [-item for item in range(50, 100)]


def test_what_is_in_it_and_what_is_not_is_printed(tmp_path, capsys):
    root = toy.write(tmp_path / "own", toy.ROWS)
    rows = [("reference", "target", "text", "split"), ("IMG_000", "IMG_001", "a", "train")]
    rows += [("IMG_000", "IMG_002", "b", "train"), ("IMG_003", "IMG_004", "c", "test"), rows[1]]
    toy.write_csv(root / "triplets.csv", rows)
    (root / "bags/IMG_001.jpg").unlink()
    (root / "bags/IMG_004.jpg").write_bytes(b"")
    Image.new("RGBA", (9, 4)).save(root / "shoes/IMG_029.jpg", "PNG")
    arguments = ["own_images", f"--manual_dir={root}", f"--data_dir={tmp_path / 'data'}", "--on_missing=skip"]
    assert build.main([*arguments, "--config=own_index", "--config=own_gallery"]) == 0
    ready, rows, stamp, more, _, gallery, gallery_stamp = capsys.readouterr().out.splitlines()
    assert ready.startswith("own_images/own_index is ready in")
    assert rows == "  rows: train 1; dropped for want of pictures: train 1, test 1; no split test (no row is left)"
    assert re.fullmatch("  data stamp: pictures 3, missing 1, bad 1, reencoded 0, [0-9a-f]{16}", stamp)
    assert more == "  also counted: rows_left_out 1"
    assert gallery == "  rows: pictures 28; dropped for want of pictures: pictures 1"
    assert re.fullmatch("  data stamp: pictures 28, missing 0, bad 1, reencoded 1, [0-9a-f]{16}", gallery_stamp)
    assert build.main([*arguments, "--config=own_index"]) == 0  # it is there: the same words again
    assert capsys.readouterr().out.splitlines()[1:] == [rows, stamp, more]


def test_every_builder_writes_like_this():
    for name in build.names():
        module = __import__(f"datasets_tfds.{name}.{name}_dataset_builder", fromlist=["Builder"])
        assert issubclass(module.Builder, schema.ViewBuilder), name


def _rows(data_dir):
    builder = tfds.core.read_only_builder.builder_from_files("own_images", config="own_index", data_dir=data_dir)
    return [row["text"].decode() for row in tfds.as_numpy(builder.as_dataset(split="train"))]


def test_what_is_there_stays_until_the_new_one_is_ready(tmp_path, capsys):
    root, data_dir = tmp_path / "own", tmp_path / "tfds"
    root.mkdir()
    Image.new("RGB", (5, 4), "red").save(root / "a.png")
    Image.new("RGB", (4, 5), "blue").save(root / "b.png")
    command = ["own_images", "--config=own_index", f"--manual_dir={root}", f"--data_dir={data_dir}"]

    def write(text):
        toy.write_csv(root / "triplets.csv", [("reference", "target", "text", "split"), ("a", "b", text, "train")])

    write("first")
    assert build.main(command) == 0
    write("second")
    assert build.main(command) == 0
    assert _rows(data_dir) == ["first"]
    (root / "triplets.csv").write_text("nothing of use")
    assert build.main([*command, "--overwrite"]) == 2
    assert _rows(data_dir) == ["first"]
    write("third")
    assert build.main([*command, "--overwrite"]) == 0
    assert _rows(data_dir) == ["third"]
    folder = data_dir / "own_images" / "own_index"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", ".replacing", "1.0.0"]
    (folder / "1.0.0").rename(folder / ".1.0.0.old")  # a kill between the two renames
    assert build.main(command) == 0
    assert _rows(data_dir) == ["third"]


def test_what_one_process_sets_aside_no_other_brings_back(tmp_path):
    folder, seen = tmp_path / "config" / "1.0.0", []
    folder.mkdir(parents=True)

    def other():
        with preparing.replacing(folder, False):
            seen.append(sorted(path.name for path in folder.iterdir()))

    thread = threading.Thread(target=other)
    with preparing.replacing(folder, True):
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and not folder.exists()
        (folder / "new").mkdir(parents=True)
    thread.join(10)
    assert seen == [["new"]]


def test_a_writer_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise RuntimeError("long story") from OSError(28, "No space left on device")

    monkeypatch.setattr(schema.CopyBuilder, "download_and_prepare", full)
    assert build.main(["own_images", "--config=own_index", f"--data_dir={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith("error: cannot build own_images/own_index: [Errno 28] No space left")
