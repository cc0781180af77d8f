"""What an evaluation found, as a value that can be written down and read back."""

import dataclasses
import json
from pathlib import Path

from cir_tf import __version__
from cir_tf.errors import UserError
from cir_tf.evaluation.intervals import Estimate
from cir_tf.evaluation.protocol import Protocol

MODEL = "model"
ALONE = ("image only", "text only")  # rows for half of the query
FORMAT = 2  # of `to_json`; another one is not read
REPORTED = 10  # ranked ids per query that a result keeps
FILE = "results.json"
KEYS = {"protocol", "describe", "seed", "version", "data", "metrics", "queries"}
COLUMNS = {
    *("query_id", "reference_id", "text", "category", "subset", "row", "groups"),
    *("target_ids", "ranked_ids", "values", "rank", "reference_rank"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """The numbers of one evaluation, with what they depend on.

    Attributes:
        protocol: `Protocol`.
        seed: of the intervals.
        data: for each subset counts and hashes (12 digits of SHA-256 over the sorted ids) of queries and gallery, and
            the gaps of the copy.
        metrics: row name -> {"overall": {metric: Estimate}, "groups": {group: {metric: Estimate}}}; fractions. The
            groups are the subsets, where there are several, then the protocol's own.
        queries: of each query of the model, as lists: query_id, reference_id, text, category, subset, groups (names of
            the protocol's groups it is in), row (number of the row of the dataset it was made of), target_ids (the
            accepted ones, of a class at most `REPORTED`), accepted (how many there are), ranked_ids (the best
            `REPORTED`), hits (which of these are accepted), values (its value of each metric, by
            metric), rank (the exact rank of the best accepted target from 1, or 0 where only the removed reference
            would be accepted), reference_rank (the place of the reference among the ranked ids, or 0), and best_of
            ({name: best id of each query} for those of `ALONE` that there are).
        version: of this library.
    """

    protocol: Protocol
    seed: int
    data: dict
    metrics: dict
    queries: dict
    version: str = __version__

    def to_json(self):
        """The result as dicts, lists, strings and numbers."""
        protocol = dataclasses.asdict(self.protocol)
        return {
            "format": FORMAT,
            "protocol": {key: list(value) if isinstance(value, tuple) else value for key, value in protocol.items()},
            "describe": self.protocol.describe(),
            "seed": self.seed,
            "version": self.version,
            "data": self.data,
            "metrics": _plain(self.metrics),
            "queries": self.queries,
        }

    @classmethod
    def from_json(cls, entry):
        """The result that `to_json` gave.

        Raises:
            ValueError: it is of another format.
        """
        if not isinstance(entry, dict) or entry.get("format") != FORMAT:
            raise ValueError("it is no result of this version")
        protocol = {key: tuple(value) if isinstance(value, list) else value for key, value in entry["protocol"].items()}
        fields = {key: entry[key] for key in ("seed", "data", "queries", "version")}
        return cls(protocol=Protocol(**protocol), metrics=_estimates(entry["metrics"]), **fields)


def read_results(workdir):
    """{protocol name: entry} of a run's results.json; an entry has what `Result.to_json` gives, and facts of the run.

    Raises:
        UserError: there is none, or it is cut off, of another version, or of another shape.
    """
    path = Path(workdir) / FILE
    remedy = f"score the run with python -m cir_tf.evaluate --workdir={workdir}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"has no {FILE} yet" if path.parent.is_dir() else "is no folder"
        raise UserError(f"{workdir} {what}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {remedy}") from error
    if not isinstance(found, dict) or not found or not all(isinstance(entry, dict) for entry in found.values()):
        raise UserError(f"{path} holds no results; {remedy}")
    for name, entry in found.items():
        if entry.get("format") != FORMAT:
            raise UserError(f"{path}: {name} was written by another version of this library; {remedy}")
        if not _is_whole(entry):
            raise UserError(f"{path}: {name} is incomplete; {remedy}")
    return found


def _is_whole(entry):
    """Whether an entry has every key, and a figure of every metric for every query."""
    nested = ("protocol", "data", "metrics", "queries")
    if not entry.keys() >= KEYS or not all(isinstance(entry[key], dict) and entry[key] for key in nested):
        return False
    queries = entry["queries"]
    if not queries.keys() >= COLUMNS or not isinstance(queries["values"], dict):
        return False
    columns = [*(queries[key] for key in COLUMNS - {"values"}), *queries["values"].values()]
    return all(isinstance(column, list) for column in columns) and len(set(map(len, columns))) == 1


def _plain(found):
    """Nested dicts with every `Estimate` as a dict."""
    if isinstance(found, Estimate):
        return found._asdict()
    return {key: _plain(value) for key, value in found.items()}


def _estimates(found):
    """`_plain` undone."""
    if found.keys() == set(Estimate._fields):
        return Estimate(**found)
    return {key: _estimates(value) for key, value in found.items()}
