import collections
import email.utils
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from cir_tf.errors import run_command
from scripts import download_fashion_iq as script

ROOT = Path(__file__).parent.parent.parent
FAST = ("--rate=1000", "--timeout=0.3", "--retries=2")


def encode(kind="JPEG", mode="RGB", size=(9, 7)):
    file = io.BytesIO()
    Image.new(mode, size, 77).save(file, kind)
    return file.getvalue()


JPEG = encode()
HTML = b"<html><body>Sorry, not here.</body></html>"


class Server(ThreadingHTTPServer):
    """Answers a path with the next of its answers (status, headers, body), the last one for ever; notes who came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = collections.defaultdict(lambda: [(200, {}, JPEG)])
        self.seen, self.agents, self.closing = [], set(), threading.Event()

    def url(self, name, host="127.0.0.1"):
        return f"http://{host}:{self.server_port}/{name}.jpg"

    def counts(self):
        return collections.Counter(name for name, _ in self.seen)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/").removesuffix(".jpg")
        self.server.seen.append((name, time.monotonic()))
        self.server.agents.add(self.headers["User-Agent"])
        answers = self.server.answers[name]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status is None:  # a stall
            self.server.closing.wait(20)
            return
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(key, str(value))
        self.end_headers()
        size = 64 if "X-Drip" in headers else max(len(body), 1)
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            if "X-Drip" in headers and self.server.closing.wait(0.1):
                return
        if "X-Hold" in headers:
            self.server.closing.wait(20)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:  # of a client that had enough
            self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(script, "BACKOFF", 0.02)
    with Server() as one:
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield one
        one.closing.set()
        one.shutdown()


def name_of(number):
    return f"B{number:09d}"


def write_list(folder, kind, rows):
    lines = [row if isinstance(row, str) else " \t ".join(row) for row in rows]
    (folder / f"asin2url.{kind}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def run(tmp_path, rows, *arguments, kind="dress"):
    """Write a list of these rows and download it: the exit code and the report."""
    write_list(tmp_path, kind, rows)
    return again(tmp_path, f"--kinds={kind}", *arguments)


def again(tmp_path, *arguments):
    code = script.main([f"--urls={tmp_path}", f"--to={tmp_path / 'to'}", *FAST, *arguments])
    return code, json.loads((tmp_path / "to/download_report.json").read_text())


def files(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "to/images").iterdir()}


def reason_of_one(server, tmp_path, answers, *arguments):
    """Reason and detail for one dead link, after checking that it left nothing behind."""
    server.answers["x"] = answers
    code, report = run(tmp_path, [(name_of(1), server.url("x"))], *arguments)
    assert code == 1
    assert not files(tmp_path)
    entry = report["missing"][name_of(1)]
    assert report["reasons"] == {entry["reason"]: 1}
    assert entry["url"] == server.url("x") and entry["kinds"] == ["dress"]
    return entry["reason"], entry["detail"]


def test_pictures_come_with_the_bytes_that_were_sent(server, tmp_path, capsys):
    kinds = [JPEG, encode("PNG", "RGBA"), encode("GIF", "P"), encode("JPEG", "CMYK")]
    for number, data in enumerate(kinds):
        server.answers[f"p{number}"] = [(200, {}, data)]
    code, report = run(tmp_path, [(name_of(i), server.url(f"p{i}")) for i in range(4)])
    assert code == 0
    assert files(tmp_path) == {f"{name_of(i)}.jpg": data for i, data in enumerate(kinds)}
    assert report["distinct"] == {"listed": 4, "downloaded": 4, "kept": 0, "missing": 0, "not_tried": 0}
    assert "distinct           4           4" in capsys.readouterr().out
    assert all("download_fashion_iq" in agent for agent in server.agents)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_dead_links_are_asked_once_and_named(server, tmp_path, capsys, status):
    assert reason_of_one(server, tmp_path, [(status, {}, HTML)])[0] == f"HTTP {status}"
    assert len(server.seen) == 1
    assert f"missing, HTTP {status}: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "headers", "detail"),
    [
        (HTML, {"Content-Type": "image/jpeg"}, "no picture"),
        (b"", {}, "0 bytes"),
        (JPEG[:-200], {}, ""),
        (JPEG[:-200], {"Content-Length": None}, ""),
        (encode("PNG")[:-25], {}, ""),
    ],
)
def test_what_is_no_picture_is_refused(server, tmp_path, body, headers, detail):
    reason, found = reason_of_one(server, tmp_path, [(200, headers, body)])
    assert reason == "bad picture"
    assert detail in found
    assert len(server.seen) == 1


def test_a_cut_off_answer_is_asked_for_again(server, tmp_path):
    cut = (200, {"Content-Length": len(JPEG)}, JPEG[:-9])
    reason, detail = reason_of_one(server, tmp_path, [cut])
    assert (reason, detail) == ("bad picture", f"cut off: {len(JPEG) - 9} of {len(JPEG)} bytes")
    assert len(server.seen) == 3
    server.answers["x"] = [cut, (200, {}, JPEG)]
    assert again(tmp_path, "--kinds=dress")[0] == 0


def test_nothing_behind_the_stated_length_is_waited_for(server, tmp_path):
    server.answers["x"] = [(200, {"Content-Length": len(JPEG), "X-Hold": 1}, JPEG)]
    assert run(tmp_path, [(name_of(1), server.url("x"))])[0] == 0
    assert files(tmp_path) == {f"{name_of(1)}.jpg": JPEG}


@pytest.mark.parametrize("headers", [{}, {"Content-Length": None}])
def test_too_large_a_file_is_refused(server, tmp_path, monkeypatch, headers):
    monkeypatch.setattr(script, "LARGEST", len(JPEG) - 1)
    assert reason_of_one(server, tmp_path, [(200, headers, JPEG)])[0] == "too large"
    assert len(server.seen) == 1


def test_a_stalling_server_is_given_up(server, tmp_path):
    assert reason_of_one(server, tmp_path, [(None, {}, b"")], "--timeout=0.1")[0] == "timeout"
    assert len(server.seen) == 3


def test_a_trickle_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SLOWEST", 1)
    trickle = [(200, {"X-Drip": 1}, bytes(64_000))]
    reason, detail = reason_of_one(server, tmp_path, trickle, "--timeout=0.25", "--retries=0")
    assert reason == "timeout" and "bytes in 0.25 s" in detail


def test_no_server_is_no_connection(server, tmp_path):
    code, report = run(tmp_path, [(name_of(1), "http://127.0.0.1:1/x.jpg"), (name_of(2), "http://[x/y.jpg")])
    assert code == 1
    assert report["reasons"] == {"no connection": 2}


@pytest.mark.parametrize("is_date", [False, True])
def test_retry_after_is_honoured_by_all_that_ask_the_host(server, tmp_path, is_date):
    wanted = email.utils.formatdate(time.time() + 2, usegmt=True) if is_date else 1  # a date has whole seconds
    server.answers["x"] = [(429, {"Retry-After": wanted}, HTML), (200, {}, JPEG)]
    rows = [(name_of(i), server.url("x")) for i in range(2)]
    assert run(tmp_path, rows, "--workers=2", "--rate=2")[0] == 0
    start, *later = [at for _, at in server.seen]
    assert len(later) == 2
    assert min(later) - start > (0.7 if is_date else 0.95)  # the rate alone would be 0.5 s


def test_a_busy_host_without_retry_after_is_left_alone_for_a_while(server, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "BACKOFF", 0.4)
    server.answers["x"] = [(503, {"Retry-After": "soon"}, HTML), (200, {}, JPEG)]
    assert run(tmp_path, [(name_of(1), server.url("x"))])[0] == 0
    assert server.seen[1][1] - server.seen[0][1] > 0.19


def test_errors_of_the_server_are_tried_again(server, tmp_path):
    server.answers["x"] = [(500, {}, HTML), (502, {}, HTML), (200, {}, JPEG)]
    assert run(tmp_path, [(name_of(1), server.url("x"))])[0] == 0
    assert len(server.seen) == 3


def test_no_more_retries_than_asked_for(server, tmp_path):
    assert reason_of_one(server, tmp_path, [(500, {}, HTML)], "--retries=1")[0] == "HTTP 500"
    assert len(server.seen) == 2


def test_redirections_are_followed_over_http_only(server, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(JPEG)
    targets = {1: server.url("real"), 2: secret.as_uri(), 3: "ftp://127.0.0.1/x.jpg", 4: server.url("to4")}
    for number, target in targets.items():
        server.answers[f"to{number}"] = [(302, {"Location": target}, b"")]
    code, report = run(tmp_path, [(name_of(i), server.url(f"to{i}")) for i in targets])
    assert code == 1
    assert list(files(tmp_path)) == [f"{name_of(1)}.jpg"]
    assert report["reasons"] == {"HTTP 302": 3}
    assert "ftp:" in report["missing"][name_of(3)]["detail"]


def test_the_second_run_fetches_only_what_is_not_there(server, tmp_path):
    rows = [(name_of(i), server.url(f"p{i}")) for i in range(4)]
    server.answers["p0"] = [(404, {}, HTML), (200, {}, JPEG)]
    assert run(tmp_path, rows)[0] == 1
    images = tmp_path / "to/images"
    (images / f"{name_of(1)}.jpg").write_bytes(JPEG[:-99])  # from somebody else's crawl
    (images / f"{name_of(2)}.jpg").unlink()
    (images / f"{name_of(2)}.part").write_bytes(JPEG[:-99])  # from a run that was killed
    server.seen.clear()
    code, report = again(tmp_path, "--kinds=dress")
    assert code == 0
    assert server.counts() == {"p0": 1, "p1": 1, "p2": 1}
    assert report["distinct"] == {"listed": 4, "downloaded": 3, "kept": 1, "missing": 0, "not_tried": 0}
    assert files(tmp_path) == {f"{name_of(i)}.jpg": JPEG for i in range(4)}


def test_an_id_of_two_kinds_is_fetched_once_and_counted_in_both(server, tmp_path):
    server.answers["gone"] = [(404, {}, HTML)]
    write_list(tmp_path, "shirt", [(name_of(1), server.url("a")), (name_of(2), server.url("gone"))])
    write_list(tmp_path, "toptee", [(name_of(2), server.url("gone")), (name_of(3), server.url("c"))])
    write_list(tmp_path, "dress", [(name_of(4), server.url("d"))] * 2)
    code, report = again(tmp_path)
    assert code == 1
    assert server.counts() == {"a": 1, "gone": 1, "c": 1, "d": 1}
    assert {kind: (row["listed"], row["missing"]) for kind, row in report["kinds"].items()} == {
        "dress": (1, 0),
        "shirt": (2, 1),
        "toptee": (2, 1),
    }
    assert report["distinct"]["listed"] == 4
    assert report["missing"][name_of(2)]["kinds"] == ["shirt", "toptee"]


def test_a_host_is_asked_no_faster_than_the_rate(server, tmp_path):
    rows = [(name_of(i), server.url(f"p{i}")) for i in range(6)]
    assert run(tmp_path, rows, "--rate=10", "--workers=6")[0] == 0
    times = [at for _, at in server.seen]
    assert max(times) - min(times) > 0.4  # five gaps of 0.1 s, less what the first request may have taken


def test_a_redirection_counts_for_the_rate(server, tmp_path):
    server.answers["to"] = [(302, {"Location": server.url("real")}, b"")]
    assert run(tmp_path, [(name_of(1), server.url("to"))], "--rate=4")[0] == 0
    assert server.seen[1][1] - server.seen[0][1] > 0.2


def test_hosts_do_not_wait_for_each_other(monkeypatch):
    class Clock:
        now = 100.0

        def wait(self, seconds):
            self.now += seconds

        def is_set(self):
            return False

    clock = Clock()
    monkeypatch.setattr(script.time, "monotonic", lambda: clock.now)
    hosts, times = script.Hosts(4, clock), []
    for host in "aabbab":
        hosts.wait(f"http://{host}/x")
        times.append(clock.now)
    assert times == [100, 100.25, 100.25, 100.5, 100.5, 100.75]
    hosts.pause("http://a/y", 7)
    hosts.wait("http://b/y")
    assert clock.now == 101.0
    hosts.wait("http://A/y")
    assert clock.now == 107.75


def test_malformed_lines_are_named_with_file_and_row(server, tmp_path, capsys):
    good = (name_of(1), server.url("a"))
    rows = [
        good,
        "",
        "B000000002 \t",
        "../../etc/pass \t http://a/b.jpg",
        f"{name_of(3)} \t file:///etc/passwd",
        f"{name_of(4)} \t http://a/b c.jpg",
        (good[0], server.url("other")),
    ]
    code, report = run(tmp_path, rows)
    assert code == 1
    assert report["distinct"]["listed"] == 1
    named = [line.partition(" must")[0] for line in report["malformed_lines"]]
    assert named == [f"asin2url.dress.txt, line {row}" for row in (3, 4, 5, 6, 7)]
    assert "malformed lines: 5, first asin2url.dress.txt, line 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to=x"], "--urls"),
        (["--urls={}", "--to=x", "--kinds=dress,skirt"], "dress,skirt"),
        (["--urls={}", "--to=x", "--rate=0"], "--rate"),
        (["--urls={}", "--to=x", "--rate=nan"], "--rate"),
        (["--urls={}", "--to=x", "--workers=two"], "two"),
        (["--urls={}", "--to=x", "--retries=-1"], "--retries"),
        (["--urls={}", "--to=x", "--speed=9"], "--speed=9"),
        (["--urls={}", "--to=x"], "asin2url.dress.txt"),
        (["--urls={}", "--to=x", "--kinds=shirt"], "asin2url.shirt.txt, line 2: not UTF-8"),
        (["--urls={}", "--to=x", "--kinds=toptee"], "asin2url.toptee.txt has no line"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(tmp_path, capsys, arguments, words):
    (tmp_path / "asin2url.shirt.txt").write_bytes(b"a\n\xff\xfe\n")
    (tmp_path / "asin2url.toptee.txt").write_bytes(HTML)
    with pytest.raises(SystemExit) as caught:
        run_command(script.main, [argument.format(tmp_path) for argument in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_a_file_that_cannot_be_written_ends_the_run(server, tmp_path):
    (tmp_path / "to/images" / f"{name_of(1)}.part").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        run(tmp_path, [(name_of(1), server.url("a")), (name_of(2), server.url("b"))])


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(server, tmp_path):
    server.answers["stall"] = [(None, {}, b"")]
    rows = [(name_of(0), server.url("a")), *((name_of(i), server.url("stall")) for i in range(1, 30))]
    write_list(tmp_path, "dress", rows)
    command = [sys.executable, "scripts/download_fashion_iq.py", f"--urls={tmp_path}", f"--to={tmp_path / 'to'}"]
    process = subprocess.Popen(
        [*command, "--kinds=dress", "--rate=1000", "--timeout=1", "--workers=2"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while server.counts()["stall"] < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "same command again" in output
    assert errors == "stopping ...\n"
    assert files(tmp_path) == {f"{name_of(0)}.jpg": JPEG}
    report = json.loads((tmp_path / "to/download_report.json").read_text())
    assert report["distinct"]["downloaded"] == 1
    assert report["distinct"]["not_tried"] >= 27


def test_no_tensorflow_is_loaded():
    code = "import sys, scripts.download_fashion_iq; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
