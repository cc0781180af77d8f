"""What the page says about a result: the curve, the tables by kind, how queries end."""

import numpy as np
import pytest

from cir_tf.evaluation import runner, summary
from cir_tf.evaluation.curves import recall_curve
from cir_tf.evaluation.intervals import bootstrap_interval
from cir_tf.evaluation.protocol import Protocol
from cir_tf.evaluation.summary import summarize


def _parts():
    """Two subsets of 30 and 20 queries in galleries of 40 and 25; the rows have two queries each; vectors at random."""
    rng = np.random.default_rng(3)
    parts = {}
    for subset, queries, entries in (("shirts", 30, 40), ("shoes", 20, 25)):
        target_Q = rng.integers(entries, size=queries)
        vectors_ND = rng.standard_normal((entries, 6)).astype(np.float32)
        near_QD = vectors_ND[target_Q] + 1.5 * rng.standard_normal((queries, 6)).astype(np.float32)
        rows = {
            "query_id": [f"{subset}-{q}" for q in range(queries)],
            "reference_id": [f"{(target + 1) % entries}" for target in target_Q],
            "target_ids": [[f"{target}"] for target in target_Q],
            "target_class": [""] * queries,
            "category": [("long", "")[q % 2] for q in range(queries)],
            "text": [("is red", "has no collar and is blue", "as you like it")[q % 3] for q in range(queries)],
            "row": np.arange(queries) // 2,
        }
        gallery = {"ids": [f"{n}" for n in range(entries)], "target_class": [""] * entries}
        vectors = {"model": near_QD, "image only": rng.standard_normal((queries, 6)).astype(np.float32)}
        parts[subset] = runner.Part(rows, gallery, vectors, vectors_ND, {"missing": 1200, "bad": 0})
    return parts


@pytest.fixture(scope="module")
def entry():
    protocol = Protocol("toys", "toys", ("shirts", "shoes"), "test", "test", exclude_reference=False)
    return runner.evaluate(protocol, _parts(), seed=5).to_json()


def test_curve_goes_through_the_table_and_its_intervals(entry):
    queries = entry["queries"]
    k_P, estimates = recall_curve(queries["rank"], queries["subset"], queries["row"], 40, seed=5)
    at = dict(zip(k_P.tolist(), estimates, strict=True))
    for k in (1, 5, 10):
        assert at[k]._asdict() == pytest.approx(entry["metrics"]["model"]["overall"][f"R@{k}"])
    assert k_P[0] == 1 and k_P[-1] == 40 and (np.diff(k_P) > 0).all()
    values = [estimate.value for estimate in estimates]
    assert values == sorted(values) and values[-1] == 1


def test_query_without_an_answer_is_never_found():
    _, estimates = recall_curve([0, 2, 2, 5], ["a"] * 4, [0, 1, 2, 3], 5)
    assert [estimate.value for estimate in estimates] == [0, 0.5, 0.5, 0.5, 0.75]


def test_plot_puts_k_on_a_logarithmic_scale(entry):
    plot = summarize(entry)["curve"]
    points = [tuple(map(float, point.split(","))) for point in plot["points"].split()]
    assert points[0][0] == 0 and points[-1] == (100, 0)
    recall = entry["metrics"]["model"]["overall"]["R@1"]["value"]
    assert points[0][1] == pytest.approx(100 - 100 * recall, abs=0.01)
    assert plot["x_ticks"] == [("1", 0), ("10", pytest.approx(100 * np.log(10) / np.log(40)))]
    assert [other["name"] for other in plot["others"]] == ["image only"]
    k_of_points = [40 ** (float(point.split(",")[0]) / 100) for point in plot["others"][0]["points"].split()]
    assert k_of_points == pytest.approx([1, 5, 10, 50], rel=1e-3)


def test_other_lines_are_left_out_where_they_count_other_images(entry):
    of_one = entry | {"protocol": entry["protocol"] | {"hit": "target"}}
    assert summarize(of_one)["curve"]["others"] == []


def test_table_by_kind_of_edit_counts_a_text_for_all_its_kinds(entry):
    rows = {row["name"]: row for row in summarize(entry)["edits"]}
    assert {name: row["n"] for name, row in rows.items()} == {"colour": 34, "negation": 17, "other": 16}
    rank_Q, text_Q = np.array(entry["queries"]["rank"]), np.array(entry["queries"]["text"])
    expected = 100 * (rank_Q[text_Q == "as you like it"] <= 5).mean()
    assert rows["other"]["cells"][1]["value"] == pytest.approx(expected)


def test_intervals_by_kind_resample_rows_of_the_dataset(entry):
    queries = entry["queries"]
    member_Q = np.array(queries["text"]) != "as you like it"
    row_Q = np.array(queries["row"]) + 1000 * (np.array(queries["subset"]) == "shoes")
    value_Q = np.array(queries["values"]["R@10"])[member_Q]
    expected = bootstrap_interval(value_Q, 5, row_Q=row_Q[member_Q])
    cell = summarize(entry)["edits"][0]["cells"][2]
    assert (cell["low"], cell["high"], cell["n"]) == (100 * expected.low, 100 * expected.high, 34)


def test_every_query_ends_in_some_way(entry):
    told = summarize(entry)
    rank_Q, reference_Q = (np.array(entry["queries"][key]) for key in ("rank", "reference_rank"))
    counts = {row["name"]: row.get("count") for row in told["outcomes"]}
    assert counts["target first"] == (rank_Q == 1).sum()
    assert counts["reference came back"] == ((reference_Q > 0) & (reference_Q < rank_Q)).sum() > 0
    assert counts["image ignored"] is None  # there are no vectors of the text alone
    assert all(told["outcome_Q"])
    assert sum("none of these" in names for names in told["outcome_Q"]) == counts["none of these"]
    assert "among the first 10 results" in told["outcomes"][1]["rule"]


def test_reference_cannot_come_back_where_it_is_removed(entry):
    removed = entry | {"protocol": entry["protocol"] | {"exclude_reference": True}}
    row = summarize(removed)["outcomes"][1]
    assert "count" not in row and "removes the reference" in row["rule"]


def test_choices_are_only_between_what_differs(entry):
    assert summarize(entry)["choices"].keys() == {"subset", "edit", "outcome"}  # of categories there is but one
    assert summarize(entry)["choices"]["edit"] == ["colour", "negation", "other"]


def test_stamp_says_counts_hashes_and_gaps_of_each_subset(entry):
    stamp = dict(summary.stamp(entry | {"seconds": 4.5}))
    assert stamp["queries of shirts"] == f"30 ({entry['data']['shirts']['queries_sha256']})"
    assert stamp["gallery entries of shoes"] == f"25 ({entry['data']['shoes']['gallery_sha256']})"
    assert stamp["pictures the copy lacks of shoes"] == "1,200, and 0 broken ones"
    assert stamp["seed"] == 5 and stamp["seconds"] == 4.5


def test_result_keeps_what_the_image_alone_finds_first(entry):
    scores = [part.query_vectors["image only"] @ part.gallery_vectors_ND.T for part in _parts().values()]
    best = [str(row) for score_QN in scores for row in score_QN.argmax(axis=1)]
    assert entry["queries"]["best_of"] == {"image only": best}
