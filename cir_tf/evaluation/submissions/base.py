"""A submission: the files that a test server takes, as one frozen value that makes, checks and scores them.

Dimension key: Q queries, K ids of each, T accepted targets.
"""

import collections
import dataclasses
import itertools
import json

import numpy as np

from cir_tf.evaluation import metrics
from cir_tf.evaluation.protocol import Protocol, parse_metric
from cir_tf.evaluation.runner import padded

SHOWN = 3  # queries that are named of those that break a rule
FUNCTIONS = {
    "R": metrics.recall_at_k,
    "R_subset": metrics.recall_at_k,
    "mAP": metrics.average_precision_at_k,
}


@dataclasses.dataclass(frozen=True)
class Upload:
    """One file: an object of JSON with some fixed entries, then the ids of each query, best first.

    Args:
        name: of the file.
        keep: how many ids a query has, K.
        metrics: kinds of metrics that these ids decide.
        header: (key, value) of the fixed entries.
        item: type of an id in the file, str or int.
        in_group: whether the members of the row's `group_ids` are ranked, instead of the gallery.
        limit: bytes that the server takes; None where no limit is known.
        indent: of the lines; None: all is one line.
    """

    name: str
    keep: int
    metrics: tuple[str, ...]
    header: tuple[tuple[str, str], ...] = ()
    item: type = str
    in_group: bool = False
    limit: int | None = None
    indent: int | None = None

    @property
    def form(self):
        """What a file of this kind is, in words."""
        entries = [f'"{key}": "{value}"' for key, value in self.header]
        return f"an object with {', '.join(entries)}" if entries else "an object"

    def is_form_of(self, value):
        """Whether parsed JSON is a file of this kind, right or wrong."""
        return isinstance(value, dict) and all(value.get(key) == entry for key, entry in self.header)

    def value(self, rows, ranked):
        """What the file says.

        Args:
            rows: {key: list of Q values} of the index view.
            ranked: for each query K ids as strings, best first.
        """
        lists = {query: list(map(self.item, ids)) for query, ids in zip(rows["query_id"], ranked, strict=True)}
        return dict(self.header) | lists

    def lists(self, value, rows):
        """{query: its ids, or whatever stands in their place} of a file's value; `value` undone."""
        del rows
        fixed = dict(self.header)
        return {query: self._items(ids) for query, ids in value.items() if query not in fixed}

    def _items(self, ids):
        """Numbers that are written as strings count as numbers, as they do for CIRCO's server."""
        if self.item is not int or not isinstance(ids, list):
            return ids
        return [int(name) if isinstance(name, str) and name.isdecimal() else name for name in ids]

    def encode(self, rows, ranked):
        """The file as bytes; arguments as for `value`."""
        return json.dumps(self.value(rows, ranked), indent=self.indent).encode()

    def problems(self, lists, rows, gallery_ids, exclude_reference):
        """The rules that the ids break, in words.

        Args:
            lists: {query: ids}.
            rows: {key: list of Q values} of the index view.
            gallery_ids: strings; None: whether the ids are among them is not looked at.
            exclude_reference: whether a query may not name its own reference.
        """
        wanted, gallery = set(rows["query_id"]), None if gallery_ids is None else set(map(self.item, gallery_ids))
        found = {
            "are missing": [query for query in rows["query_id"] if query not in lists],
            "are none of the dataset's": [query for query in lists if query not in wanted],
        }
        for query, reference, members in zip(rows["query_id"], rows["reference_id"], rows["group_ids"], strict=True):
            if query in lists:
                allowed = set(map(self.item, members)) if self.in_group else gallery
                reason = self._problem(lists[query], self.item(reference) if exclude_reference else None, allowed)
                found.setdefault(reason, []).append(query)
        found.pop("", None)
        return [f"queries that {why}: {len(names):,} ({_some(names)})" for why, names in found.items() if names]

    def _problem(self, ids, reference, allowed):
        """The first rule that the ids of one query break, or ""."""
        if not isinstance(ids, list) or len(ids) != self.keep:
            return f"do not have {self.keep} ids"
        if any(type(name) is not self.item for name in ids):
            return f"have ids that are not {'integers' if self.item is int else 'strings'}"
        if len(set(ids)) < len(ids):
            return "name an id twice"
        if reference in ids:
            return "name their own reference"
        if allowed is not None and not allowed.issuperset(ids):
            return f"name an id that is not in {'their group' if self.in_group else 'the gallery'}"
        return ""

    def values(self, protocol, lists, rows):
        """{metric: float64 [Q]} of the protocol's metrics that correct lists decide; the targets must be known."""
        number = collections.defaultdict(itertools.count().__next__)
        ranked_QK = np.array([[number[name] for name in lists[query]] for query in rows["query_id"]])
        target_QT = padded([[number[self.item(name)] for name in names] for names in rows["target_ids"]])
        rank_QT = metrics.ranks_in(ranked_QK, target_QT)
        hit_QT = rank_QT[:, :1] if protocol.hit == "target" else rank_QT
        ranks_of = {"R": hit_QT, "R_subset": hit_QT, "mAP": np.where(target_QT < 0, -1, rank_QT)}
        kinds = {metric: parse_metric(metric) for metric in protocol.metrics}
        return {
            metric: FUNCTIONS[kind](ranks_of[kind], k)
            for metric, (kind, k) in kinds.items()
            if kind in self.metrics and k <= self.keep
        }


@dataclasses.dataclass(frozen=True)
class Submission:
    """All files of one test set.

    Args:
        name: unique among the submissions.
        protocol: the rows, the gallery, the texts, whether the reference is left out, and the metrics; one subset.
        queries: how many are published.
        uploads: the files.
        advice: where they go.

    Raises:
        ValueError: a protocol of several subsets.
    """

    name: str
    protocol: Protocol
    queries: int
    uploads: tuple[Upload, ...]
    advice: str

    def __post_init__(self):
        if len(self.protocol.subsets) != 1:
            raise ValueError(f"A submission has one subset. Received: subsets={self.protocol.subsets}.")

    @property
    def subset(self):
        return self.protocol.subsets[0]

    def check(self, data, rows, gallery_ids):
        """Which upload a file is, and its ids by query: (`Upload`, {query: ids}).

        Args:
            data: the bytes of the file.
            rows: {key: list of Q values} of the index view.
            gallery_ids: strings; None: whether the ids are among them is not looked at.

        Raises:
            ValueError: it breaks a rule; the message names all of them.
        """
        value = parse(data)
        upload = next((upload for upload in self.uploads if upload.is_form_of(value)), None)
        if upload is None:
            raise ValueError(f"it is not {' or '.join(upload.form for upload in self.uploads)}")
        lists = upload.lists(value, rows)
        problems = upload.problems(lists, rows, gallery_ids, self.protocol.exclude_reference)
        if upload.limit and len(data) > upload.limit:
            problems.append(f"it has {len(data):,} bytes, and the server takes {upload.limit:,}")
        if problems:
            raise ValueError("; ".join(problems))
        return upload, lists


def parse(data):
    """The value of JSON in UTF-8.

    Raises:
        ValueError: it is none, or has a key twice, of which a reader would see the last one only.
    """
    twice = []

    def as_dict(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        twice.extend(key for key, count in counts.items() if count > 1)
        return dict(pairs)

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=as_dict)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is cut off, or not JSON in UTF-8 ({error})") from error
    if twice:
        raise ValueError(f"{len(twice)} keys come twice ({_some(twice)})")
    return value


def _some(names):
    return ", ".join(map(str, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
