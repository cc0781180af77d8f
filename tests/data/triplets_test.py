import numpy as np
import pytest
import tensorflow as tf

from cir_tf.data import triplets
from cir_tf.samplers.stored import Stored
from cir_tf.tokenizers import WordTokenizer
from tests.small import SIZE, WORDS, small_gallery, small_rows, stored_triplets

PLAIN = {"shift_pixels": 0, "unknown_word_share": 0.0}
BUSY = {"shift_pixels": 3, "unknown_word_share": 0.4}


@pytest.fixture
def data():
    return stored_triplets(small_rows(), WordTokenizer(sorted(WORDS)))


def take(data, start=0, count=3, augment=BUSY, batch_size=4, context=None):
    dataset = triplets.batches(data, batch_size, 5, start, augment, context)
    return [{key: value.numpy() for key, value in batch.items()} for batch in dataset.take(count)]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_rows_find_their_pictures_words_and_classes(data):
    reference_R, target_R, ids_RL, class_R = data.epoch(5, 0)
    rows = {(i % 5, (2 * i + 1) % 5, tuple([[3, -1, -1], [2, 3, -1], [1, 2, 3]][i % 3])) for i in range(11)}
    assert {(r, t, tuple(ids)) for r, t, ids in zip(reference_R, target_R, ids_RL.tolist(), strict=True)} == rows
    np.testing.assert_array_equal(class_R[:, None] == class_R, target_R[:, None] == target_R)


def test_a_class_counts_before_the_id_where_rows_ask_for_one():
    gallery = small_gallery()._replace(target_class=["round", "", "", "round", ""])
    rows = small_rows()
    asked = [gallery.target_class[gallery.ids.index(name)] for name in rows["target_id"]]
    for classes, kinds in ((asked, [0, 1, 2, 0, 3]), ([""] * len(asked), range(5))):
        sampler = Stored(rows | {"target_class": classes}, gallery, gallery)
        made = triplets.make_triplets(sampler, gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)
        _, target_R, _, class_R = made.epoch(0, 0)
        kind_R = np.array(kinds)[target_R]
        np.testing.assert_array_equal(class_R[:, None] == class_R, kind_R[:, None] == kind_R)


def test_batches_are_the_rows_they_say(data):
    pictures = data.targets.decoded_NHWC.numpy()
    reference_R, target_R, ids_RL, class_R = data.epoch(5, 0)
    batches = take(data, augment=PLAIN, count=2)
    for place, batch in enumerate(batches):
        rows = slice(4 * place, 4 * place + 4)
        np.testing.assert_array_equal(batch["reference_image"], pictures[reference_R[rows]])
        np.testing.assert_array_equal(batch["target_image"], pictures[target_R[rows]])
        np.testing.assert_array_equal(batch["text_ids"], ids_RL[rows])
        np.testing.assert_array_equal(batch["target_class"], class_R[rows])


def test_texts_are_as_wide_as_the_longest_of_the_whole_batch(data):
    """What a network does at padding must not depend on other batches, nor on the share of a replica."""
    plain, forgotten = (
        take(data, count=15, augment=PLAIN | {"unknown_word_share": share}, batch_size=2) for share in (0.0, 0.5)
    )
    widths = set()
    for batch, other in zip(plain, forgotten, strict=True):
        widths.add(batch["text_ids"].shape[1])
        assert (batch["text_ids"][:, -1] >= 0).any()
        assert other["text_ids"].shape == batch["text_ids"].shape
    assert widths == {1, 2, 3}
    shares = take(data, count=30, augment=PLAIN, batch_size=2, context=tf.distribute.InputContext(1, 0, 2))
    for batch, first, second in zip(plain, shares[::2], shares[1::2], strict=True):
        np.testing.assert_array_equal(np.concatenate([first["text_ids"], second["text_ids"]]), batch["text_ids"])


def batch_keys():
    return "reference_image", "target_image", "text_ids", "target_class"


@pytest.mark.parametrize("start", [1, 2, 5])
def test_going_on_gives_the_same_batches(data, start):
    assert_same(take(data, 0, start + 2)[start:], take(data, start, 2))


def test_streaming_equals_the_cache(data, monkeypatch):
    cached = take(data)
    monkeypatch.setattr(triplets, "CACHE_BYTES", 0)
    streamed = stored_triplets(small_rows(), WordTokenizer(sorted(WORDS)))
    assert streamed.targets.decoded_NHWC is None
    assert_same(cached, take(streamed))


def test_replicas_and_workers_share_the_global_batch_in_order(data):
    whole = take(data, count=2)
    for pipelines in (1, 2):
        parts = [
            take(data, count=4 // pipelines, context=tf.distribute.InputContext(pipelines, worker, 2))
            for worker in range(pipelines)
        ]
        for step in range(2):
            found = parts[0][2 * step : 2 * step + 2] if pipelines == 1 else [part[step] for part in parts]
            for key in batch_keys():
                np.testing.assert_array_equal(np.concatenate([part[key] for part in found]), whole[step][key])


def test_a_batch_must_fit(data):
    with pytest.raises(ValueError, match="batch_size=12, 11 rows"):
        triplets.batches(data, 12, 0, 0, PLAIN)
    with pytest.raises(ValueError, match="batch_size=3, 2 replicas"):
        triplets.batches(data, 3, 0, 0, PLAIN, tf.distribute.InputContext(1, 0, 2))
