"""A gallery whose vectors are the unit vectors: a query's vector is the list of its scores."""

import numpy as np

from cir_tf.evaluation.protocol import Protocol
from cir_tf.evaluation.runner import Part, evaluate

IDENTITY = np.eye(6, dtype=np.float32)
GALLERY = {"ids": ["u", "v", "w", "x", "y", "z"], "target_class": ["a", "b", "a", "c", "b", "c"]}
BY_ID = Protocol("toy", "toys", ("all",), "test", "test", metrics=("R@1", "R@2", "R@3"), groups="category")


def make_rows(references, **fields):
    """Columns of queries with these references."""
    count = len(references)
    rows = {
        "query_id": [f"q{row}" for row in range(count)],
        "reference_id": list(references),
        "target_ids": [[]] * count,
        "target_class": [""] * count,
        "category": [""] * count,
        "text": [f"text {row}" for row in range(count)],
        "row": list(range(count)),
    }
    return rows | fields


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


def score(protocol=BY_ID, rows=ROWS, query_vectors=QUERY_VECTORS, gallery=GALLERY, vectors=IDENTITY, gaps=None, seed=0):
    """The `Result` of one subset."""
    part = Part(rows, gallery, query_vectors, vectors, gaps or {})
    return evaluate(protocol, {protocol.subsets[0]: part}, seed)


def means(result, name="model"):
    """The overall figures, in the order of the metrics."""
    return [estimate.value for estimate in result.metrics[name]["overall"].values()]
