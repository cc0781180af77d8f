"""The results table, as text for the terminal and as Markdown. Percent, with 95 % intervals."""

from cir_tf.evaluation.runner import MODEL


def header(result):
    """One line: the protocol, the seed, the data it was measured on and the index."""
    data, index = result.data, result.index
    parts = [
        result.protocol.describe(),
        f"seed {result.seed}",
        f"{data['queries']} queries ({data['queries_sha256']})",
        f"{data['gallery']} gallery entries ({data['gallery_sha256']})",
        f"index {index['kind']}, " + ("exact" if index["is_exact"] else f"recall@10 {100 * index['recall']:.1f}"),
        f"version {result.version}",
    ]
    if data.get("missing") or data.get("bad"):
        parts.append(f"the copy lacks {data['missing']} pictures and has {data['bad']} broken ones")
    return "; ".join(parts)


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
    return "\n".join([header(result), "", *("| " + " | ".join(line) + " |" for line in lines)])


def _cells(result):
    """Rows of strings, the first one the column names."""
    cells = [["", "queries", *(f"R@{k}" for k in result.protocol.ks)]]
    for name, summary in result.metrics.items():
        cells.append(_row(name, summary["overall"]))
        if name == MODEL:
            cells += [_row(f"· {group}", estimates) for group, estimates in summary["groups"].items()]
    return cells


def _row(name, estimates):
    numbers = [f"{100 * e.value:.1f} [{100 * e.low:.1f}, {100 * e.high:.1f}]" for e in estimates.values()]
    return [name, str(next(iter(estimates.values())).n), *numbers]
