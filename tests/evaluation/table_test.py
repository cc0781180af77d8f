"""Tables of a result: for the terminal, as Markdown, as LaTeX."""

import dataclasses

from cir_tf.evaluation import table
from cir_tf.evaluation.runner import evaluate
from tests.evaluation.runner_test import KINDS, parts_of_two_kinds
from tests.evaluation.toy import BY_ID, ROWS, score


def test_the_head_says_protocol_seed_data_and_version():
    result = score(seed=3)
    for shown in (table.to_text(result), table.to_markdown(result), table.to_latex(result)):
        head = shown.splitlines()[0].removeprefix("% ")
        assert head == table.header(result)
        assert head.startswith(f"{BY_ID.describe()}; seed 3; 4 queries (")
        assert f"), 6 gallery entries (86558d11bbe7); version {result.version}" in head


def test_terminal_table_has_the_parts_below_the_model_and_its_groups():
    lines = table.to_text(score()).splitlines()[2:]
    assert lines[0].split() == ["queries", "R@1", "R@2", "R@3"]
    assert [line.split("  ")[0] for line in lines[2:]] == ["model", "· hair", "· skin", "image only"]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["model", "4", "0.0", "[0.0,", "0.0]", *["50.0", "[0.0,", "100.0]"] * 2]


def test_markdown_has_the_same_rows():
    lines = table.to_markdown(score()).splitlines()[2:]
    assert lines[:2] == ["|  | queries | R@1 | R@2 | R@3 |", "| --- | ---: | ---: | ---: | ---: |"]
    assert lines[2] == "| model | 4 | 0.0 [0.0, 0.0] | 50.0 [0.0, 100.0] | 50.0 [0.0, 100.0] |"
    assert lines[3] == "| · hair | 1 | 0.0 [0.0, 0.0] | 100.0 [100.0, 100.0] | 100.0 [100.0, 100.0] |"
    assert len(lines) == 6


def test_latex_has_values_and_half_the_width_of_their_intervals():
    result = score(rows=ROWS | {"category": ["change_shape"] * 4})
    lines = table.to_latex(result).splitlines()
    assert lines[1] == (
        r"model & 0.0 {\scriptsize $\pm$ 0.0} & 50.0 {\scriptsize $\pm$ 50.0} & 50.0 {\scriptsize $\pm$ 50.0} \\"
    )
    assert lines[2].startswith(r"\quad change\_shape & 0.0 ")
    assert all(line.endswith(r" \\") for line in lines[1:])


def test_names_of_groups_do_no_harm():
    result = score(rows=ROWS | {"category": ["a|b\\x{1}^~", "\x1b[2Jclear", "c", "c"]})
    assert r"· a\|b" in table.to_markdown(result)
    assert r"\quad a|b\textbackslash{}x\{1\}\textasciicircum{}\textasciitilde{} & " in table.to_latex(result)
    for form in (table.to_text, table.to_markdown, table.to_latex):
        assert "\x1b" not in form(result)


def test_several_subsets_are_rows_with_stamps_of_their_own():
    result = evaluate(dataclasses.replace(KINDS, groups=None), parts_of_two_kinds())
    lines = table.to_text(result).splitlines()
    assert "; dress: 4 queries (" in lines[0]
    assert "; shirt: 2 queries (" in lines[0]
    assert lines[2].split() == ["queries", "R@1", "R@2", "mean"]
    assert [line.split("  ")[0] for line in lines[4:]] == ["model", "· dress", "· shirt"]
    assert lines[4].split()[:3] == ["model", "6", "37.5"]
    assert lines[5].split()[:3] == ["·", "dress", "4"]


def test_what_a_copy_lacks_is_printed_with_its_results():
    assert "the copy lacks 3 pictures and has 1 broken ones" in table.header(score(gaps={"missing": 3, "bad": 1}))
    whole = table.header(score(gaps={"missing": 0, "bad": 0, "stamp": "0123abcd"}))
    assert "lacks" not in whole
    assert ", copy 0123abcd" in whole
    assert "lacks" not in table.header(score())
