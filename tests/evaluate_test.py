"""Queries of a protocol, and their vectors, on toy galleries with a model of random weights."""

import dataclasses
import json
import types

import numpy as np
import pytest

from cir_tf import evaluate
from cir_tf.data import source
from cir_tf.data.triplets import Pictures
from cir_tf.errors import UserError
from cir_tf.evaluation.protocol import Protocol
from tests import tiny_run

PROTOCOL = Protocol("toy", "toys", ("a", "b"), "validation", "people", captions="both_orders", metrics=("R@1", "R@2"))
AVERAGED = dataclasses.replace(PROTOCOL, captions="both_orders_averaged")
JOINED = dataclasses.replace(PROTOCOL, captions="capitalized_and", subsets=("a",))


def rows(**fields):
    """Three rows: two captions, one caption, none."""
    made = {
        "query_id": ["q0", "q1", "q2"],
        "reference_id": ["p1", "p0", "p3"],
        "target_ids": [["p2"], ["p4"], ["p0"]],
        "target_class": [""] * 3,
        "has_target": [True] * 3,
        "category": [""] * 3,
        "captions": [["dark hair", "her"], ["red"], []],
        "text": ["dark hair and her", "red", ""],
    }
    return made | fields


@pytest.fixture
def prepared(monkeypatch):
    """What is read from the disk, by what is opened: {"rows": …, "reads": galleries that were read}."""
    found = {"rows": {"a_index": rows(), "b_index": rows(target_ids=[["p0"], ["p1"], ["p1"]])}, "reads": []}

    def read_gallery(name, split):
        found["reads"].append((name, split))
        first = {"people": 0, "drawings": 2}[split] + (5 if name == "b_gallery" else 0)
        files = [tiny_run.file_of(tiny_run.picture(first + number)) for number in range(5)]
        return source.Gallery([f"p{number}" for number in range(5)], np.array(files, object), [""] * 5)

    monkeypatch.setattr(source, "open_builder", lambda dataset, name, data_dir="": name)
    monkeypatch.setattr(source, "read_rows", lambda name, split: found["rows"][name])
    monkeypatch.setattr(source, "read_gallery", read_gallery)
    monkeypatch.setattr(source, "gaps", lambda name: {"missing": 1, "bad": 0})
    return found


@pytest.fixture
def run(tmp_path):
    config, model = tiny_run.make_run(tmp_path)
    config.eval_batch_size = 2
    return config, model


def read(protocol, config, **options):
    made, texts, query_T = evaluate.read_queries(config, protocol, "a", **options)
    assert {len(values) for values in made.values()} == {len(set(query_T))}
    return made, texts, query_T.tolist()


def test_every_text_of_a_row_is_a_query_of_its_own(prepared, run):
    made, texts, query_T = read(PROTOCOL, run[0])
    assert texts == ["dark hair and her", "her and dark hair", "red", ""]
    assert made["query_id"] == ["q0/0", "q0/1", "q1/0", "q2/0"]
    assert made["text"] == texts
    assert made["target_ids"] == [["p2"], ["p2"], ["p4"], ["p0"]]
    assert np.asarray(made["row"]).tolist() == [0, 0, 1, 2]
    assert query_T == [0, 1, 2, 3]


def test_several_texts_are_one_query_where_they_are_averaged(prepared, run):
    made, texts, query_T = read(AVERAGED, run[0])
    assert texts == ["dark hair and her", "her and dark hair", "red", ""]
    assert made["query_id"] == ["q0", "q1", "q2"]
    assert made["text"] == ["dark hair and her / her and dark hair", "red", ""]
    assert np.asarray(made["row"]).tolist() == [0, 1, 2]
    assert query_T == [0, 0, 1, 2]


def test_one_text_a_row_leaves_the_names(prepared, run):
    made, texts, query_T = read(JOINED, run[0])
    assert texts == made["text"] == ["Dark hair and her", "Red", ""]
    assert made["query_id"] == ["q0", "q1", "q2"]
    assert query_T == np.asarray(made["row"]).tolist() == [0, 1, 2]


def test_rows_that_cannot_be_scored_are_refused(prepared, run):
    prepared["rows"]["a_index"] = rows(has_target=[True, False, True])
    with pytest.raises(ValueError, match=r"1 rows of validation whose are hidden"):
        read(JOINED, run[0])
    assert len(read(JOINED, run[0], hidden=True)[1]) == 3
    prepared["rows"]["a_index"] = rows()
    with pytest.raises(ValueError, match=r"training only.*'random_order_or_single'"):
        read(dataclasses.replace(JOINED, captions="random_order_or_single"), run[0])
    prepared["rows"]["a_index"] = {key: [] for key in rows()}
    with pytest.raises(ValueError, match=r"must be queries.*validation without rows"):
        read(JOINED, run[0])


def pixels(model, config, *numbers):
    files = [tiny_run.file_of(tiny_run.picture(number)) for number in numbers]
    pictures = Pictures(np.array(files, object), model.image_encoder.image_size, config.fit)
    return pictures.take(np.arange(len(numbers)))


def test_vectors_are_the_models_own(prepared, run):
    """Subset b has the pictures 5 to 9; references 1, 1, 0, 3 of them."""
    config, model = run
    part = evaluate.Scorer(config, model).part(PROTOCOL, "b")
    ids = model.text_encoder.tokenizer.tokenize(["dark hair and her", "her and dark hair", "red", ""])
    query_QD = model.query_vectors(pixels(model, config, 6, 6, 5, 8), ids)
    np.testing.assert_allclose(part.query_vectors["model"], query_QD, atol=1e-5)
    np.testing.assert_allclose(
        part.gallery_vectors_ND, model.gallery_vectors(pixels(model, config, *range(5, 10))), atol=1e-5
    )
    assert set(part.query_vectors) > {"model"}
    assert part.gaps == {"missing": 1, "bad": 0}


def test_averaged_queries_are_the_normalised_mean_of_unit_vectors(prepared, run):
    scorer = evaluate.Scorer(*run)
    each = scorer.part(dataclasses.replace(PROTOCOL, captions="both_orders"), "a").query_vectors["model"]
    mean = scorer.part(AVERAGED, "a").query_vectors["model"]
    unit = each / np.linalg.norm(each, axis=1, keepdims=True)
    expected = np.stack([unit[0] + unit[1], unit[2], unit[3]])
    np.testing.assert_allclose(mean, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert np.abs(mean[0] - unit[0]).max() > 1e-4, "the two orders are to differ"


def test_mean_directions_by_hand():
    """(3, 0) and (0, 1) point to (1, 1); lengths count for nothing. (0, -2) stays alone."""
    found = evaluate.mean_directions(np.array([[3, 0], [0, 1], [0, -2]], np.float32), np.array([0, 0, 1]))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0, -1]], rtol=1e-6)


def test_references_come_from_their_own_gallery(prepared, run):
    """The drawings are the pictures 2 to 6: the reference p1 is picture 3."""
    config, model = run
    protocol = dataclasses.replace(JOINED, reference_gallery="drawings")
    part = evaluate.Scorer(config, model).part(protocol, "a")
    ids = model.text_encoder.tokenizer.tokenize(["Dark hair and her", "Red", ""])
    expected = model.query_vectors(pixels(model, config, 3, 2, 5), ids)
    np.testing.assert_allclose(part.query_vectors["model"], expected, atol=1e-5)


def test_a_gallery_is_read_and_encoded_once_for_all_protocols(prepared, run, monkeypatch):
    config, model = run
    scorer, labels, in_batches = evaluate.Scorer(config, model), [], evaluate.in_batches
    monkeypatch.setattr(
        evaluate, "in_batches", lambda function, *rest: labels.append(rest[-1]) or in_batches(function, *rest)
    )
    results = [scorer.result(protocol) for protocol in (PROTOCOL, AVERAGED)]
    assert labels.count("gallery") == 2
    assert sorted(prepared["reads"]) == [("a_gallery", "people"), ("b_gallery", "people")]
    assert [result.metrics["model"]["overall"]["R@1"].n for result in results] == [8, 6]
    assert results[0].queries["subset"] == ["a"] * 4 + ["b"] * 4
    assert results[0].data["a"]["missing"] == 1


def test_the_reference_that_is_no_target_is_removed(prepared, run):
    result = evaluate.Scorer(*run).result(JOINED)
    for reference, ranked in zip(result.queries["reference_id"], result.queries["ranked_ids"], strict=True):
        assert sorted([*ranked, reference]) == ["p0", "p1", "p2", "p3", "p4"]


def test_data_that_a_protocol_lacks_is_named_before_anything_is_trained(run, monkeypatch):
    config, _ = run
    config.evals = ("own_images_test", "own_images_validation")
    opened = []

    class Info:
        full_name = "own_images/own_index"
        splits = {"train": 1, "test": 2, "pictures": 3}

    def open_builder(dataset, name, data_dir):
        opened.append((dataset, name))
        return types.SimpleNamespace(info=Info)

    monkeypatch.setattr(source, "open_builder", open_builder)
    with pytest.raises(UserError, match=r"no split 'validation'; it has train, test.*than own_images_validation"):
        evaluate.check_data(config)
    assert set(opened) == {("own_images", "own_index"), ("own_images", "own_gallery")}
    config.evals = ("own_images_test",)
    evaluate.check_data(config)


def test_what_is_scored_stays_where_a_later_protocol_fails(prepared, run, tmp_path, monkeypatch):
    config, model = run
    named = {"toy": PROTOCOL, "broken": dataclasses.replace(PROTOCOL, captions="random_order_or_single")}
    monkeypatch.setattr(evaluate, "find_protocol", named.__getitem__)
    with pytest.raises(UserError, match="broken cannot be scored"):
        evaluate.evaluate_run(config, model, tmp_path, ["toy", "broken"])
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"toy"}


def test_zero_vectors_have_no_direction():
    found = evaluate.mean_directions(np.array([[0, 0], [0, 2]], np.float32), np.array([0, 1]))
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])


def test_results_of_the_same_weights_stay_and_others_go(prepared, run, tmp_path, monkeypatch, capsys):
    config, model = run
    config.evals = ("toy",)
    named = {name: dataclasses.replace(PROTOCOL, name=name) for name in ("toy", "more")}
    monkeypatch.setattr(evaluate, "find_protocol", named.__getitem__)
    found = evaluate.evaluate_run(config, model, tmp_path, ["more"])
    assert list(found) == ["more"]
    assert set(evaluate.evaluate_run(config, model, tmp_path)) == {"more", "toy"}
    model.trainable_variables[0].assign_add(np.ones_like(model.trainable_variables[0]))
    assert set(evaluate.evaluate_run(config, model, tmp_path)) == {"toy"}
    (tmp_path / "results.json").write_text('{"toy": ')
    assert set(evaluate.evaluate_run(config, model, tmp_path)) == {"toy"}
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"toy"}
