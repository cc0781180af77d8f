"""Files for test servers, from a toy copy and a run to the bytes; and what is refused."""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cir_tf import assemble, evaluate, submit
from cir_tf.errors import UserError
from cir_tf.evaluation import submissions
from cir_tf.evaluation.result import MODEL
from tests.conftest import run_module
from tests.datasets_tfds.circo import toy as circo
from tests.datasets_tfds.cirr import toy as cirr

MORE_NAMES = [f"{split}-{100 + i}-0-img0" for split in ("dev", "test1") for i in range(48)]
MORE_IDS = range(1000, 1052)


def write_cirr(root):
    """The toy copy with 48 more pictures in validation and test, so that 50 can be named; two test queries."""
    cirr.write(root)
    listed = {name: f"./{name.split('-')[0]}/{name}.png" for name in MORE_NAMES}
    values = cirr.files()
    for official in ("val", "test1"):
        wanted = {"val": "dev"}.get(official, official)
        values[f"image_splits/split.rc2.{official}.json"] |= {
            name: path for name, path in listed.items() if name.startswith(wanted)
        }
    others = {"id": 6, "members": ["test1-0-2-img1", *MORE_NAMES[-5:]]}
    for file in ("captions/cap.rc2.test1.json", "captions_ext/cap.ext.rc2.test1.json"):
        row = {"pairid": 9, "reference": "test1-0-2-img1", "caption": "red", "img_set": others}
        values[file].append(values[file][0] | row)
    cirr.write_annotations(root / "cirr", values)
    for number, path in enumerate(listed.values()):
        Image.new("RGB", (9 + number % 7, 8), (number, 255 - 3 * number % 250, 90)).save(root / path)


def write_circo(root):
    circo.write(root)
    values = circo.files()
    values[circo.annotations.LIST] = circo.image_list((*circo.IDS, *MORE_IDS))
    circo.write_annotations(root, values)
    for number in MORE_IDS:
        Image.new("RGB", (8, 9 + number % 5), (number % 250, 7, number % 90)).save(circo.picture_path(root, number))


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A TFDS folder with the prepared toy copies."""
    folder = tmp_path_factory.mktemp("submit")
    for dataset, subset, write in (("cirr", "rc2", write_cirr), ("circo", "coco2017_unlabeled", write_circo)):
        copy = folder / dataset
        copy.mkdir()
        write(copy)
        options = [f"--config={subset}_{view}" for view in ("index", "gallery")]
        done = run_module("datasets_tfds.build", dataset, f"--manual_dir={copy}", *options, data_dir=folder / "tfds")
        assert done.returncode == 0, done.stderr
    return folder / "tfds"


@pytest.fixture(scope="module")
def run(trained_run):
    return assemble.trained(trained_run[0])


@pytest.fixture(autouse=True)
def prepared(monkeypatch, request):
    if "toys" in request.fixturenames:
        monkeypatch.setenv("TFDS_DATA_DIR", str(request.getfixturevalue("toys")))


def write(run, name, folder, **options):
    return submit.submit_run(*run, submissions.get(name), folder, **{"incomplete": True} | options)


def order(run, protocol):
    """For each query the whole gallery in order, by a plain sort of float64 products."""
    part = evaluate.Scorer(*run).part(protocol, protocol.subsets[0], hidden=True)
    score_QN = (part.query_vectors[MODEL].astype(np.float64) @ part.gallery_vectors_ND.astype(np.float64).T).astype(
        "f4"
    )
    ids = np.array(part.gallery["ids"])
    return part.rows, [ids[np.argsort(-score_N, kind="stable")].tolist() for score_N in score_QN]


def test_command_writes_both_files_of_cirr(trained_run, toys, tmp_path):
    workdir = trained_run[0]
    before = sorted(path.name for path in workdir.iterdir())
    arguments = ("cirr_test", f"--workdir={workdir}", f"--to={tmp_path / 'new' / 'files'}")
    done = run_module("cir_tf.submit", *arguments, "--incomplete", data_dir=toys)
    assert done.returncode == 0, done.stderr
    assert "warning: the prepared cirr/rc2_index has 2 queries in test, and 4,148 are published" in done.stderr
    assert "gallery test; reference removed" in done.stdout and "https://cirr.cecs.anu.edu.au" in done.stdout
    files = sorted((tmp_path / "new" / "files").iterdir())
    assert [path.name for path in files] == ["cirr_test_recall.json", "cirr_test_recall_subset.json"]
    assert sorted(path.name for path in workdir.iterdir()) == before
    for path in files:
        data = path.read_bytes()
        says = f"{path}: 2 queries, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"
        assert says.replace(f"{len(data)} b", f"{len(data):,} b") in done.stdout
        assert b"\n" not in data


def test_files_of_cirr_are_the_plain_ranking_without_the_reference(run, toys, tmp_path):
    recall, subset = (json.loads(path.read_text()) for path in write(run, "cirr_test", tmp_path))
    assert list(recall.items())[:2] == [("version", "rc2"), ("metric", "recall")]
    assert list(subset.items())[:2] == [("version", "rc2"), ("metric", "recall_subset")]
    rows, orders = order(run, submissions.get("cirr_test").protocol)
    assert rows["query_id"] == ["27098", "9"] == list(recall)[2:] == list(subset)[2:]
    assert rows["text"][0] == "", "the query without a text is answered too"
    for query, reference, members, ids in zip(
        rows["query_id"], rows["reference_id"], rows["group_ids"], orders, strict=True
    ):
        others = [name for name in ids if name != reference]
        assert len(ids) == 54 and recall[query] == others[:50]
        assert subset[query] == [name for name in others if name in members][:3]
    assert subset["9"] != recall["9"][:3], "the toy copy must tell the two files apart"


@pytest.mark.parametrize(("name", "queries"), [("circo_test", "012"), ("circo_validation_concept", "01")])
def test_file_of_circo_has_numbers_and_keeps_the_reference(run, toys, tmp_path, name, queries):
    (path,) = write(run, name, tmp_path)
    found = json.loads(path.read_text())
    rows, orders = order(run, submissions.get(name).protocol)
    assert list(found) == rows["query_id"] == list(queries)
    assert [list(map(str, ids)) for ids in found.values()] == [ids[:50] for ids in orders]
    assert path.name == f"{name}.json"


def test_what_is_written_is_checked_and_scored_as_the_evaluation_does(run, toys, tmp_path, capsys):
    for name in ("cirr_validation", "circo_validation"):
        made = submissions.get(name)
        result = evaluate.Scorer(*run).result(made.protocol).metrics[MODEL]["overall"]
        found = {}
        for path in write(run, name, tmp_path):
            found |= submit.check_file(made, path)
        assert {metric: estimate.value for metric, estimate in found.items()} == {
            metric: pytest.approx(result[metric].value) for metric in made.protocol.metrics
        }
    printed = capsys.readouterr().out
    assert "keeps the rules of circo_validation (circo_validation.json)" in printed
    assert re.search(r"^mAP@10 +\d+\.\d{4} % \[", printed, re.MULTILINE)


def test_hidden_targets_are_checked_and_not_scored(run, toys, tmp_path, capsys):
    (path,) = write(run, "circo_test", tmp_path)
    assert submit.check_file(submissions.get("circo_test"), path) == {}
    assert "mAP" not in capsys.readouterr().out.split("keeps the rules")[1]
    value = json.loads(path.read_text())
    kept, value["1"] = value["1"], [str(number) for number in value["1"]]
    (tmp_path / "strings.json").write_text(json.dumps(value))
    assert submit.check_file(submissions.get("circo_test"), tmp_path / "strings.json") == {}
    value["1"] = [f"number {number}" for number in kept]
    (tmp_path / "strings.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"strings.json breaks the rules of circo_test: .*not integers: 1 \(1\)$"):
        submit.check_file(submissions.get("circo_test"), tmp_path / "strings.json")
    value["1"] = [*value["0"][:49], 999_999]
    (tmp_path / "far.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"not in the gallery: 1 \(1\)$"):
        submit.check_file(submissions.get("circo_test"), tmp_path / "far.json")


def test_data_that_lack_queries_are_refused_before_anything_is_encoded(run, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "Scorer", None)
    with pytest.raises(UserError, match=r"3 queries in test, and 800 are published.*--incomplete$") as error:
        write(run, "circo_test", tmp_path, incomplete=False)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_file_that_would_break_a_rule_is_not_written(run, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "ranked", lambda made, upload, part: [["test1-2-2-img1"] * upload.keep] * 2)
    with pytest.raises(UserError, match=r"^cirr_test cannot be made, nothing is written: queries that name an id"):
        write(run, "cirr_test", tmp_path)
    assert not list(tmp_path.iterdir())


def test_model_of_broken_weights_is_refused(run, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.Scorer, "_gallery_vectors", lambda *place: np.full((54, 16), np.nan, np.float32))
    with pytest.raises(UserError, match="vectors that are not finite"):
        write(run, "cirr_test", tmp_path)
    assert not list(tmp_path.iterdir())


def test_gaps_of_the_copy_are_told(capsys):
    submit.complain(submit._gaps({"missing": 2, "bad": 1}))
    assert capsys.readouterr().err == "warning: the copy lacks 2 pictures and has 1 broken ones: they cannot be found\n"
    assert submit._gaps({}) == submit._gaps({"missing": 0, "bad": 0, "stamp": "a1"}) == []


def test_mistakes_are_told_in_one_line(trained_run, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
    workdir = trained_run[0]
    (tmp_path / "file").write_text("{}")
    for arguments, message in [
        (["cirr_tests", "--workdir=x"], "Choose from: .*circo_test, .*cirr_test"),
        (["cirr_test"], "give --workdir=RUN"),
        (["cirr_test", f"--workdir={tmp_path}"], "holds no run"),
        (["cirr_test", f"--workdir={workdir}", f"--to={tmp_path / 'file'}"], "is not a folder"),
        (["cirr_test", f"--workdir={workdir}"], "cirr_test needs prepared data: cirr/rc2_index is not prepared in"),
        (["circo_test", f"--check={tmp_path / 'file'}"], "datasets_tfds.build circo --config=coco2017_unlabeled_index"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            submit.main(arguments)
        assert "\n" not in str(error.value)
    assert not (workdir / "submissions").exists()


def test_command_ends_with_one_line_and_two(tmp_path, toys):
    done = run_module("cir_tf.submit", "circo_validation", f"--check={tmp_path / 'none.json'}", data_dir=toys)
    assert done.returncode == 2 and not done.stdout
    assert re.fullmatch(r"warning: .*220 are published.*\nerror: .*none\.json.*\n", done.stderr)


def test_example_of_circo_is_scored_without_a_gallery(tmp_path, capsys, monkeypatch):
    if "CIR_TF_ANNOTATIONS" not in os.environ:
        pytest.skip("CIR_TF_ANNOTATIONS is not set to a folder with the real annotations and example files")
    published = Path(os.environ["CIR_TF_ANNOTATIONS"]) / "circo"
    values = {
        f"annotations/{n}.json": json.loads((published / f"annotations/{n}.json").read_text()) for n in circo.ROWS
    }
    ids = {row["reference_img_id"] for rows in values.values() for row in rows}
    ids |= {name for row in values["annotations/val.json"] for name in row["gt_img_ids"]}
    circo.write_annotations(tmp_path / "copy", values | {circo.annotations.LIST: circo.image_list(sorted(ids))})
    options = ("--config=coco2017_unlabeled_index", f"--manual_dir={tmp_path / 'copy'}")
    assert run_module("datasets_tfds.build", "circo", *options, data_dir=tmp_path / "tfds").returncode == 0
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    example = published / "submission_examples/submission_val.json"
    assert submit.main(["circo_validation", f"--check={example}"]) == 0
    printed = capsys.readouterr()
    figures = re.findall(r"^(\S+@\d+) +(\d\.\d{4}) %", printed.out, re.MULTILINE)
    assert dict(figures[:4]) == {"mAP@5": "0.4861", "mAP@10": "0.5178", "mAP@25": "0.5400", "mAP@50": "0.6020"}
    assert "warning: the gallery is not prepared" in printed.err and "published" not in printed.err
