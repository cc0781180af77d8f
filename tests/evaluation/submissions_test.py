"""The files of test servers: every rule broken once, the servers' own examples, figures worked out by hand."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from cir_tf import captions
from cir_tf.evaluation import ranks, submissions
from cir_tf.evaluation.protocol import Protocol
from cir_tf.evaluation.submissions.base import Submission, Upload, parse
from datasets_tfds.circo import annotations as circo
from datasets_tfds.cirr import annotations as cirr

GALLERY = list("123456789")
ROWS = {
    "query_id": ["30", "4"],
    "reference_id": ["1", "2"],
    "target_ids": [["7", "3", "9"], ["5"]],
    "group_ids": [["1", "4", "5", "6"], ["6", "2", "9", "8"]],
    "captions": [["is blue", "is é"], ["", "longer"]],
}
PROTOCOL = Protocol("p", "d", ("s",), "test", "test", hit="target", metrics=("mAP@2", "mAP@4", "R@2", "R_subset@2"))
NUMBERS = Upload("numbers.json", 4, ("mAP", "R"), item=int)
WHOLE = Upload("whole.json", 3, ("R",), (("version", "v"), ("metric", "whole")), limit=100)
GROUP = Upload("group.json", 2, ("R_subset",), (("version", "v"), ("metric", "group")), in_group=True)
RIGHT = {"30": [5, 7, 3, 6], "4": [4, 6, 8, 5]}


def submission(*uploads, **changes):
    return Submission("mine", dataclasses.replace(PROTOCOL, **changes), 2, uploads, "nowhere")


def check(value, *uploads, gallery_ids=GALLERY):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return submission(*uploads).check(data, ROWS, gallery_ids)


def test_right_file_passes_and_is_told_by_its_header():
    upload, lists = check(RIGHT, NUMBERS)
    assert upload is NUMBERS and lists == RIGHT
    whole = {"version": "v", "metric": "whole", "30": ["2", "9", "4"], "4": ["1", "3", "8"]}
    group = {"4": ["9", "6"], "metric": "group", "30": ["5", "4"], "version": "v"}
    assert check(whole, WHOLE, GROUP)[0] is WHOLE
    upload, lists = check(group, WHOLE, GROUP)
    assert upload is GROUP and lists == {"30": ["5", "4"], "4": ["9", "6"]}


def test_numbers_may_be_written_as_strings():
    """As SEARLE writes them; CIRCO's server takes both."""
    strings = {query: list(map(str, ids)) if isinstance(ids, list) else ids for query, ids in RIGHT.items()}
    assert check(strings, NUMBERS)[1] == RIGHT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"4": None}, r"^queries that are missing: 1 \(4\)$"),
        ({"5": [5, 7, 3, 6]}, r"^queries that are none of the dataset's: 1 \(5\)$"),
        ({"30": [5, 7, 3, 6, 8]}, r"do not have 4 ids: 1 \(30\)$"),
        ({"30": [5, 7, 3]}, r"do not have 4 ids: 1 \(30\)$"),
        ({"30": "5736"}, r"do not have 4 ids: 1 \(30\)$"),
        ({"30": [5, 7, 3, "six"]}, r"have ids that are not integers: 1 \(30\)$"),
        ({"30": [5, 7, 3, True]}, r"have ids that are not integers: 1 \(30\)$"),
        ({"30": [5, 7, 3, [6]]}, r"have ids that are not integers: 1 \(30\)$"),
        ({"30": [5, 7, 3, 7]}, r"name an id twice: 1 \(30\)$"),
        ({"30": [5, 7, 1, 6]}, r"name their own reference: 1 \(30\)$"),
        ({"30": [5, 7, 3, 10]}, r"name an id that is not in the gallery: 1 \(30\)$"),
        ({"30": [5, 7], "4": [7, 5]}, r"do not have 4 ids: 2 \(30, 4\)$"),
        ({"30": [5, 7], "4": None}, r"^queries that are missing: 1 \(4\); queries that do not have 4 ids: 1 \(30\)$"),
    ],
)
def test_every_broken_rule_is_named(change, message):
    value = {query: ids for query, ids in (RIGHT | change).items() if ids is not None}
    with pytest.raises(ValueError, match=message):
        check(value, NUMBERS)


def test_ids_out_of_the_group_are_named():
    value = {"version": "v", "metric": "group", "30": ["5", "7"], "4": ["9", "6"]}
    with pytest.raises(ValueError, match=r"not in their group: 1 \(30\)$"):
        check(value, WHOLE, GROUP, gallery_ids=None)
    with pytest.raises(ValueError, match=r"name their own reference: 1 \(4\)$"):
        check(value | {"30": ["4", "5"], "4": ["2", "6"]}, GROUP)


def test_numbers_in_a_file_of_names_are_named():
    with pytest.raises(ValueError, match="not strings: 1"):
        check({"version": "v", "metric": "group", "30": ["5", 4], "4": ["9", "6"]}, GROUP)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (json.dumps(RIGHT).encode()[:-9], "cut off, or not JSON"),
        (b'{"30": "\xff"}', "not JSON in UTF-8"),
        (b"[" * 10**6, "not JSON"),
        (b'{"30": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"4": [1], "30": [5, 7, 3, 6], "4": [4, 6, 8, 5]}', r"^1 keys come twice \(4\)$"),
        (b"[1, 2]", "^it is not an object$"),
        (b"", "not JSON"),
    ],
)
def test_what_is_no_such_object_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check(data, NUMBERS)


def test_file_without_the_header_of_either_upload_is_refused():
    with pytest.raises(ValueError, match=r'"metric": "whole" or an object with "version": "v", "metric": "group"$'):
        check({"version": "v", "metric": "recall", "30": ["5", "4"]}, WHOLE, GROUP)


def test_size_counts_in_bytes():
    value = {"version": "v", "metric": "whole", "30": ["2", "9", "4"], "4": ["1", "3", "8"]}
    data = json.dumps(value).encode()
    check(data + b" " * (100 - len(data)), WHOLE)
    with pytest.raises(ValueError, match=r"^it has 101 bytes, and the server takes 100$"):
        check(data + b" " * (101 - len(data)), WHOLE)


def test_reference_may_be_named_where_it_is_kept():
    data = json.dumps(RIGHT | {"30": [5, 7, 1, 6]}).encode()
    submission(NUMBERS, exclude_reference=False).check(data, ROWS, GALLERY)


def test_gallery_that_is_not_known_is_not_looked_at():
    assert check(RIGHT | {"30": [5, 7, 3, 10]}, NUMBERS, gallery_ids=None)[0] is NUMBERS


def test_file_is_the_header_then_the_queries_in_order():
    data = WHOLE.encode(ROWS, [["2", "9", "4"], ["1", "3", "8"]])
    assert data == b'{"version": "v", "metric": "whole", "30": ["2", "9", "4"], "4": ["1", "3", "8"]}'
    assert NUMBERS.encode(ROWS, [["12"], ["7", "9"]]) == b'{"30": [12], "4": [7, 9]}'


def test_figures_of_a_file():
    """Query 30 accepts 7 (the hard target), 3 and 9 and lists 5, 7, 3, 6: AP@2 = 1/2 / 2, AP@4 = (1/2 + 2/3) / 3.

    Query 4 accepts 5 and lists it last: AP@2 = 0, AP@4 = 1/4. The hard targets are at ranks 2 and 4.
    """
    values = NUMBERS.values(PROTOCOL, RIGHT, ROWS)
    assert list(values) == ["mAP@2", "mAP@4", "R@2"]
    np.testing.assert_allclose(values["mAP@2"], [1 / 4, 0])
    np.testing.assert_allclose(values["mAP@4"], [7 / 18, 1 / 4])
    assert values["R@2"].tolist() == [1, 0]
    lists = {"30": ["6", "3"], "4": ["8", "5"]}
    values = GROUP.values(PROTOCOL, lists, ROWS)
    assert {metric: value_Q.tolist() for metric, value_Q in values.items()} == {"R_subset@2": [0, 1]}
    assert not WHOLE.values(dataclasses.replace(PROTOCOL, metrics=("R@5",)), lists, ROWS), "three ids say nothing of @5"


def test_several_subsets_are_refused():
    with pytest.raises(ValueError, match="one subset"):
        submission(NUMBERS, subsets=("a", "b"))


def test_all_submissions_have_one_query_for_each_row():
    rows = {"text": ["is red"] * 2, "captions": [["is red", "and long"]] * 2, "shared_concept": ["a cup"] * 2}
    for name in submissions.available():
        made = submissions.get(name)
        assert made.name == made.protocol.name == name
        texts = captions.apply(made.protocol.captions, rows)
        assert texts.combine == "average" or len(texts.texts) == 2
    with pytest.raises(ValueError, match=r"cirr_tset.*circo_test, .*cirr_test"):
        submissions.get("cirr_tset")


def test_challenge_file_is_the_caption_file_with_rankings():
    (upload,) = submissions.get("fashion_iq_dress_test").uploads
    upload = dataclasses.replace(upload, keep=2)
    made = Submission("mine", dataclasses.replace(PROTOCOL, exclude_reference=False), 2, (upload,), "nowhere")
    data = upload.encode(ROWS, [["7", "1"], ["5", "3"]])
    first = {"candidate": "1", "captions": ["is blue", "is é"], "ranking": ["7", "1"]}
    assert json.loads(data)[0] == first and list(json.loads(data)[0]) == list(first)
    assert data.startswith(b'[\n    {\n        "candidate": "1",') and upload.name == "dress.test.pred.json"
    assert made.check(data, ROWS, GALLERY)[1] == {"30": ["7", "1"], "4": ["5", "3"]}
    rows = json.loads(data)
    for wrong, message in [
        (rows[:1], "it has 1 rows, and the caption file 2"),
        (rows[::-1], r"^row 0 \(from 0\) has another candidate"),
        ([rows[0], 5], r"^row 1 \(from 0\) has another candidate"),
        ([rows[0], {**rows[1], "captions": ["longer", ""]}], "^row 1 "),
        ([rows[0], {**rows[1], "ranking": ["5", "5"]}], r"twice: 1 \(4\)$"),
        ({"30": ["7", "1"]}, "^it is not a list$"),
    ]:
        with pytest.raises(ValueError, match=message):
            made.check(json.dumps(wrong).encode(), ROWS, GALLERY)


def test_best_rows_are_those_of_a_plain_sort():
    """Small whole numbers: products are exact, and many scores are equal."""
    generator = np.random.default_rng(3)
    query_QD, vectors_ND = generator.integers(-2, 3, (17, 3)), generator.integers(-2, 3, (40, 3))
    exclude_Q = generator.integers(-1, 40, 17)
    group_QG = np.stack([generator.permutation(40)[:6] for _ in range(17)])
    group_QG[:5, 2] = exclude_Q[:5]
    for query, (exclude, group) in enumerate(zip(exclude_Q, group_QG, strict=True)):
        score_N = vectors_ND @ query_QD[query]
        order = [int(row) for row in np.lexsort((np.arange(40), -score_N)) if row != exclude]
        best_QK = ranks.best(query_QD, vectors_ND, exclude_Q, 12)
        assert best_QK[query].tolist() == order[:12]
        in_group = [row for row in order if row in group][:3]
        assert ranks.best_in_groups(query_QD, vectors_ND, group_QG, exclude_Q, 3)[query].tolist() == in_group
    assert ranks.best(query_QD, vectors_ND[:2], np.full(17, 1), 3).tolist() == [[0, -1, -1]] * 17


@pytest.fixture
def published():
    if "CIR_TF_ANNOTATIONS" not in os.environ:
        pytest.skip("CIR_TF_ANNOTATIONS is not set to a folder with the real annotations and example files")
    return Path(os.environ["CIR_TF_ANNOTATIONS"])


def columns(rows):
    return {key: [row[key] for row in rows] for key in rows[0]}


@pytest.mark.parametrize("place", [0, 1])
def test_demo_files_of_cirr_pass_and_are_written_again_byte_by_byte(published, place):
    made = submissions.get("cirr_test")
    part = cirr.load(published / "cirr")[0]["test"]
    rows, upload = columns(part.rows), made.uploads[place]
    data = (published / "cirr/demo_files" / upload.name.replace("cirr_test", "test1_pred_ranks")).read_bytes()
    found, lists = made.check(data, rows, list(part.relpaths))
    assert found is upload
    assert len(rows["query_id"]) == made.queries
    assert upload.encode(rows, [lists[query] for query in rows["query_id"]]) == data
    short = parse(data)
    del short["27098"]
    with pytest.raises(ValueError, match=r"missing: 1 \(27098\)"):
        made.check(json.dumps(short).encode(), rows, list(part.relpaths))
    if upload.keep == 50:
        with pytest.raises(ValueError, match="and the server takes 5,000,000"):
            made.check(json.dumps(parse(data), indent=4).encode(), rows, list(part.relpaths))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_example_files_of_circo_pass_and_are_written_again_byte_by_byte(published, split):
    made = submissions.get(f"circo_{split}")
    official = circo.OFFICIAL[split]
    data = (published / f"circo/submission_examples/submission_{official}.json").read_bytes()
    rows = columns(circo.read_rows(split, published / f"circo/annotations/{official}.json", Everything()))
    upload, lists = made.check(data, rows, None)
    assert len(rows["query_id"]) == made.queries
    assert upload.encode(rows, [map(str, lists[query]) for query in rows["query_id"]]) == data


def test_example_file_of_circo_has_its_published_figures(published):
    made = submissions.get("circo_validation")
    rows = columns(circo.read_rows("validation", published / "circo/annotations/val.json", Everything()))
    data = (published / "circo/submission_examples/submission_val.json").read_bytes()
    upload, lists = made.check(data, rows, None)
    means = {metric: value_Q.mean() for metric, value_Q in upload.values(made.protocol, lists, rows).items()}
    expected = {"mAP@5": 0.4861, "mAP@10": 0.5178, "mAP@25": 0.5400, "mAP@50": 0.6020}
    expected |= {"R@5": 0.9091, "R@10": 0.9091, "R@25": 1.3636, "R@50": 3.6364}
    assert {metric: round(100 * mean, 4) for metric, mean in means.items()} == expected


class Everything:
    """A gallery with every id: COCO's list of pictures is not among the annotations."""

    def __contains__(self, image_id):
        return True
