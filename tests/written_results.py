"""Entries of results.json whose figures can be worked by hand, and runs that hold them."""

import json

from cir_tf.evaluation.protocol import Protocol
from cir_tf.evaluation.result import Result

# Ranks of eight queries. R@1: A 1 0 0 0 1 0 0 0, B 1 1 1 1 1 0 0 0. R@5: A 1 1 0 0 1 1 0 0, B 1 1 1 1 1 0 1 0.
A = [1, 2, 9, 7, 1, 5, 12, 31]
B = [1, 1, 1, 1, 1, 6, 3, 31]
CATEGORY = ["ripe"] * 4 + ["green"] * 3 + [""]
SHA = {"queries_sha256": "aaa111", "gallery_sha256": "bbb222"}


def entry(ranks, subsets=("small",), row=None, seed=0, name="fruit_test", weights=None, lr=0.1, **changes):
    """An entry of results.json: queries q0, q1, … of the subsets in turn, `R@1` and `R@5`."""
    count = len(ranks)
    protocol = Protocol(
        **{"name": name, "dataset": "fruit", "subsets": tuple(subsets), "split": "test", "gallery": "all"}
        | {"metrics": ("R@1", "R@5"), "groups": "category"}
        | changes
    )
    kinds = [CATEGORY[place % len(CATEGORY)] for place in range(count)]
    of = [subsets[place % len(subsets)] for place in range(count)]
    queries = {
        "query_id": [f"q{place}" for place in range(count)],
        "reference_id": [f"reference {place}" for place in range(count)],
        "text": [f"make it {place}" for place in range(count)],
        "category": kinds,
        "groups": [[kind] if kind and protocol.groups else [] for kind in kinds],
        "subset": of,
        "row": list(range(count)) if row is None else row,
        "target_ids": [[f"target {place}"] for place in range(count)],
        "ranked_ids": [[]] * count,
        "rank": ranks,
        "reference_rank": [0] * count,
        "values": {f"R@{k}": [float(0 < rank <= k) for rank in ranks] for k in (1, 5)},
    }
    data = {subset: {"queries": of.count(subset), "gallery": 40, **SHA} for subset in subsets}
    made = Result(protocol, seed, data, {"model": {"overall": {}, "groups": {}}}, queries).to_json()
    config = {"seed": seed, "data_dir": f"/data/{seed}", "optimizer": {"name": "adam", "learning_rate": lr}}
    return made | {"weights": weights or f"{ranks}{seed}", "config": config}


def write_run(folder, *entries):
    """Write entries as the results of a run; the folder's name."""
    folder.mkdir()
    text = json.dumps({each["protocol"]["name"]: each for each in entries})
    (folder / "results.json").write_text(text, encoding="utf-8")
    return str(folder)
