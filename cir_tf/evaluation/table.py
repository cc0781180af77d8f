"""The results table: for the terminal, as Markdown, as rows of LaTeX. Percent, with 95 % intervals."""

import re

from cir_tf.evaluation.result import MODEL


def header(result):
    """One line: the protocol, the seed, and the data it was measured on."""
    parts = [result.protocol.describe(), f"seed {result.seed}"]
    for subset, data in result.data.items():
        stamp = f"{data['queries']} queries ({data['queries_sha256']})"
        stamp += f", {data['gallery']} gallery entries ({data['gallery_sha256']})"
        if data.get("missing") or data.get("bad"):
            stamp += f", the copy lacks {data['missing']} pictures and has {data['bad']} broken ones"
        if data.get("stamp"):
            stamp += f", copy {data['stamp']}"
        parts.append(stamp if len(result.data) == 1 else f"{subset}: {stamp}")
    return "; ".join([*parts, f"version {result.version}"])


def to_text(result):
    """The table for the terminal: the header, a row for each set of queries, the groups of the model below it.

    Args:
        result: `Result` of the runner.
    """
    cells = _cells(result)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells = [[name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])] for name, *numbers in cells]
    lines = ["  ".join(row) for row in cells]
    return "\n".join([header(result), "", lines[0], "-" * len(lines[0]), *lines[1:]])


def to_markdown(result):
    """The same table in Markdown."""
    names, *rows = _cells(result)
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
    lines = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join([header(result), "", *("| " + " | ".join(line) + " |" for line in lines)])


def to_latex(result):
    """The rows of the table in LaTeX, values with half the interval's width: `R@1 & 77.1 {\\scriptsize $\\pm$ 2.3}`."""
    lines = [f"% {header(result)}".replace("\n", " ")]
    for name, estimates in _rows(result):
        numbers = [
            f"{100 * e.value:.1f} {{\\scriptsize $\\pm$ {50 * (e.high - e.low):.1f}}}" for e in estimates.values()
        ]
        label = re.sub(r"[_&%#$\\{}^~]", _escaped, name).replace("·", r"\quad")
        lines.append(" & ".join([label, *numbers]) + r" \\")
    return "\n".join(lines)


def _escaped(found):
    """A character that LaTeX would not print as itself."""
    words = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return words.get(found[0], f"\\{found[0]}")


def _rows(result):
    """(name, estimates) of each row; groups of the model follow it."""
    for name, summary in result.metrics.items():
        yield name, summary["overall"]
        if name == MODEL:
            yield from ((f"· {printable(group)}", estimates) for group, estimates in summary["groups"].items())


def printable(text):
    """One line without control characters: names of groups come from people's files."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _cells(result):
    """Rows of strings, the first one the column names."""
    rows = list(_rows(result))
    cells = [["", "queries", *rows[0][1]]]
    for name, estimates in rows:
        numbers = [f"{100 * e.value:.1f} [{100 * e.low:.1f}, {100 * e.high:.1f}]" for e in estimates.values()]
        cells.append([name, str(next(iter(estimates.values())).n), *numbers])
    return cells
