import json

import numpy as np
import pytest

from cir_tf.samplers.stored import Stored
from tests.small import small_gallery, small_rows


def make(rows, **options):
    gallery = small_gallery()
    return Stored(rows, gallery, gallery, **options)


def taken(sampler, seed=3, epoch=0):
    return [tuple(row) for row in zip(*sampler.epoch(seed, epoch), strict=True)]


def test_an_epoch_takes_each_row_once_in_a_new_order():
    sampler = make(small_rows())
    rows = [(i % 5, (2 * i + 1) % 5, text) for i, text in enumerate(small_rows()["text"])]
    assert len(sampler) == 11
    assert sorted(taken(sampler)) == sorted(taken(sampler, epoch=1)) == sorted(rows)
    assert taken(sampler) != taken(sampler, epoch=1) != taken(sampler, seed=4, epoch=1)


def test_rows_without_a_target_are_left_out():
    rows = small_rows(4)
    rows["has_target"][1] = False
    rows["target_id"][1] = ""
    assert [row[:2] for row in sorted(taken(make(rows)))] == [(0, 1), (2, 0), (3, 2)]


def test_a_picture_that_is_not_in_the_gallery_is_an_error():
    rows = small_rows(3)
    rows["target_id"][2] = "elsewhere"
    with pytest.raises(ValueError, match=r"1 that are not: .'elsewhere'."):
        make(rows)


def captioned():
    rows = small_rows(6)
    rows["captions"] = [[f"first {i}", "" if i == 2 else f"second {i}"] for i in range(6)]
    return rows


def test_each_caption_can_be_a_row_of_its_own():
    sampler = make(captioned(), captions="each_caption")
    texts = sorted(text for *_, text in taken(sampler))
    assert texts == sorted([f"first {i}" for i in range(6)] + [f"second {i}" for i in range(6) if i != 2])
    assert all(reference == int(text[-1]) % 5 for reference, _, text in taken(sampler))


def test_one_of_several_texts_is_drawn_anew_in_each_epoch():
    sampler = make(captioned(), captions="random_order_or_single")
    epochs = [sorted(taken(sampler, epoch=epoch)) for epoch in range(40)]
    assert {len(rows) for rows in epochs} == {6}
    of_first = [next(text for *_, text in rows if text.endswith("0")) for rows in epochs]
    counts = {text: of_first.count(text) for text in of_first}
    assert len(counts) == 4
    assert min(counts.values()) >= 4  # 10 of 40 expected
    assert set(of_first) <= set(sampler.texts())
    np.testing.assert_array_equal(sampler.epoch(3, 7).texts_R, sampler.epoch(3, 7).texts_R)


def test_texts_that_are_to_be_averaged_are_refused():
    with pytest.raises(ValueError, match="averaged in a search only"):
        make(captioned(), captions="both_orders_averaged")


def test_texts_that_describe_the_target_take_the_place_of_a_rows_own(tmp_path):
    rows = captioned()
    file = tmp_path / "side.json"
    described = {"picture 1": "a red one", "elsewhere": "of another split", "picture 0": "a blue one"}
    file.write_text(json.dumps(described))
    sampler = make(rows, captions="each_caption", side_texts=str(file))
    wanted = [
        (i % 5, (2 * i + 1) % 5, described[f"picture {(2 * i + 1) % 5}"]) for i in range(6) if (2 * i + 1) % 5 < 2
    ]
    assert len(wanted) == len(sampler) == 3
    assert sorted(taken(sampler)) == sorted(wanted)
    assert sorted(set(sampler.texts())) == ["a blue one", "a red one"]
    # Both stages' words: the pictures' in the gallery's order, then those of all rows.
    own = [text for captions in rows["captions"] for text in captions if text]
    assert sampler.vocabulary() == ["a blue one", "a red one", *own]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "which cannot be read"),
        ('{"picture 1": ', "which cannot be read"),
        ('["a red one"]', "which holds something else"),
        ('{"picture 1": ["red"]}', "which holds something else"),
        ('{"1": "a red one"}', r"such as 'picture 1'\. Received: .*1 texts are of \['1'\]"),
    ],
)
def test_wrong_side_texts_are_told(content, message, tmp_path):
    file = tmp_path / "side.json"
    if content:
        file.write_text(content)
    with pytest.raises(ValueError, match=message):
        make(small_rows(), side_texts=str(file))
