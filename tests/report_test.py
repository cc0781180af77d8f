"""The page of a run: what stands on it, what must not, and what happens to bad input."""

import base64
import copy
import hashlib
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
NAMES_OF = {}  # other names of pictures, in the gallery


def _encoded(name):
    rng = np.random.default_rng(NAMES.index(name))
    pixels = rng.integers(0, 256, (900, 1400, 3)) if name == BIG else np.full((20, 20, 3), _shade(name))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _shade(name):
    return 10 + 17 * NAMES.index(name)


def _estimates(*values):
    return {
        f"R@{k}": {"value": value, "low": value - 0.0123, "high": value + 0.0236, "n": 37}
        for k, value in zip((1, 5), values, strict=True)
    }


def _result(name="fruit_test", gallery="all"):
    """A result of three queries: found at rank 2, lost at rank 13, and one without any right answer."""
    return {
        "format": 2,
        "protocol": {
            "name": name,
            "dataset": "fruit",
            "subsets": ["small"],
            "split": "test",
            "gallery": gallery,
            "reference_gallery": gallery,
            "exclude_reference": True,
            "hit": "ids",
        },
        "describe": f"{name}: everything that matters",
        "seed": 3,
        "version": "9.8.7",
        "data": {"small": {"queries": 3, "gallery": 14, "queries_sha256": "aaa111", "gallery_sha256": "bbb222"}},
        "weights": "ccc333",
        "versions": {"keras": "3.1.4"},
        "metrics": {
            "model": {"overall": _estimates(0.4321, 0.8765), "groups": {"ripe": _estimates(0.1234, 0.5678)}},
            "text only": {"overall": _estimates(0.0246, 0.1357), "groups": {}},
        },
        "queries": {
            "query_id": ["a", "b", "c"],
            "reference_id": [NAMES[0], NAMES[3], NAMES[10]],
            "text": ["more & redder", EVIL, "the same"],
            "category": ["ripe", "green", "green"],
            "subset": ["small"] * 3,
            "row": [0, 1, 2],
            "groups": [["ripe"], ["green"], ["green"]],
            "target_ids": [[NAMES[2], NAMES[13]], [NAMES[0]], [NAMES[10]]],
            "ranked_ids": [NAMES[1:10], NAMES[4:], NAMES[:9]],
            "rank": [2, 13, 0],
            "reference_rank": [0, 0, 0],
            "values": {"R@1": [0, 0, 0], "R@5": [1, 0, 0]},
            "best_of": {"image only": [NAMES[1], NAMES[9], NAMES[0]], "text only": [NAMES[9]] * 3},
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
    encoded_N = np.array([_encoded(name) for name in names], object)
    return source.Gallery([NAMES_OF.get(name, name) for name in names], encoded_N, [""] * len(names))


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


def _cards(html):
    return re.findall(r"<article.*?</article>", html, re.S)


def test_text_of_the_data_is_escaped(run):
    result = _result(name=EVIL)
    queries = result["queries"]
    queries["query_id"][0] = queries["category"][0] = queries["target_ids"][0][1] = EVIL
    result["metrics"][EVIL] = result["metrics"].pop("text only")
    result["metrics"]["model"]["groups"][EVIL] = result["metrics"]["model"]["groups"]["ripe"]
    result["data"]["small"]["queries_sha256"] = EVIL
    _write(run, {EVIL: result})
    html = _html(run)
    assert html.count("<script") == 1
    assert html.count("&lt;script&gt;alert(1)") >= 12
    assert "more &amp; redder" in html


def test_picture_with_an_evil_name_is_escaped(run, monkeypatch):
    monkeypatch.setitem(NAMES_OF, NAMES[1], EVIL)
    result = _result()
    ranked = result["queries"]["ranked_ids"]
    result["queries"]["ranked_ids"] = [[NAMES_OF.get(name, name) for name in names] for names in ranked]
    _write(run, {"fruit_test": result})
    html = _html(run)
    assert html.count("<script") == 1
    assert [attributes for attributes in _tags(html, "i") if attributes.get("title") == EVIL]


def test_page_asks_nothing_of_others(run):
    html = _html(run)
    assert not _tags(html, "link") and not _tags(html, "iframe") and not _tags(html, "img")
    assert "http://" not in html and "https://" not in html and "@import" not in html
    addresses = [a[key] for _, a in _Tags(html).found for key in ("src", "href") if key in a]
    assert addresses == ["#s1"]
    assert all(address.startswith("data:image/") for address in re.findall(r'url\("?([^")]*)', html))
    assert not [key for _, attributes in _Tags(html).found for key in attributes if key.startswith("on")]


def test_page_lets_only_its_own_script_run(run):
    html = _html(run)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] for a in _tags(html, "meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none';" in policy
    assert policy.count("script-src") == 1 and "unsafe-eval" not in policy


def test_each_picture_is_embedded_once(run):
    second = _result("other_test", gallery="half")  # the same pictures in another gallery
    second["queries"] = {key: values[:1] for key, values in second["queries"].items() if isinstance(values, list)}
    second["queries"] |= {"values": {"R@1": [0], "R@5": [1]}, "best_of": {"image only": [NAMES[1]]}}
    second["queries"]["ranked_ids"], second["queries"]["target_ids"] = [NAMES[:7]], [[NAMES[2]]]
    _write(run, {"fruit_test": _result(), "other_test": second})
    html = _html(run)
    css = dict(re.findall(r'\.(p\d+)\{background-image:url\("([^"]*)"', html))
    assert len(css) == len(set(css.values())) == 12
    shown = [attributes for attributes in _tags(html, "i") if attributes.get("role") == "img"]
    assert len(shown) == (2 + 8) * 3 + (2 + 7)
    for attributes in shown:
        if attributes["title"] != BIG:
            file = io.BytesIO(base64.b64decode(css[attributes["class"]].partition(",")[2]))
            np.testing.assert_allclose(np.asarray(Image.open(file)), _shade(attributes["title"]), atol=3)


def test_large_pictures_become_small(run):
    assert len(_encoded(BIG)) > 3_000_000
    assert len(_html(run)) < 60_000


def test_only_targets_are_framed_in_green(run):
    first = _cards(_html(run))[0]
    assert re.findall(r'<figure class=hit><i [^>]*title="([^"]*)"', first) == [NAMES[2]]
    places = re.findall(r"<li(.*?)>", first)
    assert places == ["", " class=hit", *[""] * 6]
    assert "target, 1 of 2" in first


def test_of_a_class_all_that_are_right_are_framed(run):
    """Only some of the class stand among the targets, the removed reference as one of them."""
    result = _result()
    result["queries"] |= {
        "accepted": [70, 1, 1],
        "hits": [[False, True, True, *[False] * 6], [False] * 10, [False] * 9],
    }
    result["queries"]["target_ids"][0] = [NAMES[0], NAMES[13]]
    result["queries"]["hits"][1] = [False] * len(result["queries"]["ranked_ids"][1])
    _write(run, {"fruit_test": result})
    first = _cards(_html(run))[0]
    assert re.findall(r"<li(.*?)>", first)[:4] == ["", " class=hit", " class=hit", ""]
    assert re.findall(r'<figure class=hit><i [^>]*title="([^"]*)"', first) == [NAMES[2]]
    assert "target, 1 of 70" in first
    result["queries"]["hits"][0] = [False] * 9
    _write(run, {"fruit_test": result})
    assert re.findall(r'<figure class=hit><i [^>]*title="([^"]*)"', _cards(_html(run))[0]) == [NAMES[13]]


def test_reference_among_the_results_is_marked(run):
    result = _result()
    result["protocol"]["exclude_reference"] = False
    result["queries"]["reference_id"][0], result["queries"]["reference_rank"][0] = NAMES[1], 1
    _write(run, {"fruit_test": result})
    html = _html(run)
    assert re.findall(r"<li(.*?)>", _cards(html)[0])[:3] == [" class=back", " class=hit", ""]
    assert '<b class="far">reference came back</b>' in _cards(html)[0]
    assert "in amber: the reference" in html


def test_card_says_rank_category_kinds_and_how_it_ended(run):
    first, second, third = _cards(_html(run))
    assert "rank 2 <small>of 13</small>" in first and "rank 13 <small>of 13</small>" in second
    assert '<b class="far">text ignored</b>' in first and "ignored" not in second
    assert '<b class="edit">comparison</b>' in first and '<b class="edit">colour</b>' in first
    assert "only the reference itself would be right" in third and "<b>green</b>" in third
    assert '<p class="id">c</p>' in third


def test_filters_have_what_the_cards_say(run):
    html = _html(run)
    cards = _tags(html, "article")
    assert [card["data-rank"] for card in cards] == ["2", "13", "0"]
    assert [card["data-category"] for card in cards] == ["ripe", "green", "green"]
    assert [card["data-edit"] for card in cards] == ["colour|comparison", "count", "comparison"]
    assert [card["data-outcome"] for card in cards] == ["text ignored", "none of these", ""]
    for name in ("category", "edit", "outcome"):
        choices = html[html.index(f'<select name="{name}"') :]
        values = re.findall(r'<option value="([^"]*)"', choices[: choices.index("</select>")])
        assert values[0] == "" and set(values) >= {v for card in cards for v in card[f"data-{name}"].split("|")}
    assert 'name="subset"' not in html  # there is but one


def test_without_scripts_everything_is_seen(run):
    html = _html(run)
    assert [attributes for attributes in _tags(html, "form") if "hidden" in attributes]
    assert not [attributes for attributes in _tags(html, "article") if "hidden" in attributes]


def test_numbers_are_those_of_the_results(run):
    html = _html(run)
    table = html[html.index("<tbody>") : html.index("</tbody>")]
    rows = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert rows == ["model", "ripe", "text only"]
    figures = re.findall(r"<td><b>([\d.]+)</b><small>([\d.]+)–([\d.]+)</small>", table)
    assert figures == [
        ("43.2", "42.0", "45.6"),
        ("87.6", "86.4", "90.0"),
        ("12.3", "11.1", "14.7"),
        ("56.8", "55.5", "59.1"),
        ("2.5", "1.2", "4.8"),
        ("13.6", "12.3", "15.9"),
    ]
    assert re.findall(r"--value:([\d.]+)%", table)[:2] == ["43.21", "87.65"]
    for stamp in ("3 (aaa111)", "14 (bbb222)", "9.8.7", "ccc333", "3.1.4", "everything that matters"):
        assert stamp in html


def test_every_protocol_has_its_section(run):
    second = _result("other_test")
    second["metrics"]["model"]["overall"]["R@1"]["value"] = 0.9119
    _write(run, {"fruit_test": _result(), "other_test": second})
    html = _html(run)
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["fruit_test", "other_test"]
    assert re.findall(r"<strong>([\d.]+) %", html) == ["43.2", "91.2"]
    assert html.count("<summary>3 queries with their results") == 2


def _long(count):
    """A result of many queries: few of category "rare", texts of 300 letters."""
    result = _result()
    queries = {key: values * count for key, values in result["queries"].items() if isinstance(values, list)}
    queries = {key: values[:count] for key, values in queries.items()}
    queries |= {
        "query_id": [f"q{q}" for q in range(count)],
        "text": [f"{q:0300}" for q in range(count)],
        "category": ["rare" if q % 20 == 7 else "often" for q in range(count)],
        "values": {"R@1": [0] * count, "R@5": [1] * count},
        "best_of": {},
    }
    result["data"]["small"]["queries"] = count
    return result | {"queries": queries}


def test_page_keeps_to_its_size_and_says_what_fits(run):
    _write(run, {"fruit_test": _long(600)})
    path = report.report_run(run, max_mb=0.3)
    assert 290_000 < path.stat().st_size <= 300_000
    html = path.read_text()
    cards = _tags(html, "article")
    assert 100 < len(cards) < 300
    assert f"<summary>{len(cards)} of 600 queries with their results" in html
    assert "As many as fit into a page of 0.3 MB" in html
    assert sum(card["data-category"] == "rare" for card in cards) == 30  # all of them: drawn evenly
    shown = [int(name[1:]) for name in re.findall(r'<p class="id">(.*?)</p>', html)]
    assert shown == sorted(shown)
    assert len(_tags(_html(run, max_mb=3), "article")) == 600


def test_protocols_take_turns(run):
    _write(
        run, {name: _long(count) | {"describe": name} for name, count in (("long", 600), ("short", 40), ("third", 500))}
    )
    html = _html(run, max_mb=0.4)
    first, second, third = map(len, map(_cards, html.split("<h2>")[1:]))
    assert second == 40 < third <= first <= third + 1 < 500
    assert 390_000 < len(html.encode()) <= 400_000


def test_curve_skips_a_line_cut_off_by_a_kill(run):
    found = report.loss_curve(run)
    assert found["last_step"] == 40 and found["last_loss"] == 0.625
    assert [label for label, _ in found["y_ticks"]] == ["0", "2", "4", "6"]
    assert found["points"] == "25.00,25.00 50.00,79.17 100.00,89.58"


def test_curve_of_a_long_run_is_thinned(run):
    lines = [json.dumps({"step": step, "loss": 7.0}) for step in range(10_000)] + ['{"step": 10000, "loss": NaN}']
    (run / "metrics.jsonl").write_text("\n".join(lines))
    assert len(report.loss_curve(run)["points"].split()) == report.LOSS_POINTS


def test_run_without_a_log_still_has_a_page(run):
    (run / "metrics.jsonl").unlink()
    assert "No training was logged" in _html(run)


def test_queries_are_drawn_evenly_from_the_categories():
    category_Q = np.array(["rare"] * 2 + ["often"] * 50 + ["some"] * 7)
    rows = report.drawn_evenly(category_Q)
    assert sorted(rows) == list(range(59)) and rows == report.drawn_evenly(category_Q)
    assert sorted(category_Q[rows[:11]].tolist()) == ["often"] * 5 + ["rare"] * 2 + ["some"] * 4
    assert sorted(rows[:11]) != rows[:11]


def test_page_does_not_tell_where_the_data_lay(run):
    assert "/secret" not in _html(run)


def test_no_room_gives_the_tables_alone(run):
    html = _html(run, max_mb=0)
    assert "<summary>0 of 3 queries" in html and not _cards(html)
    assert "data:image" not in html and not _tags(html, "form")


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


@pytest.mark.parametrize("text", ["", '{"fruit_test": {"protocol"', "[]", "{}", '{"fruit_test": {"format": 2}}'])
def test_broken_results_are_told_and_leave_nothing(run, text):
    (run / "results.json").write_text(text)
    with pytest.raises(UserError, match=r"results\.json.*; score the run with"):
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


@pytest.mark.parametrize("max_mb", [-1, float("nan"), float("inf")])
def test_size_that_is_none_is_told(run, max_mb):
    with pytest.raises(UserError, match="must be a number of megabytes, 0 or more"):
        report.report_run(run, max_mb=max_mb)


def test_command_ends_with_2_and_one_line(tmp_path):
    done = run_module("cir_tf.report", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in done.stderr


def test_command_writes_the_page_of_a_real_run(trained_run, data_dir):
    workdir, _ = trained_run
    done = run_module("cir_tf.report", f"--workdir={workdir}", "--max_mb=0.7", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    html = (workdir / "report.html").read_text()
    value = next(iter(json.loads((workdir / "results.json").read_text()).values()))["metrics"]["model"]["overall"]
    assert f"<b>{100 * value['R@50']['value']:.1f}</b>" in html
    assert "shuffled texts" in html and "shuffled references" in html
    assert html.count("<article") > 100 and len(html.encode()) <= 700_000
