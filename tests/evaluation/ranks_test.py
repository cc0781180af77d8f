"""Ranks against an oracle that scores and sorts entry by entry in Python."""

import tracemalloc

import numpy as np
import pytest

from cir_tf.evaluation import ranks
from tests.golden import S, close

SEEDS = range(25)


def ranking(query_D, vectors_ND, exclude=-1, among=None):
    """Gallery rows, best first: by the exact score rounded to float32, equal scores in gallery order."""
    exact = [sum(float(a) * float(b) for a, b in zip(query_D, vector, strict=True)) for vector in vectors_ND]
    rows = [row for row in (range(len(exact)) if among is None else among) if row not in (exclude, -1)]
    return sorted(rows, key=lambda row: (-np.float32(exact[row]), row))


def place(rows, row):
    return 1 + rows.index(row) if row in rows else 0


def vectors_with_ties(rng, count, width):
    """Small whole numbers: many equal scores, and duplicates of vectors."""
    vectors = rng.integers(-2, 3, (count, width)).astype(np.float32)
    vectors[rng.integers(count, size=count // 2)] = vectors[rng.integers(count)]
    return vectors


def vectors_in_doubt(rng, count, width):
    """One vector and changes of it, so small that float32 products put them into another order than exact ones."""
    vectors = np.tile(rng.standard_normal(width), (count, 1))
    vectors += 2e-7 * rng.standard_normal((count, width))
    vectors[rng.integers(count, size=count // 4)] = vectors[0]
    return vectors.astype(np.float32)


def problem(seed, make):
    """Random queries [Q, D], gallery [N, D], targets [Q, T] padded with -1, excluded rows [Q], k up to above N."""
    rng = np.random.default_rng(seed)
    queries, entries, targets, width = rng.integers(1, [9, 150, 5, 60], endpoint=True)
    vectors_ND = make(rng, entries, width)
    query_QD = vectors_ND[rng.integers(entries, size=queries)] + rng.integers(-1, 2, (queries, width))
    target_QT = rng.integers(-1, entries, (queries, targets))
    exclude_Q = rng.integers(-1, entries, queries)
    exclude_Q[::3] = target_QT[::3, 0]  # the target is the reference
    return query_QD.astype(np.float32), vectors_ND, target_QT, exclude_Q, int(rng.integers(1, entries + 3))


@pytest.fixture(params=[1, 700, 2**23], ids=["a query at a time", "some queries", "all at once"])
def block(request, monkeypatch):
    monkeypatch.setattr(ranks, "BLOCK_NUMBERS", request.param)


def check_best(best_QK, query_QD, vectors_ND, exclude_Q, keep):
    assert best_QK.shape == (len(query_QD), keep)
    for best_K, query_D, exclude in zip(best_QK.tolist(), query_QD, exclude_Q, strict=True):
        expected = ranking(query_D, vectors_ND, exclude)[:keep]
        assert best_K == expected + [-1] * (keep - len(expected))


@pytest.mark.parametrize("make", [vectors_with_ties, vectors_in_doubt])
def test_targets_stand_where_the_oracle_says(make, block):
    for seed in SEEDS:
        query_QD, vectors_ND, target_QT, exclude_Q, keep = problem(seed, make)
        found = ranks.rank_targets(query_QD, vectors_ND, target_QT, exclude_Q, keep)
        expected = [
            [place(ranking(query_D, vectors_ND, exclude), row) for row in target_T]
            for query_D, exclude, target_T in zip(query_QD, exclude_Q, target_QT, strict=True)
        ]
        assert found.rank_QT.tolist() == expected, seed
        check_best(found.best_QK, query_QD, vectors_ND, exclude_Q, keep)


@pytest.mark.parametrize("make", [vectors_with_ties, vectors_in_doubt])
def test_the_best_of_a_class_stands_where_the_oracle_says(make, block):
    for seed in SEEDS:
        query_QD, vectors_ND, _, exclude_Q, keep = problem(seed, make)
        rng = np.random.default_rng(seed)
        class_N, class_Q = rng.integers(6, size=len(vectors_ND)), rng.integers(7, size=len(query_QD))
        found = ranks.rank_classes(query_QD, vectors_ND, class_N, class_Q, exclude_Q, keep)
        for (rank,), query_D, exclude, wanted in zip(found.rank_QT, query_QD, exclude_Q, class_Q, strict=True):
            classes = [class_N[row] for row in ranking(query_D, vectors_ND, exclude)]
            assert rank == place(classes, wanted), seed
        check_best(found.best_QK, query_QD, vectors_ND, exclude_Q, keep)


@pytest.mark.parametrize("make", [vectors_with_ties, vectors_in_doubt])
def test_groups_are_ranked_as_the_oracle_says(make):
    for seed in SEEDS:
        query_QD, vectors_ND, target_QT, exclude_Q, _ = problem(seed, make)
        rng = np.random.default_rng(seed)
        size = min(6, len(vectors_ND))
        group_QG = np.stack([rng.permutation(len(vectors_ND))[:size] for _ in query_QD])
        group_QG[rng.random(group_QG.shape) < 0.2] = -1
        target_Q = np.where(rng.random(len(query_QD)) < 0.8, group_QG[:, 0], target_QT[:, 0])
        rank_Q = ranks.rank_in_groups(query_QD, vectors_ND, target_Q, group_QG, exclude_Q)
        best_QK = ranks.best_in_groups(query_QD, vectors_ND, group_QG, exclude_Q, size)
        for row, query_D in enumerate(query_QD):
            expected = ranking(query_D, vectors_ND, exclude_Q[row], group_QG[row])
            assert rank_Q[row] == place(expected, target_Q[row]), seed
            assert best_QK[row].tolist() == expected + [-1] * (size - len(expected)), seed


def test_the_float32_product_alone_would_be_wrong():
    """Else the tests above would not reach the exact scores."""
    wrong = 0
    for seed in SEEDS:
        query_QD, vectors_ND, *_ = problem(seed, vectors_in_doubt)
        plain_QN = np.argsort(-(query_QD @ vectors_ND.T), axis=1, kind="stable")
        exact_QK = ranks.best(query_QD, vectors_ND, np.full(len(query_QD), -1), len(vectors_ND))
        wrong += (plain_QN != exact_QK).any(axis=1).sum()
    assert wrong > 50


def test_without_its_bound_of_the_error_the_product_alone_decides(monkeypatch):
    monkeypatch.setattr(ranks, "SAFETY", 0)
    with pytest.raises(AssertionError):
        test_targets_stand_where_the_oracle_says(vectors_in_doubt, None)


def test_wide_vectors_are_ranked_as_in_float64(monkeypatch):
    """640 numbers a vector, 3,000 entries around one direction: neighbours differ by less than float32 can add up."""
    monkeypatch.setattr(ranks, "BLOCK_NUMBERS", 50_000)
    rng = np.random.default_rng(1)
    vectors_ND = (rng.standard_normal(640) + 1e-5 * rng.standard_normal((3000, 640))).astype(np.float32)
    vectors_ND[1000:1500] = vectors_ND[2000:2500]
    query_QD = (vectors_ND[:40] + 0.1 * rng.standard_normal((40, 640))).astype(np.float32)
    target_Q = rng.integers(3000, size=40)
    score_QN = (query_QD.astype(np.float64) @ vectors_ND.T.astype(np.float64)).astype(np.float32)
    order_QN = np.argsort(-score_QN, axis=1, kind="stable")
    found = ranks.rank_targets(query_QD, vectors_ND, target_Q[:, None], np.full(40, -1), 100)
    np.testing.assert_array_equal(found.best_QK, order_QN[:, :100])
    np.testing.assert_array_equal(found.rank_QT[:, 0], 1 + np.argmax(order_QN == target_Q[:, None], axis=1))


def test_equal_scores_stand_in_gallery_order_whatever_the_block(monkeypatch):
    """Nine copies of one vector: each stands at its row + 1; without row 2 those behind it move up."""
    rng = np.random.default_rng(0)
    vectors_ND = np.tile(rng.standard_normal(300), (9, 1))
    target_QT = np.tile(np.arange(9), (5, 1))
    for numbers in (1, 20, 10**6):
        monkeypatch.setattr(ranks, "BLOCK_NUMBERS", numbers)
        found = ranks.rank_targets(rng.standard_normal((5, 300)), vectors_ND, target_QT, np.full(5, -1), 4)
        assert found.rank_QT.tolist() == [list(range(1, 10))] * 5
        assert found.best_QK.tolist() == [[0, 1, 2, 3]] * 5
        found = ranks.rank_targets(rng.standard_normal((5, 300)), vectors_ND, target_QT, np.full(5, 2), 10)
        assert found.rank_QT[0].tolist() == [1, 2, 0, 3, 4, 5, 6, 7, 8]
        assert found.best_QK[0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8, -1, -1]


def test_golden_distances_and_ranking_of_levels():
    """VAL's V4: three levels, normalised and laid side by side; squared distance 6 - 2 sum of cosines."""

    def levels(rows, *waves):
        parts = [S((rows, width), a, b) for width, a, b in waves]
        return np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts], axis=1)

    query_QD = levels(2, (4, 0.3, 0.1), (6, 0.4, 0.2), (8, 0.5, 0.3))
    gallery_ND = levels(3, (4, 0.35, 0.1), (6, 0.45, 0.2), (8, 0.55, 0.3))
    distance_QN = ((query_QD[:, None] - gallery_ND) ** 2).sum(axis=2)
    close(distance_QN, [[0.069515, 6.946837, 8.097411], [7.380012, 0.375450, 8.608497]])
    close(6 - 2 * query_QD @ gallery_ND.T, distance_QN)
    found = ranks.rank_targets(query_QD, gallery_ND, np.array([[1, 2], [0, 2]]), np.full(2, -1), 3)
    assert found.best_QK.tolist() == np.argsort(distance_QN, axis=1).tolist() == [[0, 1, 2], [1, 0, 2]]
    assert found.rank_QT.tolist() == [[2, 3], [2, 3]]


def test_memory_is_bounded_by_the_block(monkeypatch):
    """2,000 queries x 3,000 entries would be 24 MB of scores; blocks of 100,000 numbers are 0.4 MB."""
    monkeypatch.setattr(ranks, "BLOCK_NUMBERS", 100_000)
    rng = np.random.default_rng(0)
    query_QD, vectors_ND = (rng.standard_normal((count, 8)).astype(np.float32) for count in (2000, 3000))
    arguments = query_QD, vectors_ND, rng.integers(3000, size=(2000, 1)), np.full(2000, -1), 10
    ranks.rank_targets(*arguments)
    tracemalloc.start()
    ranks.rank_targets(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
