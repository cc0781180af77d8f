"""The whole evaluation on hand-made similarities: with an identity gallery, query vectors are their own scores."""

import dataclasses
import json

import numpy as np
import pytest

from cir_tf.evaluation import table
from cir_tf.evaluation.protocol import Protocol
from cir_tf.evaluation.runner import evaluate
from cir_tf.retrieval.brute_force import BruteForceIndex
from cir_tf.retrieval.scann import ScannIndex

BY_ID = Protocol("toy", "toys", "all", "test", "test", ks=(1, 2, 3), groups="category")
BY_CLASS = dataclasses.replace(BY_ID, hit="class", groups=None)
IDENTITY = np.eye(6, dtype=np.float32)
GALLERY = {"ids": ["u", "v", "w", "x", "y", "z"], "target_class": ["a", "b", "a", "c", "b", "c"]}


def make_rows(references, **fields):
    count = len(references)
    rows = {
        "query_id": [f"q{row}" for row in range(count)],
        "reference_id": references,
        "target_ids": [[]] * count,
        "target_class": [""] * count,
        "category": [""] * count,
        "text": [f"text {row}" for row in range(count)],
    }
    return rows | fields


def means(result, name="model"):
    return [estimate.value for estimate in result.metrics[name]["overall"].values()]


@pytest.mark.parametrize("make_index", [BruteForceIndex, ScannIndex])
@pytest.mark.parametrize(
    ("classes", "exclude", "expected"),
    [
        ("bca", True, (1 / 3, 2 / 3, 1)),
        ("bca", False, (2 / 3, 1, 1)),
        ("aba", True, (1 / 3, 1 / 3, 1)),
        ("aba", False, (2 / 3, 1, 1)),
    ],
)
def test_golden_recall(make_index, classes, exclude, expected):
    """T10: similarities sin(0.7 k + 0.2), captions a b a c b c, sources 2, 5, 0; R@1, R@2, R@3.

    The golden table has "aba" without removal equal to "bca" without removal.
    """
    similarity_QN = np.sin(0.7 * np.arange(18) + 0.2).reshape(3, 6)
    rows = make_rows(["w", "z", "u"], target_class=list(classes))
    protocol = dataclasses.replace(BY_CLASS, exclude_reference=exclude)
    result = evaluate(protocol, rows, GALLERY, {"model": similarity_QN}, IDENTITY, make_index)
    assert means(result) == pytest.approx(expected)


ROWS = make_rows(
    ["u", "v", "z", "u"],
    target_ids=[["w"], ["y", "x"], ["z"], ["y"]],
    category=["skin", "hair", "skin", ""],
    text=["with dark skin", "bald", "<b>", ""],
)
SCORES = np.array(
    [
        [9, 1, 5, 7, 0, 0],  # u (removed), x, w: rank 2
        [0, 9, 3, 5, 8, 9],  # v (removed), z, y, x: best of y and x is rank 2
        [1, 2, 3, 4, 5, 6],  # z is target and removed: never found
        [4, 4, 4, 4, 4, 4],  # all equal: u removed, then v, w, x, y: rank 4
    ],
    np.float32,
)
QUERY_VECTORS = {"model": SCORES, "image only": -SCORES}


def test_ids_groups_and_ranks_by_hand():
    """Ranks 2, 2, none, 4: R@1 = 0, R@2 = R@3 = 2/4; skin has ranks 2 and none, hair 2.

    Negated scores: w is 4th of five; y 4th and x 3rd of five, best 3; none; rank 4 again: R@3 = 1/4.
    """
    result = evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, BruteForceIndex)
    assert result.queries["rank"] == [2, 2, 0, 4]
    assert result.queries["ranked_ids"][0] == ["x", "w", "v", "y", "z"]
    assert result.queries["ranked_ids"][3] == ["v", "w", "x", "y", "z"]
    assert result.queries["target_ids"] == [["w"], ["y", "x"], ["z"], ["y"]]
    assert means(result) == [0, 0.5, 0.5]
    assert means(result, "image only") == [0, 0, 0.25]
    groups = result.metrics["model"]["groups"]
    assert {name: estimates["recall_at_2"][::3] for name, estimates in groups.items()} == {
        "hair": (1, 1),
        "skin": (0.5, 2),
    }
    overall = result.metrics["model"]["overall"]["recall_at_2"]
    assert (overall.n, overall.low, overall.high) == (4, 0, 1)


def test_places_beyond_the_gallery_are_no_hits():
    """Only the query whose one target is removed (and stands last in the gallery) is never found."""
    result = evaluate(dataclasses.replace(BY_ID, ks=(1, 10)), ROWS, GALLERY, QUERY_VECTORS, IDENTITY, BruteForceIndex)
    assert means(result) == [0, 0.75]


def test_both_indices_give_one_result():
    exact, fast = (
        evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, part) for part in (BruteForceIndex, ScannIndex)
    )
    assert dataclasses.replace(exact, index=fast.index) == fast
    assert fast.index == {"kind": "scann", "is_exact": True, "recall": 1.0}


def test_class_targets_are_all_entries_of_the_class():
    rows = make_rows(["w", "z"], target_class=["b", "a"])
    scores = np.array([[0, 1, 0, 0, 2, 0], [1, 5, 4, 0, 0, 9]], np.float32)
    result = evaluate(BY_CLASS, rows, GALLERY, {"model": scores}, IDENTITY, BruteForceIndex)
    assert result.queries["target_ids"] == [["v", "y"], ["u", "w"]]
    assert result.queries["rank"] == [1, 2]
    assert result.metrics["model"]["groups"] == {}


def test_ranks_agree_with_recall_on_random_vectors():
    generator = np.random.default_rng(5)
    vectors, queries = (generator.normal(size=(count, 8)).astype(np.float32) for count in (300, 120))
    ids = [f"g{row}" for row in range(300)]
    references = generator.integers(300, size=120)
    targets = (references + generator.integers(1, 300, size=120)) % 300
    rows = make_rows([ids[row] for row in references], target_ids=[[ids[row]] for row in targets])
    protocol = dataclasses.replace(BY_ID, ks=(1, 5, 10, 50), groups=None)
    gallery = {"ids": ids, "target_class": [""] * 300}
    result = evaluate(protocol, rows, gallery, {"model": queries}, vectors, ScannIndex)
    rank_Q = np.array(result.queries["rank"])
    assert means(result) == pytest.approx([(rank_Q <= k).mean() for k in protocol.ks])
    assert 0 < means(result)[-1] < 1
    listed = zip(result.queries["ranked_ids"], result.queries["target_ids"], strict=True)
    places = [names.index(target) + 1 for names, (target,) in listed if target in names]
    assert places == rank_Q[rank_Q <= 50].tolist()


def test_stamp_depends_on_the_ids_and_not_on_their_order():
    def stamp(rows, gallery):
        return evaluate(BY_ID, rows, gallery, {"model": SCORES}, IDENTITY, BruteForceIndex).data

    backwards = {key: values[::-1] for key, values in GALLERY.items()}
    assert stamp(ROWS, GALLERY) == stamp(ROWS, backwards)
    assert stamp(ROWS, GALLERY) != stamp(ROWS | {"query_id": ["q0", "q1", "q2", "other"]}, GALLERY)
    # printf 'u\nv\nw\nx\ny\nz' | sha256sum
    assert stamp(ROWS, GALLERY)["gallery_sha256"] == "86558d11bbe7"
    assert (stamp(ROWS, GALLERY)["queries"], stamp(ROWS, GALLERY)["gallery"]) == (4, 6)


def test_result_is_json():
    result = evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, ScannIndex, seed=3)
    plain = result.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["metrics"]["model"]["overall"]["recall_at_2"]["n"] == 4
    assert plain["describe"] == BY_ID.describe()
    assert plain["seed"] == 3


def test_missing_targets_and_references_are_named():
    def run(protocol=BY_ID, **fields):
        return evaluate(protocol, ROWS | fields, GALLERY, QUERY_VECTORS, IDENTITY, BruteForceIndex)

    with pytest.raises(ValueError, match=r"target that is in the gallery\. Received: 2 without, .*q1, q3\."):
        run(target_ids=[["w"], ["y", "nowhere"], ["z"], []])
    with pytest.raises(ValueError, match=r"reference in the gallery.*1 without, .*q2\."):
        run(reference_id=["u", "v", "nowhere", "u"])
    with pytest.raises(ValueError, match=r"target class.*2 without, .*q1, q2\."):
        run(BY_CLASS, target_class=["a", "", "nothing", "b"])
    kept = run(dataclasses.replace(BY_ID, exclude_reference=False), reference_id=["u", "v", "nowhere", "u"])
    assert kept.queries["rank"][0] == 3


def test_counts_that_do_not_match_are_refused():
    def run(rows=ROWS, query_vectors=QUERY_VECTORS, vectors=IDENTITY):
        return evaluate(BY_ID, rows, GALLERY, query_vectors, vectors, BruteForceIndex)

    with pytest.raises(ValueError, match="no queries"):
        run(rows=make_rows([]))
    with pytest.raises(ValueError, match=r"'model'.*Received: image only"):
        run(query_vectors={"image only": SCORES})
    with pytest.raises(ValueError, match="3 of 'sum', 4 queries"):
        run(query_vectors={"model": SCORES, "sum": SCORES[:3]})
    with pytest.raises(ValueError, match="5 vectors, 6 entries"):
        run(vectors=IDENTITY[:5])


def test_table_shows_protocol_intervals_and_groups():
    result = evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, ScannIndex, seed=3)
    text, markdown = table.to_text(result), table.to_markdown(result)
    for shown in (text, markdown):
        assert shown.startswith(f"{BY_ID.describe()}; seed 3; 4 queries (")
        assert "6 gallery entries (86558d11bbe7); index scann, exact; version " in shown
        assert "50.0 [0.0, 100.0]" in shown
    lines = text.splitlines()[2:]
    assert len({len(line) for line in lines}) == 1
    assert [line.split("  ")[0] for line in lines[2:]] == ["model", "· hair", "· skin", "image only"]
    assert lines[0].split() == ["queries", "R@1", "R@2", "R@3"]
    assert "| · hair | 1 | 0.0 [0.0, 0.0] | 100.0 [100.0, 100.0] | 100.0 [100.0, 100.0] |" in markdown.splitlines()


def test_table_says_that_an_index_is_not_exact():
    result = evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, BruteForceIndex)
    result = dataclasses.replace(result, index={"kind": "scann", "is_exact": False, "recall": 0.987})
    assert "index scann, recall@10 98.7" in table.header(result)


def test_what_a_copy_lacks_is_printed_with_its_results():
    def head(gaps):
        return table.header(evaluate(BY_ID, ROWS, GALLERY, QUERY_VECTORS, IDENTITY, BruteForceIndex, gaps=gaps))

    assert "the copy lacks 3 pictures and has 1 broken ones" in head({"missing": 3, "bad": 1})
    assert "lacks" not in head({"missing": 0, "bad": 0})
    assert "lacks" not in head(None)
