"""Every index against a slow, obvious oracle: ties, copies, filters, changes, k above the gallery, tiny galleries.

"scann tree" is ScaNN with its tree and its hashing, told to look everywhere: it has to find what the oracle finds.
"""

import functools

import numpy as np
import pytest

from cir_tf import registry

WIDTH = 6
INDEXES = {name: functools.partial(registry.create, "retrieval", name) for name in registry.available("retrieval")}
INDEXES["scann tree"] = functools.partial(INDEXES["scann"], exact_below=100, searched_share=1.0, reordered=10_000)


@pytest.fixture(params=INDEXES)
def make(request):
    return INDEXES[request.param]


def oracle(vectors, ids, query, k, excluded=None, among=None):
    """(ids, scores) of one query's best k, entry by entry in Python; `query` and `vectors` hold small integers."""
    found = []
    for row, name in enumerate(ids):
        if name != excluded and (among is None or name in among):
            found.append((-sum(float(a) * float(b) for a, b in zip(query, vectors[row], strict=True)), row, name))
    found = sorted(found)[:k]
    padding = k - len(found)
    return [name for _, _, name in found] + [""] * padding, [-score for score, _, _ in found] + [-np.inf] * padding


def gallery(rng, count):
    """Small integers, so that scores are the same in every arithmetic and tie often; a third are copies."""
    vectors = rng.integers(-3, 4, (count, WIDTH)).astype(np.float32)
    copies = rng.random(count) < 1 / 3
    vectors[copies] = vectors[rng.integers(count, size=copies.sum())]
    return vectors, [f"picture {number}" for number in rng.permutation(count)]


def check(index, vectors, ids, queries, k, exclude=None, among=None):
    ranking = index.search(queries, k, exclude, among)
    position = {name: row for row, name in enumerate(ids)} | {"": -1}
    for row, query in enumerate(queries):
        names, scores = oracle(vectors, ids, query, k, exclude and exclude[row], among)
        assert ranking.ids_QK[row].tolist() == names
        assert ranking.scores_QK[row].tolist() == scores
        assert ranking.positions_QK[row].tolist() == [position[name] for name in names]


@pytest.mark.parametrize("count", [1, 2, 5, 99, 100, 260])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_is_the_oracles(make, count, seed):
    rng = np.random.default_rng([seed, count])
    vectors, ids = gallery(rng, count)
    queries = rng.integers(-3, 4, (4, WIDTH)).astype(np.float32)
    queries[1] = 0  # everything ties
    index = make().build(vectors, ids)
    exclude = [ids[0], None, "", "not there"]
    for k in (1, 7, count, count + 3):
        check(index, vectors, ids, queries, k)
        check(index, vectors, ids, queries, k, exclude)


@pytest.mark.parametrize("size", [0, 1, 40, 260])
def test_only_ids_of_the_filter_are_returned(make, size):
    rng = np.random.default_rng(size)
    vectors, ids = gallery(rng, 260)
    queries = rng.integers(-3, 4, (4, WIDTH)).astype(np.float32)
    among = rng.choice(ids, size, replace=False).tolist()
    index = make().build(vectors, ids)
    exclude = [among[0] if among else None, ids[5], None, "not there"]
    for k in (1, 30, 300):
        check(index, vectors, ids, queries, k, exclude, among)
        check(index, vectors, ids, queries, k, None, [*reversed(among), *among, "not there"])


def test_a_filter_is_exact_whatever_the_index():
    """This one looks into one leaf of sixteen, and finds everything of the filter all the same."""
    rng = np.random.default_rng(2)
    vectors, ids = gallery(rng, 260)
    queries = rng.integers(-3, 4, (4, WIDTH)).astype(np.float32)
    index = INDEXES["scann"](exact_below=100, searched_share=0.01, reordered=1).build(vectors, ids)
    check(index, vectors, ids, queries, 100, None, ids[::2])


def test_added_and_deleted_entries_are_as_if_built_so(make):
    rng = np.random.default_rng(3)
    vectors, ids = gallery(rng, 260)
    queries = rng.integers(-3, 4, (4, WIDTH)).astype(np.float32)
    index = make().build(vectors[:150], ids[:150])
    index.search(queries, 3)  # with all that is made at the first search
    assert index.add(vectors[150:200], ids[150:200]) is index
    check(index, vectors[:200], ids[:200], queries, 210)
    index.add(vectors[200:], np.array(ids[200:]))
    check(index, vectors, ids, queries, 12, ids[198:202])
    gone = [*ids[:180], ids[230], ids[230]]
    assert index.delete(gone) is index
    keep = [row for row in range(180, 260) if row != 230]
    check(index, vectors[keep], [ids[row] for row in keep], queries, 90, [ids[0], ids[181], None, None])
    index.add(vectors[230:231], [ids[230]])
    keep.append(230)
    check(index, vectors[keep], [ids[row] for row in keep], queries, 90, None, ids)


def test_everything_can_be_deleted_and_put_back(make):
    vectors, ids = gallery(np.random.default_rng(4), 130)
    index = make().build(vectors, ids)
    index.delete(ids)
    assert index.search(vectors[:2], 2).ids_QK.tolist() == [["", ""]] * 2
    check(index.add(vectors, ids), vectors, ids, vectors[:2], 5)


def test_wrong_changes_are_refused_and_change_nothing(make):
    vectors, ids = gallery(np.random.default_rng(5), 130)
    index = make().build(vectors, ids)
    bad = np.where(np.arange(WIDTH) == 1, np.nan, vectors[:1])
    for change, message in [
        (lambda: index.add(vectors[:1], [ids[7]]), f"twice: {ids[7]}"),
        (lambda: index.add(vectors[:2], ["x", "x"]), "twice: x"),
        (lambda: index.add(vectors[:2], ["x"]), "1 ids, 2 vectors"),
        (lambda: index.add(vectors[:1, :3], ["x"]), "New vectors.*Received: 3, index: 6"),
        (lambda: index.add(bad, ["x"]), "finite"),
        (lambda: index.delete([ids[0], "nobody"]), "must be in the index.*'nobody'"),
        (lambda: index.search(vectors[:1], 1, among="picture 1"), "sequence of ids"),
    ]:
        with pytest.raises(ValueError, match=message):
            change()
    check(index, vectors, ids, vectors[:2], 5)


@pytest.mark.parametrize("vectors", [np.zeros((150, 6)), np.ones((150, 6)), np.eye(6)[np.arange(150) % 2]], ids=str)
def test_galleries_of_copies_only(make, vectors):
    """Fewer different vectors than leaves in a tree."""
    ids = [str(row) for row in range(150)]
    check(make().build(vectors.astype(np.float32), ids), vectors, ids, np.eye(6, dtype=np.float32)[:2], 60)


def test_the_stamp_names_the_gallery_not_its_order(make):
    vectors, ids = gallery(np.random.default_rng(7), 5)
    index = make().build(vectors, ids)
    assert index.stamp == make().build(vectors, ids[::-1]).stamp
    assert index.stamp != index.delete(ids[:1]).stamp


def test_exact_indexes_have_nothing_to_tune(make):
    vectors, ids = gallery(np.random.default_rng(8), 50)
    assert make().build(vectors, ids).tune(vectors) == {}


def test_wrong_tuning_is_refused(make):
    vectors, ids = gallery(np.random.default_rng(9), 130)
    index = make().build(vectors, ids)
    for arguments in [(vectors, 0.0), (vectors, 1.01), (vectors[:0], 0.9)]:
        with pytest.raises(ValueError, match="target recall above 0"):
            index.tune(*arguments)
    with pytest.raises(ValueError, match="dimension of the index"):
        index.tune(vectors[:, :2])
