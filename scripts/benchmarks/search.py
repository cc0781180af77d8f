"""Exact search with each engine.

Dimension key: Q queries, N gallery, D shared embedding.
"""

import numpy as np

from cir_tf import registry
from scripts.benchmarks.base import compare

KEPT = 50  # ranks


def rows(sizes, repeat):
    """Two `Row`s for each engine."""
    for name in registry.available("retrieval"):
        yield from engine_rows(sizes, name, repeat)


def engine_rows(sizes, name, repeat):
    """Exact search: many queries against the float32 product, and one against reading the gallery once."""
    rng = np.random.default_rng(0)
    gallery_ND = rng.standard_normal((sizes.gallery, sizes.width)).astype(np.float32)
    query_QD = rng.standard_normal((sizes.queries, sizes.width)).astype(np.float32)
    half_ND = gallery_ND[: sizes.gallery // 2]  # a copy reads and writes it: as many bytes as the gallery has
    copy_ND = np.empty_like(half_ND)
    index = registry.create("retrieval", name).build(gallery_ND, [str(i) for i in range(sizes.gallery)])

    def one_by_one():
        return sum(len(index.search(query_QD[row : row + 1], KEPT).ids_QK) for row in range(sizes.single_queries))

    def copies():
        for _ in range(sizes.single_queries):
            np.copyto(copy_ND, half_ND)
        return sizes.single_queries

    many = (lambda: len(index.search(query_QD, KEPT).ids_QK)), (lambda: len(query_QD @ gallery_ND.T))
    yield compare(f"search {name}, {sizes.queries} at a time", "ms", *many, repeat)
    yield compare(f"search {name}, one at a time", "ms", one_by_one, copies, repeat)
