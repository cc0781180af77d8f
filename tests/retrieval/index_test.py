"""What every index must do, whatever it is made of."""

import json
import zlib

import numpy as np
import pytest

from cir_tf import registry
from cir_tf.errors import UserError
from cir_tf.retrieval import _storage

KINDS = ("brute_force", "scann")
IDS = ["ant", "bee", "cat", "dog", "eel"]
VECTORS = np.array([[1, 0], [0, 1], [2, 1], [0, 1], [-1, 3]], np.float32)
QUERIES = np.array([[1, 0], [0, 2], [-1, -1]], np.float32)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def index(kind):
    return registry.create("retrieval", kind).build(VECTORS, IDS)


def test_every_index_is_tested():
    assert tuple(registry.available("retrieval")) == KINDS


def test_best_entries_come_first_and_ties_in_gallery_order(index):
    """Products of the queries with the gallery, worked by hand:

    [1, 0]   -> ant 1, bee 0, cat 2, dog 0, eel -1  -> cat, ant, bee, dog (tie in gallery order)
    [0, 2]   -> ant 0, bee 2, cat 2, dog 2, eel 6   -> eel, bee, cat, dog
    [-1, -1] -> ant -1, bee -1, cat -3, dog -1, eel -2 -> ant, bee, dog, eel
    """
    ranking = index.search(QUERIES, 4)
    assert ranking.ids_QK.tolist() == [
        ["cat", "ant", "bee", "dog"],
        ["eel", "bee", "cat", "dog"],
        ["ant", "bee", "dog", "eel"],
    ]
    assert ranking.positions_QK.tolist() == [[2, 0, 1, 3], [4, 1, 2, 3], [0, 1, 3, 4]]
    assert ranking.scores_QK.tolist() == [[2, 1, 0, 0], [6, 2, 2, 2], [-1, -1, -1, -2]]
    assert (ranking.positions_QK.dtype, ranking.scores_QK.dtype) == (np.int64, np.float32)


def test_excluded_entry_is_never_returned_for_its_query_only(index):
    ranking = index.search(QUERIES, 2, exclude=["cat", None, ""])
    assert ranking.ids_QK.tolist() == [["ant", "bee"], ["eel", "bee"], ["ant", "bee"]]
    everything = index.search(QUERIES, 5, exclude=["cat", "eel", "not in the gallery"])
    assert everything.ids_QK[0].tolist() == ["ant", "bee", "dog", "eel", ""]
    assert everything.ids_QK[1].tolist() == ["bee", "cat", "dog", "ant", ""]
    assert everything.positions_QK[:2, 4].tolist() == [-1, -1]
    assert everything.ids_QK[2].tolist() == ["ant", "bee", "dog", "eel", "cat"]


def test_places_beyond_the_gallery_are_padded(index):
    ranking = index.search(QUERIES[:1], 7)
    assert ranking.ids_QK.tolist() == [["cat", "ant", "bee", "dog", "eel", "", ""]]
    assert ranking.positions_QK.tolist() == [[2, 0, 1, 3, 4, -1, -1]]
    assert ranking.scores_QK.tolist() == [[2, 1, 0, 0, -1, -np.inf, -np.inf]]


def test_no_queries_give_an_empty_ranking(index):
    ranking = index.search(np.zeros((0, 2), np.float32), 3, exclude=[])
    assert [array.shape for array in ranking] == [(0, 3)] * 3


def test_empty_gallery_gives_padding_only(kind):
    index = registry.create("retrieval", kind).build(np.zeros((0, 2), np.float32), [])
    ranking = index.search(QUERIES, 2)
    assert ranking.ids_QK.tolist() == [["", ""]] * 3
    assert (ranking.positions_QK == -1).all()


def test_gallery_of_one_whose_entry_is_excluded(kind):
    index = registry.create("retrieval", kind).build(VECTORS[:1], IDS[:1])
    assert index.search(QUERIES[:2], 1, exclude=["ant", None]).ids_QK.tolist() == [[""], ["ant"]]


def test_signed_zeros_are_one_score(kind):
    """-1e-60 and 1e-60 are -0.0 and 0.0 in float32."""
    vectors = np.array([[-1e-30], [0.0], [1e-30], [-1e-30]], np.float32)
    index = registry.create("retrieval", kind).build(vectors, ["a", "b", "c", "d"])
    assert index.search(np.array([[1e-30]], np.float32), 4).positions_QK.tolist() == [[0, 1, 2, 3]]


def test_other_float_types_and_orders_of_memory_are_the_same(kind, index):
    other = registry.create("retrieval", kind).build(np.asfortranarray(VECTORS, np.float64), np.array(IDS))
    expected, found = index.search(QUERIES, 3), other.search(QUERIES.astype(np.float16), 3)
    assert found.ids_QK.tolist() == expected.ids_QK.tolist()
    assert all(isinstance(name, str) for name in found.ids_QK.ravel())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused_with_their_row(kind, index, bad):
    vectors = VECTORS.copy()
    vectors[3, 1] = bad
    with pytest.raises(ValueError, match=r"vectors must be finite.*1 bad rows.*3"):
        registry.create("retrieval", kind).build(vectors, IDS)
    with pytest.raises(ValueError, match="queries must be finite"):
        index.search(vectors, 2)


def test_wrong_queries_are_refused(index):
    with pytest.raises(ValueError, match="Received: 3, index: 2"):
        index.search(np.ones((1, 3), np.float32), 2)
    with pytest.raises(ValueError, match="2 axes"):
        index.search(np.ones(2, np.float32), 2)
    with pytest.raises(ValueError, match="k=0"):
        index.search(QUERIES, 0)
    with pytest.raises(ValueError, match="2 ids, 3 queries"):
        index.search(QUERIES, 1, exclude=["ant", "bee"])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "c", "d"], "4 ids, 5 vectors"),
        (["a", "b", "c", "b", "a"], "twice: b, a"),
        (["a", "b", "", "d", "e"], "not empty"),
        (["a", "b", 3, "d", "e"], "strings"),
    ],
)
def test_wrong_ids_are_refused(kind, ids, message):
    with pytest.raises(ValueError, match=message):
        registry.create("retrieval", kind).build(VECTORS, ids)


def test_saved_index_loads_the_same(kind, index, tmp_path):
    folder = tmp_path / "new" / "index"
    index.save(folder, extra={"bad": 2})
    loaded = type(index).load(folder)
    for found, expected in zip(loaded.search(QUERIES, 6, IDS[:3]), index.search(QUERIES, 6, IDS[:3]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loaded.extra == {"bad": 2}
    manifest = _storage.read_manifest(folder)
    assert (manifest["kind"], manifest["count"], manifest["dimension"]) == (kind, 5, 2)
    assert (manifest["metric"], manifest["data"], manifest["encoder"]) == ("inner_product", index.stamp, "")


def test_index_of_another_model_is_refused(index, tmp_path):
    load = type(index).load
    index.save(tmp_path / "unknown")
    index.build(VECTORS, IDS, encoder="abc123").save(tmp_path / "known")
    assert load(tmp_path / "known").encoder == load(tmp_path / "known", encoder="abc123").encoder == "abc123"
    with pytest.raises(UserError, match=r"known is of another model \(abc123, not def456\); build it again"):
        load(tmp_path / "known", encoder="def456")
    with pytest.raises(UserError, match=r"of another model \(unknown, not def456\)"):
        load(tmp_path / "unknown", encoder="def456")


def test_a_loaded_index_can_be_changed_and_saved_again(index, tmp_path):
    index.build(VECTORS, IDS, encoder="abc123").save(tmp_path / "index")
    loaded = type(index).load(tmp_path / "index").add(VECTORS[:1], ["fox"]).delete(["bee"])
    loaded.save(tmp_path / "index")
    again = type(index).load(tmp_path / "index", encoder="abc123")
    assert again.search(QUERIES, 6).ids_QK[0].tolist() == ["cat", "ant", "fox", "dog", "eel", ""]


def test_saving_again_replaces_the_index_and_leaves_nothing_beside_it(index, tmp_path):
    index.save(tmp_path / "index")
    index.build(VECTORS[:2], ["é", "new\nline"]).save(tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert type(index).load(tmp_path / "index").ids_N.tolist() == ["é", "new\nline"]


def test_interrupted_save_leaves_the_old_index(index, tmp_path, monkeypatch):
    folder = tmp_path / "index"
    index.save(folder)

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    index.build(VECTORS[:2], ["x", "y"])
    with monkeypatch.context() as patch:
        patch.setattr(_storage.json, "dumps", full_disk)  # after the vectors have been written
        with pytest.raises(UserError, match=r"cannot be written.*No space left"):
            index.save(folder)
        with pytest.raises(UserError, match="No space left"):
            index.save(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert type(index).load(folder).ids_N.tolist() == IDS


def test_failed_rename_puts_the_old_index_back(index, tmp_path, monkeypatch):
    folder = tmp_path / "index"
    index.save(folder)
    rename = _storage.Path.replace

    def refuse_unfinished(path, target):
        if path.suffix == ".part":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(_storage.Path, "replace", refuse_unfinished)
    with pytest.raises(UserError, match="Input/output error"):
        index.build(VECTORS[:2], ["x", "y"]).save(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert type(index).load(folder).ids_N.tolist() == IDS


def test_folder_with_something_else_is_not_overwritten(index, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="is not an index"):
        index.save(tmp_path)
    with pytest.raises(UserError, match="is not an index"):
        index.save(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("names", [["manifest.json"], ["manifest.json", "vectors.npy", "thesis.txt"]])
def test_a_folder_that_merely_has_a_manifest_is_not_overwritten(index, tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="is not an index"):
        index.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_the_folder_one_stands_in_may_be_written(index, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    index.save(".")
    assert type(index).load(tmp_path / "here").ids_N.tolist() == IDS


def test_ids_to_delete_are_any_sequence_but_a_string(index):
    with pytest.raises(ValueError, match="Received: the string"):
        index.delete(IDS[0])
    assert index.delete(name for name in IDS[:2]).ids_N.tolist() == IDS[2:]


def test_missing_damaged_or_other_index_is_one_clear_line(kind, index, tmp_path):
    load = type(index).load
    with pytest.raises(UserError, match="no index"):
        load(tmp_path / "nowhere")
    folder = tmp_path / "index"
    index.save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    broken = [
        ("manifest.json", "{", "not JSON"),
        ("manifest.json", "[]", "version"),
        ("manifest.json", json.dumps(manifest | {"version": 99}), "version"),
        ("manifest.json", json.dumps(manifest | {"kind": "other"}), f"'other'.*'{kind}' cannot"),
        ("manifest.json", json.dumps(manifest | {"count": 4}), "damaged"),
        ("manifest.json", json.dumps(manifest | {"metric": "cosine"}), "damaged"),
        ("manifest.json", json.dumps(manifest | {"options": {"unknown": 1}}), "damaged"),
        ("manifest.json", json.dumps(manifest | {"files": ["vectors.npy"]}), "damaged"),
        ("ids.json", '["ant"]', "damaged.*ids.json has 7 bytes instead of 35"),
        ("vectors.npy", "", "damaged.*vectors.npy has 0 bytes instead of 168"),
        ("ids.json", json.dumps(["x", *IDS[1:], ""])[:35], "damaged.*ids.json was changed"),
    ]
    for name, content, message in broken:
        index.save(folder)
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=message) as error:
            load(folder)
        assert "\n" not in str(error.value)
    (folder / "ids.json").unlink()
    with pytest.raises(UserError, match=r"damaged.*ids\.json is missing"):
        load(folder)


def put(folder, name):
    """Enter a changed file into the manifest: what someone does who means it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = [len(content), zlib.crc32(content)]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_wrong_content_behind_right_sums_is_refused(index, tmp_path):
    folder = tmp_path / "index"
    for name, content, message in [
        ("ids.json", b'["ant"]', "1 ids"),
        ("ids.json", b"[", "damaged"),
        ("vectors.npy", b"rubbish", "damaged"),
        ("vectors.npy", b"", "damaged"),
    ]:
        index.save(folder)
        (folder / name).write_bytes(content)
        put(folder, name)
        with pytest.raises(UserError, match=message):
            type(index).load(folder)


def test_pickled_vectors_are_refused(index, tmp_path):
    folder = tmp_path / "index"
    index.save(folder)
    np.save(folder / "vectors.npy", np.array([[object()] * 2] * 5, dtype=object), allow_pickle=True)
    put(folder, "vectors.npy")
    with pytest.raises(UserError, match=r"damaged.*allow_pickle"):
        type(index).load(folder)
