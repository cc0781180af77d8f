import collections
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble
from cir_tf.data import fits, store, triplets
from cir_tf.data.triplets import Pictures
from cir_tf.errors import UserError
from cir_tf.evaluate import Scorer
from cir_tf.samplers.stored import Stored
from cir_tf.tokenizers import WordTokenizer
from scripts.benchmarks.base import encoded_pictures
from tests.conftest import ROOT
from tests.data.triplets_test import BUSY, assert_same, take
from tests.small import SIZE, WORDS, small_config, small_gallery, small_rows, stored_triplets

ORDER = np.array([4, 0, 0, 2])


def pictures(count=5, size=(40, 30), seed=3):
    return encoded_pictures(np.random.default_rng(seed), count, size)


def stored(folder, encoded_N=None, size=SIZE, fit="squash"):
    return Pictures(pictures() if encoded_N is None else encoded_N, size, fit, str(folder))


def small_triplets(folder):
    gallery = small_gallery()
    sampler, tokenizer = Stored(small_rows(), gallery, gallery), WordTokenizer(sorted(WORDS))
    return triplets.make_triplets(sampler, gallery, gallery, tokenizer, SIZE, folder=str(folder))


def files(folder, suffix=".npy"):
    return sorted(folder.glob(f"*{suffix}"))


def no_decoding(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("decoded again")

    monkeypatch.setattr(triplets.preprocess, "decode_from", refuse)


@pytest.mark.parametrize("fit", fits.FITS)
def test_pixels_are_the_same_to_the_bit(fit, tmp_path, monkeypatch):
    encoded_N = pictures()
    monkeypatch.setattr(triplets, "CACHE_BYTES", 0)
    expected = Pictures(encoded_N, SIZE, fit).take(ORDER)
    monkeypatch.setattr(triplets, "DECODED_TOGETHER", 2)  # in parts, the last one shorter
    made = stored(tmp_path, encoded_N, fit=fit)
    found = made.take(ORDER)
    assert found.dtype == expected.dtype == fits.FITS[fit].dtype
    np.testing.assert_array_equal(found, expected)
    dataset = tf.data.Dataset.from_tensors(ORDER).repeat(3).map(made.take, tf.data.AUTOTUNE)
    for found in dataset:
        np.testing.assert_array_equal(found, expected)
    assert not made.decoded_NHWC.flags.writeable


def test_training_sees_the_same_batches(tmp_path, monkeypatch):
    expected = take(stored_triplets(small_rows(), WordTokenizer(sorted(WORDS))))
    folder = tmp_path / "new" / "folder"
    assert_same(expected, take(small_triplets(folder)))
    assert len(files(folder)) == 1  # references and targets are of one gallery


def test_the_config_names_the_folder(tmp_path):
    config, gallery = small_config(picture_store=str(tmp_path)), small_gallery()
    model = types.SimpleNamespace(
        text_encoder=types.SimpleNamespace(tokenizer=WordTokenizer(sorted(WORDS))),
        image_encoder=types.SimpleNamespace(image_size=SIZE),
    )
    data = Stored(small_rows(), gallery, gallery), gallery, gallery
    made = assemble.training_triplets(config, data, model, tf.distribute.get_strategy())
    assert made.targets.folder == Scorer(config, model)._pictures(gallery).folder == str(tmp_path)


def test_changed_pictures_come_from_their_files(tmp_path):
    seed_B = tf.constant([1, 2, 3, 4], tf.int64)
    expected = Pictures(pictures(), SIZE).take_augmented(ORDER, seed_B, "strong")
    np.testing.assert_array_equal(stored(tmp_path).take_augmented(ORDER, seed_B, "strong"), expected)
    assert not files(tmp_path)
    take(small_triplets(tmp_path), augment=BUSY | {"reference": "strong", "target": "strong"})
    assert not files(tmp_path)


def test_a_second_run_decodes_nothing(tmp_path, monkeypatch, capsys):
    expected = stored(tmp_path).take(ORDER)
    (path,) = files(tmp_path)
    assert capsys.readouterr().err.startswith(f"resizing 5 pictures into {path} (0.00 GB)\n")
    assert path.stat().st_size == 128 + 5 * SIZE * SIZE * 3
    no_decoding(monkeypatch)
    np.testing.assert_array_equal(stored(tmp_path).take(ORDER), expected)
    assert capsys.readouterr().err == ""


def test_it_is_for_these_pictures_this_size_this_fit_and_these_versions(tmp_path, monkeypatch):
    first = pictures()
    other = first.copy()
    other[3] = other[3][:30] + b"\x09" + other[3][31:]  # as long as before: another quantisation
    assert other[3] != first[3]
    for encoded_N, size, fit in (
        (first, SIZE, "squash"),
        (other, SIZE, "squash"),
        (first[::-1], SIZE, "squash"),
        (first[:4], SIZE, "squash"),
        (first, SIZE + 1, "squash"),
        (first, SIZE, "pad"),
    ):
        before = len(files(tmp_path))
        kept = stored(tmp_path, encoded_N, size, fit).decoded_NHWC
        np.testing.assert_array_equal(kept, Pictures(encoded_N, size, fit).decoded_NHWC)
        assert len(files(tmp_path)) == before + 1
    for place, value in ((store.tf, "__version__"), (store.PIL, "__version__"), (store.np, "__version__")):
        monkeypatch.setattr(place, value, "9.0.0")
        stored(tmp_path).prepare()
    assert len(files(tmp_path)) == len(files(tmp_path, ".json")) == 9


@pytest.mark.parametrize("damage", ["shorter", "empty", "other type", "pickle", "no json", "half a json", "other json"])
def test_what_does_not_match_is_made_anew(damage, tmp_path, capsys):
    expected = np.array(stored(tmp_path).decoded_NHWC)
    (path,), (facts,) = files(tmp_path), files(tmp_path, ".json")
    capsys.readouterr()
    {
        "shorter": lambda: os.truncate(path, path.stat().st_size - 1),
        "empty": lambda: os.truncate(path, 0),
        "other type": lambda: np.save(path, expected.astype(np.int8)),
        "pickle": lambda: np.save(path, expected.astype(object)),
        "no json": facts.unlink,
        "half a json": lambda: os.truncate(facts, 30),
        "other json": lambda: facts.write_text(json.dumps(json.loads(facts.read_text()) | {"pillow": "1"})),
    }[damage]()
    np.testing.assert_array_equal(stored(tmp_path).decoded_NHWC, expected)
    assert "again, as what is there does not match its JSON" in capsys.readouterr().err
    stored(tmp_path).prepare()
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "free")(5 * SIZE * SIZE * 3 - 1)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: usage)
    no_decoding(monkeypatch)
    with pytest.raises(UserError, match=r"for 5 pictures and has room for .* GB; choose") as caught:
        stored(tmp_path).prepare()
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [store.LOCK]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    def fill(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", fill)
    with pytest.raises(UserError, match=f"cannot write to picture_store {tmp_path}: No space left on device; choose"):
        stored(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == [store.LOCK]


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to picture_store .*/file/in: Not a directory"):
        stored(tmp_path / "file" / "in").prepare()


def test_a_picture_that_cannot_be_decoded_leaves_nothing(tmp_path):
    encoded_N = pictures()
    encoded_N[4] = b"no picture"
    with pytest.raises(tf.errors.InvalidArgumentError):
        stored(tmp_path, encoded_N).prepare()
    assert [path.name for path in tmp_path.iterdir()] == [store.LOCK]


KILLED = """
import sys
sys.path.insert(0, {root!r})
import os, signal
from cir_tf.data import store
from tests.data.store_test import pictures, stored
store.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
stored({folder!r}).prepare()
"""


def test_a_killed_process_leaves_nothing_that_counts(tmp_path):
    code = KILLED.format(root=str(ROOT), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not files(tmp_path)
    (remains,) = files(tmp_path, store.UNFINISHED)
    assert remains.stat().st_size > 0
    kept = stored(tmp_path, pictures(seed=4)).decoded_NHWC  # other pictures: the remains go all the same
    np.testing.assert_array_equal(kept, Pictures(pictures(seed=4), SIZE).decoded_NHWC)
    assert not files(tmp_path, store.UNFINISHED)
    np.testing.assert_array_equal(stored(tmp_path).decoded_NHWC, Pictures(pictures(), SIZE).decoded_NHWC)


def test_two_at_once_make_one(tmp_path, monkeypatch, capfd):
    expected = Pictures(pictures(), SIZE).decoded_NHWC.numpy()
    with (tmp_path / store.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = {}
        late = stored(tmp_path)
        thread = threading.Thread(target=lambda: found.update(late=late.decoded_NHWC))
        thread.start()
        told = ""
        while "waiting for it" not in told:
            assert thread.is_alive()
            told += capfd.readouterr().err
        with monkeypatch.context() as here:
            here.setattr(store, "_alone", contextlib.nullcontext)  # this one has the lock
            store.pixels(tmp_path, pictures(), SIZE, "squash", [tf.constant(expected)])
    thread.join(60)
    np.testing.assert_array_equal(found["late"], expected)
    told += capfd.readouterr().err
    assert told.count("resizing 5 pictures") == told.count(f"another process resizes pictures in {tmp_path}") == 1
