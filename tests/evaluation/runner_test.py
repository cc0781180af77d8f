"""The whole evaluation on hand-made similarities: with an identity gallery, query vectors are their own scores."""

import dataclasses

import numpy as np
import pytest

from cir_tf.evaluation import ranks
from cir_tf.evaluation.runner import Part, evaluate
from tests.evaluation.toy import BY_ID, GALLERY, IDENTITY, ROWS, SCORES, make_rows, means, score
from tests.golden import S

BY_CLASS = dataclasses.replace(BY_ID, hit="class", groups=None)


@pytest.mark.parametrize(
    ("classes", "exclude", "expected"),
    [
        ("bca", True, (1 / 3, 2 / 3, 1)),
        ("bca", False, (2 / 3, 1, 1)),
        ("aba", True, (1 / 3, 1 / 3, 1)),
        ("aba", False, (2 / 3, 1, 1)),
    ],
)
def test_golden_recall_by_class(classes, exclude, expected):
    """TIRG's T10: similarities S((3,6);0.7,0.2), captions a b a c b c, sources 2, 5, 0; R@1, R@2, R@3."""
    rows = make_rows("wzu", target_class=list(classes))
    protocol = dataclasses.replace(BY_CLASS, exclude_reference=exclude)
    assert means(score(protocol, rows, {"model": S((3, 6), 0.7, 0.2)})) == pytest.approx(expected)


def test_golden_ranking_by_distance():
    """VAL's V8: distances 1.5 + S((3,6);0.7,0.2), sources 5, 0, 4 removed, targets 4, 2, 3: ranks 1, 2, 1."""
    rows = make_rows("zuy", target_ids=[["y"], ["w"], ["x"]])
    result = score(rows=rows, query_vectors={"model": -1.5 - S((3, 6), 0.7, 0.2)})
    assert result.queries["rank"] == [1, 2, 1]
    assert means(result) == pytest.approx([2 / 3, 1, 1])


CIRR = dataclasses.replace(
    BY_ID,
    hit="target",
    metrics=("R@1", "R@2", "R@3", "R@5", "R_subset@1", "R_subset@2"),
    mean_of=("R@5", "R_subset@1"),
    groups=None,
)


def test_golden_recall_in_the_subset():
    """MLCL's toy: ranking r m1 x t m2 …, group r m1 t m2 m3 m4: t is third without r, second in its group.

    R@1 = R@2 = 0, R@3 = R@5 = 1, R_subset@1 = 0, R_subset@2 = 1; the mean of R@5 and R_subset@1 is 1/2.
    """
    names = ["m4", "t", "m1", "r", "x", "m3", "m2"]
    rows = make_rows("r", target_ids=[["t"]], group_ids=[["r", "m1", "t", "m2", "m3", "m4"]])
    ranking = ["r", "m1", "x", "t", "m2", "m3", "m4"]
    gallery = {"ids": names, "target_class": [""] * 7}
    result = score(CIRR, rows, {"model": np.array([[-ranking.index(name) for name in names]])}, gallery, np.eye(7))
    assert means(result) == [0, 0, 1, 1, 0, 1, 0.5]
    assert result.queries["ranked_ids"] == [["m1", "x", "t", "m2", "m3", "m4"]]


def test_the_reference_of_a_subset_counts_where_it_is_kept():
    """One more before the target, everywhere: R@3 = 0, R_subset@2 = 0."""
    rows = make_rows("u", target_ids=[["w"]], group_ids=[["u", "v", "w"]])
    scores = {"model": np.array([[9, 8, 7, 8.5, 0, 0]])}
    assert means(score(CIRR, rows, scores)) == [0, 0, 1, 1, 0, 1, 0.5]
    assert means(score(dataclasses.replace(CIRR, exclude_reference=False), rows, scores)) == [0, 0, 0, 1, 0, 0, 0.5]


CIRCO = dataclasses.replace(
    BY_ID, hit="target", exclude_reference=False, metrics=("mAP@1", "mAP@2", "mAP@5", "R@2", "R@5"), groups="category"
)


def test_mean_average_precision_and_recall_of_the_hard_target():
    """Query 0: ranking u v w x y z; G = {w (hard), u}: ranks 3 and 1. AP@1 = 1; AP@2 = 1/2; AP@5 = (1 + 2/3) / 2 = 5/6;
    w is within 5, not within 2.
    Query 1: ranking z y x w v u; G = {y, x, u}: ranks 2, 3, 6. AP@1 = 0; AP@2 = (1/2) / 2 = 1/4;
    AP@5 = (1/2 + 2/3) / 3 = 7/18; y is within 2.
    """
    rows = make_rows("uz", target_ids=[["w", "u"], ["y", "x", "u"]], category=[["a", "b"], ["b"]])
    result = score(CIRCO, rows, {"model": np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]])})
    expected = {"mAP@1": [1, 0], "mAP@2": [1 / 2, 1 / 4], "mAP@5": [5 / 6, 7 / 18], "R@2": [0, 1], "R@5": [1, 1]}
    for metric, values in expected.items():
        assert result.queries["values"][metric] == pytest.approx(values, abs=1e-6)
        assert result.metrics["model"]["overall"][metric].value == pytest.approx(np.mean(values), abs=1e-6)
    assert result.queries["rank"] == [1, 2]
    assert result.queries["reference_rank"] == [1, 1]
    groups = result.metrics["model"]["groups"]
    assert {name: (found["mAP@5"].n, found["mAP@5"].value) for name, found in groups.items()} == {
        "a": (1, pytest.approx(5 / 6)),
        "b": (2, pytest.approx((5 / 6 + 7 / 18) / 2)),
    }


def test_a_removed_target_counts_as_not_found():
    """G = {w, u}, u removed, w at rank 2: AP@5 = (1/2) / 2."""
    rows = make_rows("u", target_ids=[["w", "u"]])
    protocol = dataclasses.replace(CIRCO, exclude_reference=True)
    result = score(protocol, rows, {"model": np.array([[6, 5, 4, 3, 2, 1]])})
    assert result.queries["values"]["mAP@5"] == [0.25]


def test_ids_groups_and_ranks_by_hand():
    """Ranks 2, 2, none, 4: R@1 = 0, R@2 = R@3 = 2/4; skin has ranks 2 and none, hair 2.

    Negated scores: w is 4th of five; y 4th and x 3rd of five, best 3; none; rank 4 again: R@3 = 1/4.
    """
    result = score()
    assert result.queries["rank"] == [2, 2, 0, 4]
    assert result.queries["ranked_ids"][0] == ["x", "w", "v", "y", "z"]
    assert result.queries["ranked_ids"][3] == ["v", "w", "x", "y", "z"]
    assert result.queries["target_ids"] == [["w"], ["y", "x"], ["z"], ["y"]]
    assert result.queries["accepted"] == [1, 2, 1, 1]
    assert result.queries["hits"][0] == [False, True, False, False, False]
    assert result.queries["values"] == {"R@1": [0, 0, 0, 0], "R@2": [1, 1, 0, 0], "R@3": [1, 1, 0, 0]}
    assert means(result) == [0, 0.5, 0.5]
    assert means(result, "image only") == [0, 0, 0.25]
    groups = result.metrics["model"]["groups"]
    assert {name: found["R@2"][::3] for name, found in groups.items()} == {"hair": (1, 1), "skin": (0.5, 2)}
    overall = result.metrics["model"]["overall"]["R@2"]
    assert (overall.n, overall.low, overall.high) == (4, 0, 1)


def test_a_kept_reference_costs_a_place():
    """With u, v, z kept: ranks 3, 3 (v and z tie before y), 1, 5 (u before it)."""
    result = score(dataclasses.replace(BY_ID, exclude_reference=False))
    assert result.queries["rank"] == [3, 3, 1, 5]
    assert result.queries["reference_rank"] == [1, 1, 1, 1]
    assert result.queries["ranked_ids"][1] == ["v", "z", "y", "x", "w", "u"]


def test_places_beyond_the_gallery_are_no_hits():
    """Only the query whose one target is removed (and stands last in the gallery) is never found."""
    assert means(score(dataclasses.replace(BY_ID, metrics=("R@1", "R@10")))) == [0, 0.75]


def test_class_targets_are_all_entries_of_the_class():
    rows = make_rows("wz", target_class=["b", "a"])
    scores = np.array([[0, 1, 0, 0, 2, 0], [1, 5, 4, 0, 0, 9]], np.float32)
    result = score(BY_CLASS, rows, {"model": scores})
    assert result.queries["target_ids"] == [["v", "y"], ["u", "w"]]
    assert result.queries["rank"] == [1, 2]
    assert result.queries["accepted"] == [2, 2]
    for names, hits, right in zip(result.queries["ranked_ids"], result.queries["hits"], ("vy", "uw"), strict=True):
        assert hits == [name in right for name in names]
    assert result.metrics["model"]["groups"] == {}


def test_adjective_and_noun_alone():
    """Wanted: old cat, removed: u. Ranking v w x y z: 4th by both words, first by adjective, second by noun.

    The noun is all but the first word: "old" alone has none and is no hit, nor is "big wild cat".
    """
    classes = ["old cat", "old dog", "new cat", "old", "old cat", "big wild cat"]
    rows = make_rows("u", target_class=["old cat"])
    scores = {"model": np.array([[9, 5, 4, 3, 2, 1]])}
    found = {}
    for hit in ("class", "adjective", "noun"):
        gallery = GALLERY | {"target_class": classes}
        found[hit] = score(dataclasses.replace(BY_CLASS, hit=hit), rows, scores, gallery).queries
    assert {hit: queries["rank"] for hit, queries in found.items()} == {"class": [4], "adjective": [1], "noun": [2]}
    assert found["adjective"]["target_ids"] == [["u", "v", "x", "y"]]
    assert found["noun"]["target_ids"] == [["u", "w", "y"]]


def test_a_class_of_the_removed_reference_alone_is_never_found():
    gallery = GALLERY | {"target_class": ["only", *"bbbbb"]}
    result = score(BY_CLASS, make_rows("u", target_class=["only"]), {"model": SCORES[:1]}, gallery)
    assert result.queries["rank"] == [0]
    assert means(result) == [0, 0, 0]


KINDS = dataclasses.replace(BY_ID, subsets=("dress", "shirt"), metrics=("R@1", "R@2"), mean_of=("R@1", "R@2"))


def parts_of_two_kinds():
    """dress: ranks 1, 1, 2, 1 of four queries; shirt: ranks 2, 3 of two. Their kinds' pictures have the same ids."""
    dress = make_rows("uuuu", target_ids=[["v"]] * 4, category=["dress"] * 4)
    shirt = make_rows("uu", target_ids=[["w"]] * 2, category=["shirt"] * 2)
    first, second, third = [9, 8, 5, 4, 3, 2], [9, 5, 8, 4, 3, 2], [9, 8, 7, 7.5, 0, 0]
    return {
        "dress": Part(dress, GALLERY, {"model": np.array([first, first, second, first])}, IDENTITY),
        "shirt": Part(shirt, GALLERY, {"model": np.array([first, third])}, IDENTITY),
    }


def test_figures_of_several_kinds_are_the_plain_mean_of_theirs():
    """dress: R@1 = 3/4, R@2 = 1, mean 7/8. shirt: R@1 = 0, R@2 = 1/2, mean 1/4.

    Means over kinds: 3/8, 3/4 and 9/16, where the six queries together would have 1/2, 5/6 and 2/3.
    """
    result = evaluate(KINDS, parts_of_two_kinds())
    summary = result.metrics["model"]
    assert means(result) == [3 / 8, 3 / 4, 9 / 16]
    assert [found["mean"][::3] for found in summary["groups"].values()] == [(7 / 8, 4), (1 / 4, 2)]
    assert list(summary["groups"]) == ["dress", "shirt"]
    assert summary["overall"]["mean"].n == 6
    assert result.queries["subset"] == ["dress"] * 4 + ["shirt"] * 2
    assert result.queries["values"]["mean"] == [1, 1, 0.5, 1, 0.5, 0]
    assert list(result.data) == ["dress", "shirt"]


def test_each_kind_is_drawn_for_itself():
    """Two kinds with the same 160 values: the spread of their mean is that of one by sqrt(2), not the same."""
    rows = make_rows("u" * 160, target_ids=[["v"]] * 160)
    part = Part(rows, GALLERY, {"model": np.tile([[9, 8, 5, 4, 3, 2], [9, 5, 8, 4, 3, 2]], (80, 1))}, IDENTITY)
    summary = evaluate(KINDS, {"dress": part, "shirt": part}).metrics["model"]
    both, one = (found["R@1"].high - found["R@1"].low for found in (summary["overall"], summary["groups"]["dress"]))
    assert one == pytest.approx(np.sqrt(2) * both, rel=0.06)


def test_groups_over_several_kinds_keep_their_rows_apart():
    """Row 0 of either kind is not one row: both together, a group of two queries draws 0, 1/2 and 1."""
    parts = parts_of_two_kinds()
    for kind in parts:
        count = len(parts[kind].rows["row"])
        parts[kind] = parts[kind]._replace(rows=parts[kind].rows | {"category": ["both"] + [""] * (count - 1)})
    assert evaluate(KINDS, parts).metrics["model"]["groups"]["both"]["R@1"] == (0.5, 0, 1, 2)


def test_two_queries_of_a_row_are_drawn_together():
    """80 rows of two equal queries, half of them found: sqrt(2) times the spread of 160 rows of one query."""
    rows = make_rows("u" * 160, target_ids=[["v"]] * 160)
    scores = np.tile([[9, 8, 5, 4, 3, 2]] * 2 + [[9, 5, 8, 4, 3, 2]] * 2, (40, 1))

    def width(row_Q):
        low_high = score(rows=rows | {"row": row_Q}, query_vectors={"model": scores}).metrics["model"]["overall"]["R@1"]
        return low_high.high - low_high.low

    assert width(np.arange(160) // 2) == pytest.approx(np.sqrt(2) * width(np.arange(160)), rel=0.06)


def test_ranks_agree_with_recall_on_random_vectors(monkeypatch):
    monkeypatch.setattr(ranks, "BLOCK_NUMBERS", 1000)
    rng = np.random.default_rng(5)
    vectors, queries = (rng.normal(size=(count, 8)).astype(np.float32) for count in (300, 120))
    ids = [f"g{row}" for row in range(300)]
    references = rng.integers(300, size=120)
    targets = (references + rng.integers(1, 300, size=120)) % 300
    rows = make_rows([ids[row] for row in references], target_ids=[[ids[row]] for row in targets])
    protocol = dataclasses.replace(BY_ID, metrics=("R@1", "R@5", "R@10", "R@50"), groups=None)
    result = score(protocol, rows, {"model": queries}, {"ids": ids, "target_class": [""] * 300}, vectors)
    rank_Q = np.array(result.queries["rank"])
    assert means(result) == pytest.approx([(rank_Q <= k).mean() for k in (1, 5, 10, 50)])
    assert 0 < means(result)[-1] < 1
    listed = zip(result.queries["ranked_ids"], result.queries["target_ids"], strict=True)
    places = [names.index(target) + 1 for names, (target,) in listed if target in names]
    assert places == rank_Q[rank_Q <= 10].tolist()


def test_stamp_depends_on_the_ids_and_not_on_their_order():
    def stamp(rows, gallery):
        return score(rows=rows, gallery=gallery).data["all"]

    backwards = {key: values[::-1] for key, values in GALLERY.items()}
    assert stamp(ROWS, GALLERY) == stamp(ROWS, backwards)
    assert stamp(ROWS, GALLERY) != stamp(ROWS | {"query_id": ["q0", "q1", "q2", "other"]}, GALLERY)
    # printf 'u\nv\nw\nx\ny\nz' | sha256sum
    assert stamp(ROWS, GALLERY)["gallery_sha256"] == "86558d11bbe7"
    assert (stamp(ROWS, GALLERY)["queries"], stamp(ROWS, GALLERY)["gallery"]) == (4, 6)


def test_missing_targets_references_and_groups_are_named():
    def run(protocol=BY_ID, **fields):
        return score(protocol, ROWS | fields)

    with pytest.raises(ValueError, match=r"target that is in the gallery\. Received: 2 without, .*q1, q3\."):
        run(target_ids=[["w"], ["y", "nowhere"], ["z"], []])
    with pytest.raises(ValueError, match=r"reference in the gallery.*1 without, .*q2\."):
        run(reference_id=["u", "v", "nowhere", "u"])
    with pytest.raises(ValueError, match=r"target class.*2 without, .*q1, q2\."):
        run(BY_CLASS, target_class=["a", "", "nothing", "b"])
    with pytest.raises(ValueError, match=r"group whose members.*2 without, .*q0, q2\."):
        run(dataclasses.replace(CIRR, groups=None), group_ids=[["u", "nowhere"], ["u"], [], ["v"]])
    kept = run(dataclasses.replace(BY_ID, exclude_reference=False), reference_id=["u", "v", "nowhere", "u"])
    assert kept.queries["rank"][0] == 3


def test_counts_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="no queries"):
        score(rows=make_rows([]))
    with pytest.raises(ValueError, match=r"'model'.*Received: image only"):
        score(query_vectors={"image only": SCORES})
    with pytest.raises(ValueError, match="3 of 'sum', 4 queries"):
        score(query_vectors={"model": SCORES, "sum": SCORES[:3]})
    with pytest.raises(ValueError, match="5 vectors, 6 entries"):
        score(vectors=IDENTITY[:5])
    with pytest.raises(ValueError, match=r"ids must differ\. Received: 2 again"):
        score(gallery=GALLERY | {"ids": list("uuvvyz")})


def test_a_model_that_diverged_gets_no_figures():
    """A score that is not a number is before nothing and behind nothing: its target would stand first."""
    with pytest.raises(ValueError, match=r"finite\. Received: 1 of 'model'"):
        score(query_vectors={"model": _with_nan(SCORES)})
    with pytest.raises(ValueError, match=r"finite\. Received: 1 of 'the gallery'"):
        score(vectors=_with_nan(IDENTITY))


def _with_nan(array):
    array = array.copy()
    array[2, 1] = np.nan
    return array
