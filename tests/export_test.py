"""The exported model against the live one, in this process and in one without the library."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble, export, search
from cir_tf.data import folder, preprocess, source
from cir_tf.errors import UserError
from cir_tf.retrieval.brute_force import BruteForceIndex
from cir_tf.retrieval.scann import ScannIndex
from tests.golden import policy
from tests.tiny_run import file_of, make_run, picture, write_pictures

TEXTS = ["make her a man", "", "RED hair, with unknown words!"]
COUNT = 13

BARE = """
import sys
sys.modules["cir_tf"] = sys.modules["scann"] = None
import numpy as np, tensorflow as tf
folder = sys.argv[1]
files = [open(f"{folder}/query_{row}", "rb").read() for row in range(3)]
texts = open(f"{folder}/texts", encoding="utf-8").read().split("\\n")
found = {}
for index in ("exact", "scann"):
    if index == "scann":
        del sys.modules["scann"]
        import scann
    model = tf.saved_model.load(f"{folder}/{index}")
    found[f"{index}_query"] = model.encode_query(files, texts)
    found[f"{index}_gallery"] = model.encode_gallery(files)
    found[f"{index}_ids"], found[f"{index}_scores"] = model.search(files, texts, 4)
found = {key: np.asarray(value).astype(str if "ids" in key else "f4") for key, value in found.items()}
np.savez(f"{folder}/found.npz", **found)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    files = write_pictures(workdir / "pictures", COUNT)
    (workdir / "pictures" / "broken.png").write_bytes(b"<html>")
    config, model = make_run(workdir)
    for index in ("exact", "scann"):
        export.export_run(config, model, workdir, workdir / index, index, workdir / "pictures")
    return workdir, config, model, files


@pytest.fixture(scope="module", params=["exact", "scann"])
def loaded(run, request):
    return tf.saved_model.load(str(run[0] / request.param))


def live_queries(model, files, texts):
    image_BHWC = np.stack([preprocess.decode(data, 16) for data in files])
    return np.asarray(model.query_vectors(image_BHWC, model.text_encoder.tokenizer.tokenize(texts)))


def live_gallery(model, files):
    return np.asarray(model.gallery_vectors(np.stack([preprocess.decode(data, 16) for data in files])))


def best(model, gallery, queries, texts, k):
    index = BruteForceIndex().build(live_gallery(model, gallery.values()), list(gallery))
    return index.search(live_queries(model, queries, texts), k)


def test_works_where_the_library_cannot_be_imported(run):
    workdir, _, model, files = run
    queries = [file_of(picture(20 + row), kind) for row, kind in enumerate(["PNG", "JPEG", "BMP"])]
    for row, data in enumerate(queries):
        (workdir / f"query_{row}").write_bytes(data)
    (workdir / "texts").write_text("\n".join(TEXTS), encoding="utf-8")
    subprocess.run([sys.executable, "-I", "-c", BARE, str(workdir)], check=True, cwd="/")
    ranking = best(model, files, queries, TEXTS, 4)
    with np.load(workdir / "found.npz") as found:
        for index in ("exact", "scann"):
            np.testing.assert_allclose(found[f"{index}_query"], live_queries(model, queries, TEXTS), atol=1e-5)
            np.testing.assert_allclose(found[f"{index}_gallery"], live_gallery(model, queries), atol=1e-5)
            np.testing.assert_array_equal(found[f"{index}_ids"], ranking.ids_QK)
            np.testing.assert_allclose(found[f"{index}_scores"], ranking.scores_QK, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("k", [1, COUNT, 50])
def test_search_for_every_batch_and_k(loaded, run, count, k):
    _, _, model, files = run
    queries = [file_of(picture(30 + row)) for row in range(count)]
    ids, scores = loaded.search(queries, TEXTS[:count], k)
    ranking = best(model, files, queries, TEXTS[:count], min(k, COUNT))
    assert ids.shape == (count, min(k, COUNT))
    np.testing.assert_array_equal(ids.numpy().astype(str), ranking.ids_QK)
    np.testing.assert_allclose(scores, ranking.scores_QK, atol=1e-5)


def test_places_that_scann_leaves_empty_have_no_id(run, monkeypatch):
    _, _, model, files = run
    found = tf.constant([[3, 0]]), tf.constant([[0.5, np.nan]])
    monkeypatch.setattr(ScannIndex, "packed", lambda self: (tf.Module(), lambda query_BD, k: found))
    endpoints = export.Endpoints(model, "squash")
    endpoints.pack(list(files), live_gallery(model, files.values()), "scann")
    ids, scores = endpoints.search([file_of(picture(1))], ["red"], 4)
    assert ids.numpy().astype(str).tolist() == [[list(files)[3], "", "", ""]]
    assert scores.numpy().tolist() == [[0.5, -np.inf, -np.inf, -np.inf]]


def test_wrong_calls_say_why(loaded):
    data = file_of(picture(1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="one text for each picture"):
        loaded.encode_query([data], ["red", "dark"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one picture"):
        loaded.encode_gallery(tf.constant([], tf.string))
    with pytest.raises(tf.errors.InvalidArgumentError, match="k must be at least 1"):
        loaded.search([data], ["red"], 0)


def test_known_words_are_counted(loaded):
    texts = ["make her a man", "", "zebra", "RED! red unknown"]
    assert loaded.count_known_words(texts).numpy().tolist() == [3, 0, 0, 2]


def test_signatures_name_their_outputs(loaded):
    data, text = tf.constant([file_of(picture(1))]), tf.constant(["red"])
    found = loaded.signatures["search"](image_bytes_B=data, text_B=text, k=tf.constant(2))
    ids, scores = loaded.search(data, text, 2)
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_array_equal(found["scores"], scores)
    assert set(loaded.signatures) == {"encode_query", "encode_gallery", "count_known_words", "search"}
    assert loaded.signatures["encode_gallery"](image_bytes_B=data)["vectors"].shape == (1, 12)


def test_manifest_tells_what_it_is(run):
    workdir, config, model, _ = run
    manifest = json.loads((workdir / "scann" / "manifest.json").read_text())
    assert manifest["weights"] == assemble.weights_hash(model)
    assert manifest["config"] == json.loads(config.to_json())
    assert (manifest["index"], manifest["count"], manifest["dimension"], manifest["image_size"]) == (
        "scann",
        13,
        12,
        16,
    )
    assert "1 cannot be read: broken.png" in manifest["gallery"]
    assert manifest["max_difference"] <= 1e-5
    assert set(manifest["versions"]) == {"cir_tf", "tensorflow", "keras", "numpy", "scann"}


def test_tuned_settings_are_those_of_the_packed_index(run, tmp_path):
    workdir, config, model, _ = run
    tuning = {"encoder": assemble.weights_hash(model), "chosen": {"searched_share": 0.3, "reordered": 77, "recall": 1}}
    place = workdir / "tuning.json"
    try:
        place.write_text(json.dumps(tuning))
        tuned = {"searched_share": 0.3, "reordered": 77}
        assert export.index_options(config, model, workdir) == tuned
        exported = export.export_run(config, model, workdir, tmp_path / "tuned", "scann", workdir / "pictures")
        assert json.loads((exported / "manifest.json").read_text())["index_options"] == tuned
        index = search.folder_index(search.load(exported), folder.find(workdir / "pictures"), tmp_path / "index")
        assert (index.searched_share, index.reordered) == (0.3, 77)
        place.write_text(json.dumps(tuning | {"encoder": "of other weights"}))
        assert export.index_options(config, model, workdir) == {}
        exact = config.copy_and_resolve_references()
        exact.index = {"name": "brute_force", "query_chunk": 7}
        assert export.index_options(exact, model, workdir) == {}
        place.write_text("[")
        with pytest.raises(UserError, match=r"tuning\.json cannot be read: .*tune again"):
            export.index_options(config, model, workdir)
    finally:
        place.unlink()


def test_export_without_index_has_no_search(run, tmp_path):
    workdir, config, model, _ = run
    exported = export.export_run(config, model, workdir, tmp_path / "bare", "none", workdir / "pictures")
    assert not hasattr(tf.saved_model.load(str(exported)), "search")
    assert json.loads((exported / "manifest.json").read_text())["count"] == 0


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_exports_float32_vectors(run, tmp_path, precision):
    with policy("float32"):
        config, model = make_run(tmp_path, precision, "tirg")
        exported = export.export_run(config, model, tmp_path, images=run[0] / "pictures")
    loaded = tf.saved_model.load(str(exported))
    vectors = loaded.encode_query([file_of(picture(3))], ["dark hair"])
    assert exported == tmp_path / "export" and vectors.dtype == tf.float32
    np.testing.assert_allclose(np.linalg.norm(vectors), 1, atol=1e-6)


def test_headline_gallery_is_packed_by_default(run, tmp_path, monkeypatch, capsys):
    workdir, config, model, files = run
    config = config.copy_and_resolve_references()
    config.evals, config.eval_batch_size = ("emoji_edits_test_all", "emoji_edits_test"), 5
    rows = {"people_index test": {"text": TEXTS}}
    pictures = source.Gallery(list(files), np.array(list(files.values()), object), [""] * len(files))
    monkeypatch.setattr(source, "open_builder", lambda dataset, name, data_dir: name)
    monkeypatch.setattr(source, "read_rows", lambda builder, split: rows[f"{builder} {split}"])
    monkeypatch.setattr(
        source, "read_gallery", lambda name, split: {"people_gallery all_emoji": pictures}[f"{name} {split}"]
    )
    exported = export.export_run(config, model, workdir, tmp_path / "export")
    assert "13 pictures of emoji_edits/people all_emoji; index exact; largest difference" in capsys.readouterr().out
    loaded = tf.saved_model.load(str(exported))
    queries = [file_of(picture(5))]
    ids, _ = loaded.search(queries, ["red"], COUNT)
    np.testing.assert_array_equal(ids.numpy().astype(str), best(model, files, queries, ["red"], COUNT).ids_QK)


def test_config_without_protocol_asks_for_pictures(run, tmp_path):
    workdir, config, model, _ = run
    with pytest.raises(UserError, match="give --images"):
        export.export_run(config, model, workdir, tmp_path / "export")


def test_export_that_differs_is_not_kept_and_the_old_one_stays(run, tmp_path, monkeypatch):
    workdir, config, model, _ = run
    exported = Path(shutil.copytree(workdir / "exact", tmp_path / "export"))
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr(export, "_live", lambda function, *images: function(*images).numpy() + np.float32(1e-3))
        with pytest.raises(UserError, match=r"differs by 1\.0e-03 from the live model"):
            export.export_run(config, model, workdir, exported, "none", workdir / "pictures")
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before
    assert list(tmp_path.iterdir()) == [exported]
    export.export_run(config, model, workdir, exported, "none", workdir / "pictures")
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} != before
    assert list(tmp_path.iterdir()) == [exported]


def test_differences_are_relative_where_vectors_are_longer_than_1():
    """Scores of vectors with learned lengths reach the hundreds, where float32 has no five decimals."""
    scores = np.array([[400.0, -3.0], [0.5, 100.0]])
    assert export._gap(scores + 1e-3, scores) == pytest.approx(1e-3 / 400)
    assert export._gap(scores / 400 + 1e-3, scores / 400) == pytest.approx(1e-3)
    assert not export._gap(scores * np.nan, scores) <= export.TOLERANCE


def test_other_folders_are_left_alone(run, tmp_path):
    workdir, config, model, _ = run
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="exists and is no export"):
        export.export_run(config, model, workdir, tmp_path, "none", workdir / "pictures")
    with pytest.raises(UserError, match="cannot be written"):
        export.export_run(config, model, workdir, tmp_path / "mine.txt" / "export", "none", workdir / "pictures")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_scann_that_does_not_work_names_the_other_index(run, tmp_path, monkeypatch):
    workdir, config, model, _ = run
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(UserError, match="--index=exact"):
        export.export_run(config, model, workdir, tmp_path / "export", "scann", workdir / "pictures")


def test_untrained_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        export.main([f"--workdir={tmp_path}"])
