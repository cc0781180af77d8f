"""Evaluation of given vectors, against the products of the vectors.

Dimension key: Q queries, N gallery, D shared embedding.
"""

import numpy as np

from cir_tf.evaluation import protocols, runner
from scripts.benchmarks.base import compare

EVALUATED = ("original_both_orders_kept", "original_both_orders", "val_both_orders")  # protocols of FashionIQ


def rows(sizes, repeat):
    """Three protocols of FashionIQ with ranks, metrics and intervals, against the float32 products of their vectors."""
    rng = np.random.default_rng(0)
    original, union = (
        {kind: fashion_iq_part(rng, *size, sizes.evaluated_width) for kind, size in zip("dst", part, strict=True)}
        for part in zip(*(((rows, all_), (rows, union)) for rows, all_, union in sizes.kinds), strict=True)
    )
    work = [(protocols.get(f"fashion_iq_{name}"), union if "val" in name else original) for name in EVALUATED]
    pairs = [(part.query_vectors["model"], part.gallery_vectors_ND) for _, parts in work for part in parts.values()]
    yield compare(
        f"evaluate FashionIQ, {len(work)} protocols",
        "ms",
        lambda: len([runner.evaluate(protocol, parts) for protocol, parts in work]),
        lambda: len([len(query_QD @ gallery_ND.T) for query_QD, gallery_ND in pairs]) // len(sizes.kinds),
        repeat,
    )


def fashion_iq_part(rng, rows, entries, width):
    """A `runner.Part` of one kind: two queries of each row, between its reference and its target."""
    gallery_ND = rng.standard_normal((entries, width), np.float32)
    reference_Q, target_Q = np.repeat([rng.permutation(entries)[:2] for _ in range(rows)], 2, axis=0).T
    query_QD = gallery_ND[reference_Q] + gallery_ND[target_Q] + 4 * rng.standard_normal((2 * rows, width), np.float32)
    query_QD, gallery_ND = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (query_QD, gallery_ND))
    made = {
        "query_id": [f"{row // 2}/{row % 2}" for row in range(2 * rows)],
        "reference_id": [f"B{row:09}" for row in reference_Q],
        "target_ids": [[f"B{row:09}"] for row in target_Q],
        **{key: [""] * 2 * rows for key in ("target_class", "category", "text")},
        "row": np.arange(2 * rows) // 2,
    }
    gallery = {"ids": [f"B{row:09}" for row in range(entries)], "target_class": [""] * entries}
    return runner.Part(made, gallery, {"model": query_QD}, gallery_ND)
