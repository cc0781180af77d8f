import numpy as np
import pytest
import tensorflow as tf

from cir_tf.data import triplets
from cir_tf.tokenizers import WordTokenizer
from tests.small import SIZE, WORDS, small_gallery, small_rows

PLAIN = {"shift_pixels": 0, "unknown_word_share": 0.0}
BUSY = {"shift_pixels": 3, "unknown_word_share": 0.4}


@pytest.fixture
def data():
    gallery = small_gallery()
    return triplets.make_triplets(small_rows(), gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)


def take(data, start=0, count=3, augment=BUSY, batch_size=4, context=None):
    dataset = triplets.batches(data, batch_size, 5, start, augment, context)
    return [{key: value.numpy() for key, value in batch.items()} for batch in dataset.take(count)]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_rows_find_their_pictures_words_and_classes(data):
    np.testing.assert_array_equal(data.reference_R, [i % 5 for i in range(11)])
    np.testing.assert_array_equal(data.target_R, [(2 * i + 1) % 5 for i in range(11)])
    np.testing.assert_array_equal(data.ids_RL[:3], [[3, -1, -1], [2, 3, -1], [1, 2, 3]])
    same_target = data.target_R[:, None] == data.target_R
    np.testing.assert_array_equal(data.target_class_R[:, None] == data.target_class_R, same_target)


def test_a_class_counts_before_the_id():
    rows = small_rows(3)
    rows["target_class"] = ["round", "square", "round"]
    gallery = small_gallery()
    made = triplets.make_triplets(rows, gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)
    assert made.target_class_R[0] == made.target_class_R[2] != made.target_class_R[1]


def test_rows_without_a_target_are_left_out():
    rows = small_rows(4)
    rows["has_target"][1] = False
    rows["target_id"][1] = ""
    gallery = small_gallery()
    assert len(triplets.make_triplets(rows, gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)) == 3


def test_a_picture_that_is_not_in_the_gallery_is_an_error():
    rows = small_rows(3)
    rows["target_id"][2] = "elsewhere"
    gallery = small_gallery()
    with pytest.raises(ValueError, match=r"1 that are not: .'elsewhere'."):
        triplets.make_triplets(rows, gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)


def test_batches_are_the_rows_they_say(data):
    pictures = data.targets.decoded_NHWC.numpy()
    rows = {
        (picture.tobytes(), target.tobytes(), tuple(ids), code)
        for picture, target, ids, code in zip(
            pictures[data.reference_R], pictures[data.target_R], data.ids_RL, data.target_class_R, strict=True
        )
    }
    for batch in take(data, augment=PLAIN):
        for picture, target, ids, code in zip(*(batch[key] for key in batch_keys()), strict=True):
            assert (picture.tobytes(), target.tobytes(), tuple(ids), code) in rows


def batch_keys():
    return "reference_image", "target_image", "text_ids", "target_class"


def test_an_epoch_takes_each_row_once_in_a_new_order(data):
    rows = np.arange(len(data))
    data = triplets.dataclasses.replace(data, target_class_R=rows.astype(np.int32))
    classes = [batch["target_class"].tolist() for batch in take(data, count=4)]
    first, second = classes[0] + classes[1], classes[2] + classes[3]
    assert len(set(first)) == len(set(second)) == 8
    assert first != second


@pytest.mark.parametrize("start", [1, 2, 5])
def test_going_on_gives_the_same_batches(data, start):
    assert_same(take(data, 0, start + 2)[start:], take(data, start, 2))


def test_streaming_equals_the_cache(data, monkeypatch):
    cached = take(data)
    monkeypatch.setattr(triplets, "CACHE_BYTES", 0)
    gallery = small_gallery()
    streamed = triplets.make_triplets(small_rows(), gallery, gallery, WordTokenizer(sorted(WORDS)), SIZE)
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
