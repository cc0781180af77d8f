"""What `python -m cir_tf.compare` refuses, and `python -m cir_tf.evaluate --table`, which reads the same results."""

import copy
import json

import pytest

from cir_tf import compare, evaluate
from cir_tf.errors import UserError
from tests.conftest import run_module
from tests.written_results import A, B, entry, write_run


@pytest.fixture
def write(tmp_path):
    """A function that writes entries as the results of a run of some name and gives its folder."""
    return lambda name, *entries: write_run(tmp_path / name, *entries)


def refused(*arguments):
    with pytest.raises(UserError) as caught:
        compare.main(list(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_different_protocols_of_one_name_are_refused(write):
    told = refused(write("a", entry(A)), write("b", entry(B, exclude_reference=False)))
    assert "fruit_test is not the same protocol" in told
    assert "exclude_reference is True and False" in told


def test_protocols_of_which_none_is_common_are_refused(write):
    a, b = write("a", entry(A, name="one"), entry(A, name="two")), write("b", entry(B, name="three"))
    assert f"{a} has one, two; {b} has three" in refused(a, b)


def test_a_protocol_that_one_side_lacks_is_refused(write):
    a, b = write("a", entry(A), entry(A, name="alone")), write("b", entry(B, name="other"), entry(B))
    assert f"{b} has no results of alone, only of other, fruit_test" in refused(a, b, "--protocol=alone")


@pytest.mark.parametrize(
    ("key", "count"), [("queries", "8 (aaa111) and 8 (else)"), ("gallery", "40 (bbb222) and 40 (el")]
)
def test_other_data_are_refused(write, key, count):
    other = entry(B)
    other["data"]["small"][f"{key}_sha256"] = "else"
    told = refused(write("a", entry(A)), write("b", other))
    assert f"were scored on other data: {key} of small, {count}" in told


@pytest.mark.parametrize("key", ["text", "reference_id", "target_ids"])
def test_equal_ids_of_other_queries_are_refused(write, key):
    other = entry(B)
    other["queries"][key] = other["queries"][key][:6] + other["queries"][key][4:6]
    assert f"{key} of 2 queries, the first q6" in refused(write("a", entry(A)), write("b", other))


def test_runs_of_one_side_are_of_one_config_and_not_the_same(write):
    a, b, other = write("a", entry(A)), write("b", entry(B)), write("other", entry(A, seed=1, lr=0.3))
    assert "differ in more than the seed (optimizer.learning_rate)" in refused(f"{a},{other}", b)
    assert "are the same run" in refused(f"{a},{a}", b)
    twin, again = (write(name, entry(A, seed=2, weights="w")) for name in ("twin", "again"))
    assert f"{twin} and {again} are the same run" in refused(b, f"{twin},{again}")


def _broken(change):
    whole = {"fruit_test": entry(A)}
    change(whole["fruit_test"])
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"fruit_test": entry(A)})[:500], "cannot be read"),
        ("{}", "holds no results"),
        ("[1]", "holds no results"),
        ('{"fruit_test": 3}', "holds no results"),
        (_broken(lambda e: e.update(format=1)), "fruit_test was written by another version"),
        (_broken(lambda e: e.pop("format")), "fruit_test was written by another version"),
        (_broken(lambda e: e.pop("data")), "fruit_test is incomplete"),
        (_broken(lambda e: e["queries"].pop("rank")), "fruit_test is incomplete"),
        (_broken(lambda e: e["queries"]["text"].pop()), "fruit_test is incomplete"),
        (_broken(lambda e: e["queries"]["values"]["R@5"].pop()), "fruit_test is incomplete"),
        (_broken(lambda e: e["queries"].update(values=[])), "fruit_test is incomplete"),
    ],
)
def test_broken_results_are_one_line_that_says_what_to_do(write, tmp_path, text, message):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "results.json").write_text(text, encoding="utf-8")
    for arguments in ((write("b", entry(B)), str(broken)), (str(broken), str(broken))):
        told = refused(*arguments)
        assert message in told
        assert f"python -m cir_tf.evaluate --workdir={broken}" in told


def test_missing_results_are_named(write, tmp_path):
    b = write("b", entry(B))
    assert f"{tmp_path} has no results.json yet" in refused(str(tmp_path), b)
    assert f"{tmp_path / 'no'} is no folder" in refused(b, str(tmp_path / "no"))
    assert "--queries=-1 must be 0 or more" in refused(b, b, "--queries=-1")


def test_the_command_ends_with_2_and_one_line(write):
    a, other = write("a", entry(A)), copy.deepcopy(entry(B))
    other["data"]["small"]["queries_sha256"] = "else"
    done = run_module("cir_tf.compare", a, write("b", other))
    assert done.returncode == 2
    assert done.stderr.startswith("error: fruit_test: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert run_module("cir_tf.compare", a, a).returncode == 0


def test_tables_are_printed_again_without_scoring(write, capsys):
    figures = {"R@1": {"value": 0.25, "low": 0.125, "high": 0.5, "n": 8}}
    runs = [entry(A), entry(A, name="other")]
    for run in runs:
        run["metrics"] = {"model": {"overall": figures, "groups": {"ripe": figures}}}
    run = write("a", *runs)
    for form, row in (
        ("text", "model         8  25.0 [12.5, 50.0]"),
        ("markdown", "| model | 8 | 25.0 [12.5, 50.0] |"),
        ("latex", r"model & 25.0 {\scriptsize $\pm$ 18.8} \\"),
    ):
        assert evaluate.main([f"--workdir={run}", f"--table={form}"]) == 0
        text = capsys.readouterr().out
        assert text.count(row) == 2
        assert text.index("fruit_test: ") < text.index("other: ")
    assert evaluate.main([f"--workdir={run}", "--table=text", "--protocol=other"]) == 0
    assert "fruit_test" not in capsys.readouterr().out


def test_tables_of_nothing_are_one_line(write, tmp_path):
    broken = entry(A)
    broken["protocol"]["hit"] = "luck"
    run, other = write("a", entry(A)), write("b", broken)
    for folder, name, message in (
        (run, "none", "has no results of none, only of fruit_test"),
        (other, "fruit_test", "the results of fruit_test are broken"),
        (tmp_path, "fruit_test", "has no results.json yet"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate.main([f"--workdir={folder}", "--table=text", f"--protocol={name}"])
