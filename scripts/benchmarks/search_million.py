"""Approximate search in a large gallery: takes minutes and gigabytes.

Dimension key: Q queries, N gallery, C centres, D shared embedding.
"""

import numpy as np

from cir_tf import registry
from cir_tf.retrieval.scann import EXACT_BELOW
from scripts.benchmarks.base import compare

BIG = True
WIDTH = 128


def rows(sizes, repeat, exact_below=EXACT_BELOW):
    """Approximate search tuned to a recall@10 of 0.95, against exact search by the same engine."""
    rng = np.random.default_rng(0)
    centre_CD = rng.standard_normal((int(sizes.million**0.5) * 4, WIDTH)).astype(np.float32)

    def clustered(count):
        near_ND = centre_CD[rng.integers(len(centre_CD), size=count)]
        near_ND += 0.6 * rng.standard_normal(near_ND.shape, np.float32)
        return near_ND / np.linalg.norm(near_ND, axis=1, keepdims=True)

    gallery_ND = np.empty((sizes.million, WIDTH), np.float32)
    for start in range(0, sizes.million, 100_000):
        gallery_ND[start : start + 100_000] = clustered(len(gallery_ND[start : start + 100_000]))
    tuned_QD, query_QD = clustered(sizes.queries), clustered(sizes.queries)
    ids = [str(i) for i in range(sizes.million)]
    index = registry.create("retrieval", "scann", exact_below=exact_below).build(gallery_ND, ids)
    index.tune(tuned_QD)
    exact = registry.create("retrieval", "scann", exact_below=sizes.million + 1).build(gallery_ND, ids)
    label = f"search {sizes.million} x {WIDTH}, R@10 {index.measured_recall(query_QD):.3f}"
    runs = [lambda index=index: len(index.search(query_QD, 10).ids_QK) for index in (index, exact)]
    yield compare(label, "queries/s", *runs, repeat)
