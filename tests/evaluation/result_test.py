"""A result, written as JSON and read again."""

import json

import pytest

from cir_tf.evaluation import table
from cir_tf.evaluation.result import REPORTED, Result
from cir_tf.evaluation.runner import evaluate
from tests.evaluation.runner_test import KINDS, parts_of_two_kinds
from tests.evaluation.toy import BY_ID, score


def test_a_result_is_plain_json():
    plain = score(seed=3).to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["metrics"]["model"]["overall"]["R@2"]["n"] == 4
    assert plain["describe"] == BY_ID.describe()
    assert plain["protocol"]["metrics"] == ["R@1", "R@2", "R@3"]
    assert plain["seed"] == 3


@pytest.mark.parametrize("make", [score, lambda: evaluate(KINDS, parts_of_two_kinds())])
def test_a_result_is_read_as_it_was_written(make):
    """All of it, so that tables can be made from the file."""
    result = make()
    read = Result.from_json(json.loads(json.dumps(result.to_json())))
    assert read == result
    assert table.to_latex(read) == table.to_latex(result)


def test_further_keys_of_an_entry_do_no_harm():
    entry = score().to_json() | {"seconds": 1.5, "weights": "3f2a"}
    assert Result.from_json(entry) == score()


def test_every_column_has_an_entry_for_each_query():
    result = evaluate(KINDS, parts_of_two_kinds())
    columns = [column for column in result.queries.values() if isinstance(column, list)]
    columns += result.queries["values"].values()
    assert {len(column) for column in columns} == {6}
    assert max(map(len, result.queries["ranked_ids"])) <= REPORTED


@pytest.mark.parametrize("entry", [{}, {"format": 1}, [], None])
def test_another_format_is_refused(entry):
    with pytest.raises(ValueError, match="no result of this version"):
        Result.from_json(entry)
