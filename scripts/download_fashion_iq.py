"""Download FashionIQ's pictures: `python scripts/download_fashion_iq.py --urls=FOLDER --to=FOLDER`.

--urls holds the public lists asin2url.<kind>.txt of https://github.com/hongwang600/fashion-iq-metadata. Pictures go to
<to>/images/<id>.jpg, with the bytes that came, whatever their format; what is missing, and why, goes to
<to>/download_report.json. Run the same command again to go on where it was stopped, or to try dead links once more:
pictures that are there and can be decoded are kept. All 74,381 take about four hours at the default rate.

Exit code: 0 all pictures are there, 1 some are missing, 2 wrong arguments, 130 stopped by Ctrl-C.
"""

import argparse
import collections
import contextlib
import email.utils
import http.client
import itertools
import random
import re
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib import error as url_errors
from urllib import parse, request

from tqdm import tqdm

from cir_tf.config import write_json
from cir_tf.errors import UserError, run_command
from datasets_tfds import pictures

KINDS = ("dress", "shirt", "toptee")
AGENT = "cir_tf download_fashion_iq.py"
LARGEST = 50 * 2**20  # bytes of a picture
SLOWEST = 10  # timeouts in which a whole picture must have come
BACKOFF = 1.0  # seconds before the second attempt, about; doubled each time
LONGEST_WAIT = 3600  # seconds: the most that a server's Retry-After is granted
ADDRESS = "https?://[!-~]+"
LINE = re.compile(rf"\s*([A-Za-z0-9]{{10}})\s*\t\s*({ADDRESS})\s*")
# What became of a picture; the state is "downloaded", "kept" or "missing".
Outcome = collections.namedtuple("Outcome", "state reason detail", defaults=("", ""))


class Failed(Exception):  # noqa: N818 - a dead link, not the program's fault
    """An attempt that brought no picture. `may_pass`: another one may; `wait`: seconds for which its host is left."""

    def __init__(self, reason, detail, may_pass=False, wait=None):
        super().__init__(reason)
        self.outcome, self.may_pass, self.wait = Outcome("missing", reason, str(detail)), may_pass, wait


def read_lists(folder, kinds):
    """`{id: {"url", "kinds"}}` in file order, and a text for each malformed line, with file and row.

    Raises:
        UserError: a list is not there, is not UTF-8 or has no usable line.
    """
    listed, malformed = {}, []
    for kind in kinds:
        path = Path(folder) / f"asin2url.{kind}.txt"
        if not path.is_file():
            raise UserError(f"there is no {path}; see https://github.com/hongwang600/fashion-iq-metadata")
        try:
            lines = pictures.read_lines(path)
        except ValueError as error:
            raise UserError(str(error)) from None
        for row, line in enumerate(lines, 1):
            match = LINE.fullmatch(line)
            if match:
                picture = listed.setdefault(match[1], {"url": match[2], "kinds": []})
                picture["kinds"] += [kind] * (kind not in picture["kinds"])
            if line.strip() and (not match or picture["url"] != match[2]):
                rule = "an id of 10 letters and digits, blank, tab, blank and an http(s) address, one only for each id"
                malformed.append(f"{path.name}, line {row} must be {rule}. Received: {line[:80]!r}")
        if not any(kind in picture["kinds"] for picture in listed.values()):
            raise UserError(f"{path} has no line with an id, blank, tab, blank and an address")
    return listed, malformed


class Hosts:
    """When each host may be asked again."""

    def __init__(self, rate, stop):
        """Args: rate: requests per second and host; stop: `threading.Event` that ends all waiting."""
        self._interval, self._stop = 1 / rate, stop
        self._lock, self._free_at = threading.Lock(), collections.defaultdict(float)

    def wait(self, url):
        """Return when it is the caller's turn to ask the host of `url`; raise `CancelledError` by the event."""
        host = parse.urlsplit(url).netloc.lower()
        while not self._stop.is_set():
            with self._lock:
                now = time.monotonic()
                left = self._free_at[host] - now
                if left <= 0:
                    self._free_at[host] = now + self._interval
                    return
            self._stop.wait(left)  # and look again: somebody was faster, or the host asked for a longer rest
        raise CancelledError

    def pause(self, url, seconds):
        """Nobody asks the host of `url` for so long."""
        host = parse.urlsplit(url).netloc.lower()
        with self._lock:
            self._free_at[host] = max(self._free_at[host], time.monotonic() + seconds)
        if seconds > 10:
            tqdm.write(f"{host} is busy; going on in {seconds:.0f} s", file=sys.stderr)


class Redirects(request.HTTPRedirectHandler):
    """Follows to http(s) only, at the rate of the new host."""

    def __init__(self, hosts):
        self._hosts = hosts

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """The request to follow with."""
        if not re.fullmatch(ADDRESS, newurl):
            raise url_errors.HTTPError(newurl, code, f"redirection to {newurl} is refused", headers, fp)
        self._hosts.wait(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Downloader:
    """Fetches pictures; its `fetch` is called from several threads."""

    def __init__(self, folder, rate, timeout, retries, stop):
        """Args: folder: where the pictures go; timeout: seconds; retries: of an attempt that may pass; stop: event."""
        self._folder, self._timeout, self._retries, self._stop = folder, timeout, retries, stop
        self._hosts = Hosts(rate, stop)
        self._opener = request.OpenerDirector()  # build_opener's would read files and FTP, too
        handlers = [getattr(request, f"{name}Handler")() for name in ("Proxy", "HTTP", "HTTPS", "HTTPDefaultError")]
        for handler in (*handlers, request.HTTPErrorProcessor(), Redirects(self._hosts)):
            self._opener.add_handler(handler)

    def fetch(self, image_id, url):
        """Bring a picture, unless a good one is there; its `Outcome`. Raises `CancelledError` by the event."""
        path = self._folder / f"{image_id}.jpg"
        with contextlib.suppress(pictures.BadPicture, FileNotFoundError):
            pictures.read(path)
            return Outcome("kept")
        part = path.with_suffix(".part")
        try:
            for attempt in itertools.count():
                try:
                    self._download(url, part)
                    part.replace(path)
                    return Outcome("downloaded")
                except Failed as failure:
                    if not failure.may_pass or attempt == self._retries:
                        return failure.outcome
                    backoff = BACKOFF * 2 ** min(attempt, 6) * random.uniform(0.5, 1.5)
                    if failure.wait is None:
                        self._stop.wait(backoff)
                    else:
                        self._hosts.pause(url, failure.wait or backoff)
        finally:
            part.unlink(missing_ok=True)

    def _download(self, url, path):
        with path.open("wb") as file:
            for chunk in self._chunks(url):
                file.write(chunk)
        try:
            pictures.read(path)
        except pictures.BadPicture as error:
            raise Failed("bad picture", error) from None

    def _chunks(self, url):
        """The bytes of an address as they come; errors of reading are `Failed`, those of writing are not seen here."""
        try:
            self._hosts.wait(url)
            asked = request.Request(url, headers={"User-Agent": AGENT})
            with self._opener.open(asked, timeout=self._timeout) as response:
                yield from self._body(response)
        except url_errors.HTTPError as error:
            error.close()
            may_pass = error.code in (408, 429) or error.code >= 500
            wait = _retry_after(error.headers.get("Retry-After", ""), 0 if error.code in (429, 503) else None)
            raise Failed(f"HTTP {error.code}", error.reason, may_pass, wait) from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last: an odd host or port
            is_timeout = isinstance(getattr(error, "reason", error), TimeoutError)
            raise Failed("timeout" if is_timeout else "no connection", error, may_pass=True) from None

    def _body(self, response):
        length, size, start = response.length, 0, time.monotonic()
        while chunk := response.read1(2**16):  # read would wait until that much is there
            size += len(chunk)
            if max(size, length or 0) > LARGEST:
                raise Failed("too large", f"more than {LARGEST} bytes")
            if time.monotonic() - start > SLOWEST * self._timeout:
                raise Failed("timeout", f"{size} bytes in {SLOWEST * self._timeout:g} s", may_pass=True)
            if self._stop.is_set():
                raise CancelledError
            yield chunk
        if length is not None and size < length:
            raise Failed("bad picture", f"cut off: {size} of {length} bytes", may_pass=True)


def _retry_after(value, default):
    """Seconds that a server asks for."""
    try:
        at = None if value.isdecimal() else email.utils.parsedate_to_datetime(value).timestamp()
        return min(max(int(value) if at is None else at - time.time(), 0), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return default


def download(listed, downloader, workers, stop):
    """Fetch all pictures; `{id: Outcome}` of those that were come to before Ctrl-C."""
    pool, futures, outcomes = ThreadPoolExecutor(workers), {}, {}
    with warnings.catch_warnings(), tqdm(total=len(listed), unit=" pictures", dynamic_ncols=True, disable=None) as bar:
        warnings.simplefilter("ignore")  # of odd metadata; set around the threads, for filters are the process's
        try:
            for key, picture in listed.items():
                futures[pool.submit(downloader.fetch, key, picture["url"])] = key
            for future in as_completed(futures):
                future.result()
                bar.update()
        except KeyboardInterrupt:
            print("stopping ...", file=sys.stderr, flush=True)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future, key in futures.items():
        with contextlib.suppress(CancelledError):
            outcomes[key] = future.result()
    return outcomes


def report(listed, outcomes, malformed):
    """What came, as plain values for a JSON file."""

    def counts(ids):
        states = collections.Counter(outcomes[key].state if key in outcomes else "not_tried" for key in ids)
        return {"listed": len(ids)} | {key: states[key] for key in ("downloaded", "kept", "missing", "not_tried")}

    lost = {key: outcomes[key] for key in listed if key in outcomes and outcomes[key].state == "missing"}
    kinds = [kind for kind in KINDS if any(kind in picture["kinds"] for picture in listed.values())]
    return {
        "kinds": {kind: counts([key for key in listed if kind in listed[key]["kinds"]]) for kind in kinds},
        "distinct": counts(listed),
        "reasons": dict(collections.Counter(outcome.reason for outcome in lost.values()).most_common()),
        "missing": {key: listed[key] | outcome._asdict() for key, outcome in lost.items()},
        "malformed_lines": malformed,
    }


def table(made):
    """The report's counts as text."""
    lines = ["".join(f"{name.replace('_', ' '):>12}" for name in ("", *made["distinct"]))]
    rows = {**made["kinds"], "distinct": made["distinct"]}
    lines += [f"{name:>12}" + "".join(f"{count:>12,}" for count in rows[name].values()) for name in rows]
    lines += [f"missing, {reason}: {count:,}" for reason, count in made["reasons"].items()]
    if made["malformed_lines"]:
        lines.append(f"malformed lines: {len(made['malformed_lines']):,}, first {made['malformed_lines'][0]}")
    return "\n".join(lines)


def _refuse(message):
    raise UserError(message)


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = _refuse  # argparse would print the usage, too
    parser.add_argument("--urls", type=Path, required=True, help="folder of asin2url.<kind>.txt")
    parser.add_argument("--to", type=Path, required=True, help="the dataset's folder")
    parser.add_argument("--kinds", default=",".join(KINDS), help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="connections at a time (%(default)s)")
    parser.add_argument("--rate", type=float, default=5, help="requests per second and host (%(default)s)")
    parser.add_argument("--timeout", type=float, default=20, help="seconds without a byte (%(default)s)")
    parser.add_argument("--retries", type=int, default=3, help="of what may pass (%(default)s)")
    arguments = parser.parse_args(argv)
    for name, low in {"workers": 1, "retries": 0, "rate": 0.001, "timeout": 0.001}.items():
        if not low <= getattr(arguments, name) <= 10_000:
            raise UserError(f"--{name} must be from {low} to 10000. Received: {getattr(arguments, name)}")
    kinds = tuple(dict.fromkeys(arguments.kinds.split(",")))
    if not set(kinds) <= set(KINDS):
        raise UserError(f"--kinds takes {', '.join(KINDS)}, with commas between. Received: {arguments.kinds}")
    to = arguments.to.expanduser()
    listed, malformed = read_lists(arguments.urls.expanduser(), kinds)
    (to / "images").mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    downloader = Downloader(to / "images", arguments.rate, arguments.timeout, arguments.retries, stop)
    made = report(listed, download(listed, downloader, arguments.workers, stop), malformed)
    write_json(to / "download_report.json", made)
    print(f"{table(made)}\nreport: {to / 'download_report.json'}")
    if made["distinct"]["not_tried"]:
        print("Stopped. Run the same command again to go on: what is there is kept.")
        return 130
    return 1 if made["missing"] or malformed else 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
