"""The page of a run: what stands on it, what must not, and what happens to bad input."""

import base64
import copy
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cir_tf import config as configs
from cir_tf import report
from cir_tf.data import source
from cir_tf.errors import UserError
from tests.conftest import run_module

EVIL = '"><script>alert(1)</script>'
NAMES = [f"picture {k}" for k in range(14)]
BIG = NAMES[5]


def _encoded(name):
    rng = np.random.default_rng(NAMES.index(name))
    shape = (900, 1400, 3) if name == BIG else (20, 20, 3)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(file, "PNG")
    return file.getvalue()


def _estimates(*values):
    return {
        f"recall_at_{k}": {"value": value, "low": value - 0.0123, "high": value + 0.0236, "n": 37}
        for k, value in zip((1, 5), values, strict=True)
    }


def _result(name="fruit_test", gallery="all"):
    """A result of three queries: found at rank 2, lost at rank 13, and one without any right answer."""
    ranked = [NAMES[1:10], NAMES[4:], NAMES[:9]]
    return {
        "protocol": {
            "name": name,
            "dataset": "fruit",
            "subset": "small",
            "split": "test",
            "gallery": gallery,
            "reference_gallery": gallery,
            "exclude_reference": True,
        },
        "describe": f"{name}: everything that matters",
        "seed": 3,
        "version": "9.8.7",
        "data": {"queries": 3, "gallery": 14, "queries_sha256": "aaa111", "gallery_sha256": "bbb222"},
        "index": {"kind": "slow", "is_exact": False, "recall": 0.987},
        "metrics": {
            "model": {"overall": _estimates(0.4321, 0.8765), "groups": {"ripe": _estimates(0.1234, 0.5678)}},
            "text only": {"overall": _estimates(0.0246, 0.1357), "groups": {}},
        },
        "queries": {
            "query_id": ["a", "b", "c"],
            "reference_id": [NAMES[0], NAMES[3], NAMES[10]],
            "text": ["more & redder", EVIL, "the same"],
            "category": ["ripe", "green", "green"],
            "target_ids": [[NAMES[2], NAMES[13]], [NAMES[0]], [NAMES[10]]],
            "ranked_ids": ranked,
            "rank": [2, 13, 0],
        },
    }


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A work folder with a scored run; its dataset is made up."""
    workdir = tmp_path / "my_run"
    configs.save(configs.base(dataset="fruit", subset="small", data_dir="/secret/place"), workdir)
    _write(workdir, {"fruit_test": _result()})
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in ((10, 4.5), (20, 1.25), (40, 0.625))]
    (workdir / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 50, "lo']))
    monkeypatch.setattr(source, "open_builder", lambda dataset, config, data_dir: (dataset, config))
    monkeypatch.setattr(source, "read_gallery", _read_gallery)
    return workdir


def _read_gallery(builder, split):
    assert builder == ("fruit", "small_gallery")
    names = NAMES[: {"all": 14, "half": 7}[split]]
    return source.Gallery(names, np.array([_encoded(name) for name in names], object), [""] * len(names))


def _write(workdir, results):
    (workdir / "results.json").write_text(json.dumps(results))


def _html(workdir, **arguments):
    return report.report_run(workdir, **arguments).read_text()


class _Tags(HTMLParser):
    """Collects every (tag, attributes) of a page."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def _tags(html, name):
    return [attributes for tag, attributes in _Tags(html).found if tag == name]


def test_text_of_the_data_is_escaped(run):
    result = _result(name=EVIL)
    result["queries"]["category"][0] = EVIL
    result["metrics"][EVIL] = result["metrics"].pop("text only")
    _write(run, {EVIL: result})
    html = _html(run)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 5  # name, describe, text, category, row
    assert "more &amp; redder" in html


def test_page_asks_nothing_of_others_and_runs_nothing(run):
    html = _html(run)
    assert not _tags(html, "script") and not _tags(html, "link") and not _tags(html, "iframe")
    assert "http://" not in html and "https://" not in html and "@import" not in html
    addresses = [a[key] for _, a in _Tags(html).found for key in ("src", "href") if key in a]
    assert addresses == ["#s1"]
    assert all(address.startswith("data:image/") for address in re.findall(r'url\("?([^")]*)', html))
    assert not [key for _, attributes in _Tags(html).found for key in attributes if key.startswith("on")]


def test_each_picture_is_embedded_once(run):
    second = _result("other_test", gallery="half")  # the same pictures in another gallery
    second["queries"] = {key: values[:1] for key, values in second["queries"].items()}
    second["queries"]["ranked_ids"], second["queries"]["target_ids"] = [NAMES[:7]], [[NAMES[2]]]
    _write(run, {"fruit_test": _result(), "other_test": second})
    html = _html(run)
    uris = re.findall(r'url\("(data:[^"]*)"\)', html)
    assert len(uris) == len(set(uris)) == 12
    css = dict(re.findall(r'\.(p\d+) \{ background-image: url\("([^"]*)"', html))
    shown = [attributes for attributes in _tags(html, "div") if attributes.get("role") == "img"]
    assert len(shown) > 2 * len(uris)
    for attributes in shown:
        if attributes["title"] != BIG:
            expected = base64.b64encode(_encoded(attributes["title"])).decode()
            assert css[attributes["class"].split()[1]] == f"data:image/png;base64,{expected}"


def test_large_pictures_become_small(run):
    assert len(_encoded(BIG)) > 3_000_000
    html = _html(run)
    assert len(html) < 100_000
    jpeg = re.findall(r"data:image/jpeg;base64,([^\"]*)", html)
    assert len(jpeg) == 1
    assert Image.open(io.BytesIO(base64.b64decode(jpeg[0]))).size == (144, 93)


def test_only_targets_are_framed(run):
    html = _html(run, examples=3)
    first = html[html.index("more &amp; redder") : html.index("</article>", html.index("more &amp; redder"))]
    framed = re.findall(r'class="pic p\d+ target" role="img" aria-label="([^"]*)"', first)
    assert framed == [NAMES[2], NAMES[2]]  # beside the text, and in the results
    assert re.findall(r'<li class="hit">.*?<span>(\d+)', first, re.S) == ["2"]
    assert "target, 1 of 2" in first


def test_sample_says_rank_category_and_size_of_the_gallery(run):
    html = _html(run)
    assert "target at rank 2 of 13" in html and "target at rank 13 of 13" in html
    assert "only the reference itself would be right" in html
    assert html.count('<span class="tag">green</span>') == 3  # two samples, one of them again as a failure


def test_failures_start_with_the_lowest_target(run):
    result = _result()
    result["queries"]["rank"] = [2, 13, 1]
    _write(run, {"fruit_test": result})
    html = _html(run, examples=4)
    failures = html[html.index("worst failures") :]
    assert re.findall(r"target at rank (\d+)", failures) == ["13", "2"]


def test_numbers_are_those_of_the_results(run):
    html = _html(run)
    table = html[html.index("<tbody>") : html.index("</tbody>")]
    rows = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert rows == ["model", "text only", "model, ripe"]
    figures = re.findall(r"<td><b>([\d.]+)</b><small>([\d.]+)–([\d.]+)</small>", table)
    assert figures == [
        ("43.2", "42.0", "45.6"),
        ("87.6", "86.4", "90.0"),
        ("2.5", "1.2", "4.8"),
        ("13.6", "12.3", "15.9"),
        ("12.3", "11.1", "14.7"),
        ("56.8", "55.5", "59.1"),
    ]
    assert re.findall(r"--value:([\d.]+)%", table)[:2] == ["43.21", "87.65"]
    for stamp in ("3 (aaa111)", "14 (bbb222)", "slow, recall@10 98.7 %", "9.8.7", "everything that matters"):
        assert stamp in html


def test_every_protocol_has_its_section(run):
    second = _result("other_test")
    second["metrics"]["model"]["overall"]["recall_at_1"]["value"] = 0.9119
    _write(run, {"fruit_test": _result(), "other_test": second})
    html = _html(run, examples=3)
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["fruit_test", "other_test"]
    assert re.findall(r"<strong>([\d.]+) %", html) == ["43.2", "91.2"]
    assert "<summary>3 sample queries" in html and "<summary>1 sample queries" in html


def test_curve_skips_a_line_cut_off_by_a_kill(run):
    found = report.curve(run)
    assert found["last_step"] == 40 and found["last_loss"] == 0.625
    assert [label for label, _ in found["y_ticks"]] == ["0", "2", "4", "6"]
    assert found["points"] == "25.00,25.00 50.00,79.17 100.00,89.58"


def test_curve_of_a_long_run_is_thinned(run):
    lines = [json.dumps({"step": step, "loss": 7.0}) for step in range(10_000)] + ['{"step": 10000, "loss": NaN}']
    (run / "metrics.jsonl").write_text("\n".join(lines))
    assert len(report.curve(run)["points"].split()) == report.CURVE_POINTS


def test_run_without_a_log_still_has_a_page(run):
    (run / "metrics.jsonl").unlink()
    assert "No training was logged" in _html(run)


def test_samples_come_evenly_from_the_categories():
    category_Q = np.array(["rare"] * 2 + ["often"] * 50 + ["some"] * 7)
    rows = report.draw(category_Q, 11)
    assert len(set(rows.tolist())) == 11
    assert sorted(category_Q[rows].tolist()) == ["often"] * 5 + ["rare"] * 2 + ["some"] * 4
    np.testing.assert_array_equal(rows, report.draw(category_Q, 11))
    assert len(report.draw(category_Q, 1000)) == 59


def test_page_does_not_tell_where_the_data_lay(run):
    assert "/secret" not in _html(run)


def test_no_examples_gives_the_tables_alone(run):
    html = _html(run, examples=0)
    assert "sample queries" not in html and "data:image" not in html.split("</style>")[1]


def test_page_goes_where_it_is_told(run, tmp_path):
    path = report.report_run(run, tmp_path / "new" / "page.html")
    assert path.read_text().startswith("<!doctype html>")
    assert not (run / "report.html").exists()


def test_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        report.report_run(tmp_path)


def test_run_without_results_is_told(run):
    (run / "results.json").unlink()
    with pytest.raises(UserError, match=r"no results\.json yet; score the run with python -m cir_tf\.evaluate"):
        report.report_run(run)


@pytest.mark.parametrize("text", ["", '{"fruit_test": {"protocol"', "[]", "{}", '{"fruit_test": {"seed": 1}}'])
def test_broken_results_are_told_and_leave_nothing(run, text):
    (run / "results.json").write_text(text)
    with pytest.raises(UserError, match=r"results\.json .*; score the run with"):
        report.report_run(run)
    assert not (run / "report.html").exists()


def test_results_of_other_data_are_told(run):
    result = copy.deepcopy(_result())
    result["queries"]["reference_id"][1] = "gone"
    _write(run, {"fruit_test": result})
    with pytest.raises(UserError, match="has no picture 'gone'"):
        report.report_run(run)


def test_unwritable_place_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        report.report_run(run, tmp_path / "file" / "page.html")
    with pytest.raises(UserError, match="cannot write"):
        report.report_run(run, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "my_run"]


def test_negative_number_of_examples_is_told(run):
    with pytest.raises(UserError, match="must be 0 or more"):
        report.report_run(run, examples=-1)


def test_command_ends_with_2_and_one_line(tmp_path):
    done = run_module("cir_tf.report", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in done.stderr


def test_command_writes_the_page_of_a_real_run(trained_run, data_dir):
    workdir, _ = trained_run
    done = run_module("cir_tf.report", f"--workdir={workdir}", "--examples=6", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    html = (workdir / "report.html").read_text()
    value = next(iter(json.loads((workdir / "results.json").read_text()).values()))["metrics"]["model"]["overall"]
    assert f"<b>{100 * value['recall_at_50']['value']:.1f}</b>" in html
    assert html.count("<article") == 9
    assert len(html) < 1_000_000
