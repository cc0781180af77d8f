import json

import pytest

from scripts import compare_compositors as script

RECIPE = "css/tirg_tiny.py"
HEAD = "| compositor | R@1 |"


def write_run(runs, name, seed, ranks):
    """A finished run in which every protocol's queries have these ranks."""
    _, _, protocols = script.PLAN[RECIPE]
    queries = {"rank": ranks, "category": ["add", "remove"] * (len(ranks) // 2)}
    folder = script.workdir(runs, RECIPE, name, seed)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({protocol: {"queries": queries} for protocol in protocols}))
    (folder / "seconds").write_text("90\n")


def names(table):
    return [script._cell(line, 1) for line in table.splitlines() if line.startswith("|")][2:]


def test_rows_come_best_first_and_those_without_runs_are_kept(tmp_path):
    write_run(tmp_path, "mrn", 0, [1, 1, 2, 11])
    before = f"{HEAD}\n|---|---|\n| sum | 75.0 [1.0, 2.0] |\n| film | 25.0 [1.0, 2.0] |\n| mrn | 99.0 [1.0, 2.0] |"
    table = script.table_of(tmp_path, RECIPE, before)
    assert names(table) == ["sum", "mrn", "film"]
    row = next(line for line in table.splitlines() if line.startswith("| mrn"))
    assert [script._cell(row, place).split()[0] for place in (2, 3, 4, 5)] == ["50.0", "75.0", "50.0", "50.0"]
    assert row.endswith("| 1.5 |")


def test_without_any_run_the_table_stays(tmp_path):
    assert script.table_of(tmp_path, RECIPE, "as it was") == "as it was"


@pytest.mark.parametrize("name", sorted(script.NEEDS))
def test_what_a_compositor_needs_is_of_one_that_exists(name):
    assert script.compositions()[name]["compositor.name"] == name
