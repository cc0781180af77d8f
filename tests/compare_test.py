"""`python -m cir_tf.compare`: what it prints of runs whose figures can be worked by hand."""

import json
import re

import pytest

from cir_tf import compare
from cir_tf.evaluation import verdict
from tests.written_results import A, B, entry, write_run


@pytest.fixture
def write(tmp_path):
    """A function that writes entries as the results of a run of some name and gives its folder."""
    return lambda name, *entries: write_run(tmp_path / name, *entries)


def printed(capsys, *arguments):
    assert compare.main(list(arguments)) == 0
    return capsys.readouterr().out


def line(text, *starts):
    """The one line whose first words are these, as words."""
    found = [row.split() for row in text.splitlines() if row.split()[: len(starts)] == list(starts)]
    assert len(found) == 1, text
    return found[0]


def test_figures_by_hand(write, capsys):
    """R@1: 2/8 and 5/8, three wins: p = 2 * 1/8. R@5: 4/8 and 6/8, three wins, a loss: p = 2 * (1 + 4) / 16."""
    text = printed(capsys, write("a", entry(A)), write("b", entry(B)))
    assert line(text, "all", "R@1")[2:6] == ["8", "25.0", "62.5", "+37.5"]
    assert line(text, "all", "R@1")[-4:] == ["p", "=", "0.25", "3–0"]
    assert line(text, "all", "R@5")[2:6] == ["8", "50.0", "75.0", "+25.0"]
    assert line(text, "all", "R@5")[-4:] == ["p", "=", "0.62", "3–1"]
    assert line(text, "ripe", "R@5")[2:6] == ["4", "50.0", "100.0", "+50.0"]
    assert line(text, "green", "R@5")[2:6] == ["3", "66.7", "66.7", "+0.0"]
    assert "queries fruit/small test" in text
    assert "8 queries (aaa111), 40 gallery entries (bbb222)" in text


def test_largest_changes_of_rank_are_by_factor(write, capsys):
    """9 -> 1, then 7 -> 1, 12 -> 3, 2 -> 1, 5 -> 6; those that stay are not listed."""
    a, b = write("a", entry(A)), write("b", entry(B))
    rows = printed(capsys, a, b).split("Largest changes")[1].splitlines()[3:]
    assert [row.split()[:4] for row in rows] == [
        ["9", "→", "1", "q2"],
        ["7", "→", "1", "q3"],
        ["12", "→", "3", "q6"],
        ["2", "→", "1", "q1"],
        ["5", "→", "6", "q5"],
    ]
    assert rows[0].endswith("make it 2")
    assert len(printed(capsys, a, b, "--queries=2").split("Largest changes")[1].splitlines()) == 5
    assert "Largest" not in printed(capsys, a, b, "--queries=0")


def test_a_query_without_an_answer_counts_as_last(write, capsys):
    text = printed(capsys, write("a", entry([1, 40])), write("b", entry([0, 40])))
    assert line(text, "1", "→")[2:4] == ["41", "q0"]


def test_the_order_of_a_run_does_not_matter(write, capsys):
    other = entry(B)
    for columns in (other["queries"], other["queries"]["values"]):
        columns.update({key: column[::-1] for key, column in columns.items() if isinstance(column, list)})
    folders = write("a", entry(A)), write("b", entry(B)), write("turned", other)
    assert printed(capsys, *folders[:2]).replace(folders[1], folders[2]) == printed(capsys, folders[0], folders[2])


def test_identical_runs_are_said_to_be(write, capsys):
    text = printed(capsys, write("a", entry(A)), write("b", entry(A)))
    assert "The runs have the same figure for every query on R@1 and R@5." in text
    assert "A and B have a run in common (equal weights)." in text
    assert "better" not in text
    assert "Largest" not in text
    assert line(text, "all", "R@1")[5:] == ["+0.0", "[0.0,", "0.0]", "p", "=", "1", "0–0"]


def many(hits, misses):
    """40 queries: `hits` at rank 1, `misses` lost, the others at rank 3 (found among five by both)."""
    return [1] * hits + [30] * misses + [3] * (40 - hits - misses)


def test_a_clear_difference_is_called_so_for_either_side(write, capsys):
    a, b = write("a", entry(many(2, 0))), write("b", entry(many(20, 0)))
    text = printed(capsys, a, b)
    assert "B is better by 45.0 points R@1 [30.0, 60.0]; on these 40 queries that is unlikely to be chance" in text
    assert "(sign test p < 0.0001)." in text
    assert "The runs have the same figure for every query on R@5." in text
    assert "A is better by 45.0 points R@1 [30.0, 60.0]" in printed(capsys, b, a)
    assert "+45.0 [30.0, 60.0]" in text
    assert "-45.0 [-60.0, -30.0]" in printed(capsys, b, a)


def test_an_interval_with_0_tells_nothing_apart(write, capsys):
    """R@1: five wins, three losses of 40."""
    b = [3] * 3 + [1] * 2 + [1] * 5 + [3] * 30
    text = printed(capsys, write("a", entry(many(5, 0))), write("b", entry(b)))
    assert "The runs cannot be told apart on R@1 (+5.0 [-7.5, 20.0]): the interval contains 0" in text
    assert "is better by" not in text


def test_the_sign_test_can_object(write, capsys):
    """Five wins, no loss: the interval leaves out 0, but p = 2 / 32."""
    text = printed(capsys, write("a", entry(many(0, 0))), write("b", entry(many(5, 0))))
    assert "B may be better by 12.5 points R@1 [2.5, 22.5], but the sign test does not bear it out" in text
    assert "5 wins and 0 losses of B (p = 0.062)." in text


def test_a_choice_after_the_fact_is_corrected_for(write, capsys):
    """Six wins, no loss: p = 2 / 64, and twice that for two metrics; single metrics need no correction."""
    text = printed(capsys, write("a", entry(many(0, 0))), write("b", entry(many(6, 0))))
    assert "(sign test p = 0.031), if R@1 was chosen before the figures were seen: corrected for 2 metrics" in text
    assert re.search(r"the interval is \[5.0, 30.0\] and p = 0.06\d\.", text)
    assert "6 differences are shown" in text


def test_one_training_per_side_is_said(write, capsys):
    text = printed(capsys, write("a", entry(A)), write("b", entry(B)))
    assert "Each side is one training run" in text
    assert "seeds (" not in text


def test_queries_of_one_row_go_together(write, capsys):
    """Pairs of queries: rows with 0 + 1, 2, 0 and 0 more hits at 1: two rows won; at 5: 0, 2, -1, 1."""
    row = [0, 0, 1, 1, 2, 2, 3, 3]
    text = printed(capsys, write("a", entry(A, row=row)), write("b", entry(B, row=row)))
    assert line(text, "all", "R@1")[-5:] == ["p", "=", "0.5", "3–0", "2–0"]
    assert line(text, "all", "R@5")[-5:] == ["p", "=", "1", "3–1", "2–1"]
    assert "take rows of the dataset" in text


def test_subsets_are_averaged_and_rows_of_two_subsets_are_different_ones(write, capsys):
    """Subset x has the queries 0, 2, 4 (R@1: A 2/3, B 3/3), y has 1, 3 (A 0/2, B 2/2)."""
    options = {"subsets": ("x", "y"), "row": [0, 0, 1, 1, 2], "groups": None}
    text = printed(capsys, write("a", entry(A[:5], **options)), write("b", entry(B[:5], **options)))
    assert line(text, "all", "R@1")[2:6] == ["5", "33.3", "100.0", "+66.7"]
    assert line(text, "x", "R@1")[2:6] == ["3", "66.7", "100.0", "+33.3"]
    assert line(text, "y", "R@1")[2:6] == ["2", "0.0", "100.0", "+100.0"]
    assert "mean over the subsets" in text
    assert "take rows" not in text


def test_several_seeds_are_averaged_query_by_query(write, capsys):
    """R@1 of A: 2/8 and 4/8, 37.5 +- 17.7; of B: 5/8, 5/8, 2/8. Mean difference 50 - 37.5."""
    a = [write("a0", entry(A)), write("a1", entry([1, 1, 1, 1, 2, 2, 2, 2], seed=1))]
    b = [write(f"b{seed}", entry(B if seed < 2 else A, seed=seed)) for seed in range(3)]
    text = printed(capsys, ",".join(a), ",".join(b))
    assert line(text, "all", "R@1")[2:10] == ["8", "37.5", "±", "17.7", "50.0", "±", "21.7", "+12.5"]
    assert f"A: {a[0]} (seed 0), {a[1]} (seed 1)" in text
    assert "means over seeds, query by query: 2 of A, 3 of B" in text
    assert "training run" not in text
    # q4: sqrt(1 * 2) in A, 1 in B.
    assert line(text, "1.4", "→", "1")[3] == "q4"
    assert "B is one training run" in printed(capsys, ",".join(a), b[0])


def test_overlapping_seeds_are_said_and_others_not(write, capsys):
    a = [write(f"a{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((2, 21))]
    b = [write(f"b{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((20, 39))]
    text = printed(capsys, ",".join(a), ",".join(b))
    assert "; single seeds overlap (A 5.0 to 52.5, B 50.0 to 97.5), so that other seeds may turn it round." in text
    assert "single seeds overlap" not in printed(capsys, a[0], ",".join(b))
    assert "single seeds overlap" not in printed(capsys, a[1], b[1])


def test_the_error_over_seeds_is_given(write, capsys):
    """R@1 of A: 1 and 3 of 40, variance (2.5^2 + 2.5^2) in points; B: 19, 20 and 24, variance 2.5^2 * 14 / 2."""
    a = [write(f"a{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((1, 3))]
    b = [write(f"b{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((19, 20, 24))]
    text = printed(capsys, ",".join(a), ",".join(b))
    error = (2 * 2.5**2 / 2 + 7 * 2.5**2 / 3) ** 0.5
    assert f"over seeds (2 of A, 3 of B) its standard error is {error:.1f} points." in text
    assert "5.0 ± 3.5" in text
    assert "turn it round" not in text
    assert "over seeds (" not in printed(capsys, a[0], ",".join(b))


def test_seeds_that_scatter_more_than_the_difference_are_said_to(write, capsys):
    """R@1 of A: 2 and 14 of 40; of B: 16 and 40. The mean difference of 50 points has a standard error of 33.5."""
    a = [write(f"a{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((2, 14))]
    b = [write(f"b{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((16, 40))]
    text = printed(capsys, ",".join(a), ",".join(b))
    assert "its standard error is 33.5 points, so that other seeds may turn it round." in text
    assert "single seeds overlap" not in text


def test_what_the_configs_differ_in_is_shown(write, capsys):
    text = printed(capsys, write("a", entry(A)), write("b", entry(B, seed=4, lr=0.2)))
    assert "configs: optimizer.learning_rate 0.1 and 0.2\n" in text


def test_a_folder_with_a_comma_is_one_run(write, capsys):
    assert "lr=1,wd=2 (seed 0)" in printed(capsys, write("lr=1,wd=2", entry(A)), write("b", entry(B)))


def test_every_common_protocol_is_compared_or_those_named(write, capsys):
    a = write("a", entry(A), entry(A, name="other"), entry(A, name="alone"))
    b = write("b", entry(B, name="other"), entry(B))
    text = printed(capsys, a, b)
    assert text.index("fruit_test: queries") < text.index("other: queries")
    assert "alone" not in text
    assert "fruit_test" not in printed(capsys, a, b, "--protocol=other")


def test_figures_are_written(write, capsys, tmp_path):
    path = tmp_path / "new" / "compare.json"
    text = printed(capsys, write("a", entry(A)), write("b", entry(B)), f"--to={path}")
    assert text.endswith(f"wrote {path}\n")
    found = json.loads(path.read_text(encoding="utf-8"))["fruit_test"]
    assert found["overall"]["R@1"]["difference"]["value"] == 0.375
    assert found["overall"]["R@5"]["p"] == 0.625
    assert found["groups"]["ripe"]["R@5"]["wins"] == 2
    assert found["seeds"]["R@1"] == {"A": [0.25], "B": [0.625]}
    assert found["queries"][0] == {"query_id": "q2", "text": "make it 2", "rank": [9.0, 1.0]}
    assert found["sentences"]


def test_texts_cannot_command_the_terminal(write, capsys):
    runs = [entry(A), entry(B)]
    for run in runs:
        run["queries"]["text"][2] = "red\x1b[2J\nand " + "very " * 40
    text = printed(capsys, write("a", runs[0]), write("b", runs[1]))
    assert "\x1b" not in text
    assert "red [2J and very" in text
    assert max(map(len, text.split("Largest changes")[1].splitlines())) < 100


def test_a_query_counts_for_all_its_groups(write, capsys):
    runs = [entry(ranks, groups="semantic_aspects") for ranks in (A, B)]
    for run in runs:
        run["queries"]["groups"] = [["negation", "addition"], ["addition"], ["negation"]] + [[]] * 5
    text = printed(capsys, write("a", runs[0]), write("b", runs[1]))
    assert "addition" in text
    assert "negation" in text
    assert "ripe" not in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.021, "2.1"), (-0.0004, "-0.04"), (0.0, "0.0"), (-1e-12, "0.0"), (0.00049, "0.05"), (1, "100.0")],
)
def test_a_small_number_of_points_is_not_written_as_0(share, text):
    assert verdict.points(share) == text


def test_few_seeds_need_a_larger_difference(write, capsys):
    """R@1 of A: 4 and 10 of 40; of B: 21 and 27. 42.5 points, standard error 10.6, t of about 2 degrees 4.3: 45.6."""
    a = [write(f"a{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((4, 10))]
    b = [write(f"b{seed}", entry(many(hits, 0), seed=seed)) for seed, hits in enumerate((21, 27))]
    text = printed(capsys, ",".join(a), ",".join(b))
    assert "its standard error is 10.6 points, so that other seeds may turn it round." in text
    assert verdict._t_95(verdict._welch([7.5**2 * 2 / 2] * 2, [2, 2])[1]) == 4.30


def test_a_single_run_is_taken_to_scatter_as_the_other_side_does(write, capsys):
    """B: 12, 24 and 36 of 40, s = 30 points; 30 * sqrt(4 / 3) * 4.3 = 149 points."""
    a, b = write("a", entry(many(2, 0))), [write(f"b{n}", entry(many(12 * n, 0), seed=n)) for n in (1, 2, 3)]
    assert "so that other seeds may turn it round" in printed(capsys, a, ",".join(b))
    close = [write(f"c{n}", entry(many(23 + n, 0), seed=n)) for n in (1, 2, 3)]
    assert "so that other seeds may turn it round" not in printed(capsys, a, ",".join(close))


def test_where_pictures_are_stored_makes_no_other_run(write, capsys):
    sides = []
    for letter in "ab":
        made = [entry(A, seed=seed) for seed in (0, 1)]
        for number, each in enumerate(made):
            each["config"] = {"seed": number, "picture_store": f"/disk{number}", "batch_size": 4}
            each["weights"] = f"{letter}{number}"
        sides.append(",".join(write(f"{letter}{number}", each) for number, each in enumerate(made)))
    assert "picture_store" not in printed(capsys, *sides)
