"""A comparison of two runs in words and as a table, which claim no more than its figures do."""

import numpy as np

from cir_tf.evaluation.comparison import leaves_out_zero

ALPHA = 0.05
# Student's t: 95 % lie within so many standard errors, by degrees of freedom from 1; of more than 10, a little less.
T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


def sentences(changes, seeds, queries):
    """What the figures over all queries say, a sentence for each metric where the runs differ.

    Args:
        changes: {metric: `Change`}, with `wide` for as many comparisons as there are metrics.
        seeds: {metric: (figures of A's seeds, figures of B's seeds)}.
        queries: how many.

    Returns:
        List of sentences.
    """
    found, undecided, equal = [], [], []
    for metric, change in changes.items():
        if not change.wins + change.losses:
            equal.append(metric)
        elif leaves_out_zero(*change.difference[1:3]):
            found.append(_differs(metric, change, seeds[metric], queries, len(changes)))
        else:
            undecided.append(_undecided(metric, change))
    if undecided:
        contain = "the interval contains" if len(undecided) == 1 else "the intervals contain"
        found.append(
            f"The runs cannot be told apart on {_listed(undecided)}: {contain} 0, so that either run may be the better "
            "one, by as much as the ends say."
        )
    if equal:
        found.append(f"The runs have the same figure for every query on {_listed(equal)}.")
    return found


def _differs(metric, change, seeds, queries, metrics):
    """An interval that leaves out 0, and what else speaks for or against a difference."""
    sign = 1 if change.difference.value > 0 else -1
    better = f"by {points(abs(change.difference.value))} points {metric} {_interval(change.difference[1:3], sign)}"
    if change.p >= ALPHA or sign * (change.rows_won - change.rows_lost) < 0:
        return (
            f"{'AB'[sign > 0]} may be better {better}, but the sign test does not bear it out: {change.rows_won} "
            f"wins and {change.rows_lost} losses of B ({p_value(change.p)})."
        )
    text = f"{'AB'[sign > 0]} is better {better}; on these {queries} queries that is unlikely to be chance"
    text += f" (sign test {p_value(change.p)})"
    if not leaves_out_zero(*change.wide) or metrics * change.p >= ALPHA:
        text += (
            f", if {metric} was chosen before the figures were seen: corrected for {metrics} metrics, the interval is "
            f"{_interval(change.wide, sign)} and {p_value(min(1.0, metrics * change.p))}"
        )
    return f"{text}{_over_seeds(seeds, abs(change.difference.value))}."


def _over_seeds(seeds, size):
    """What the seeds of the two sides say of a difference of this size; empty of one seed each."""
    counts, error, freedom, text = [len(side) for side in seeds], 0.0, 1, ""
    if min(counts) > 1:
        error, freedom = _welch([np.var(side, ddof=1) / len(side) for side in seeds], counts)
        text = f"; over seeds ({counts[0]} of A, {counts[1]} of B) its standard error is {points(error)} points"
    elif max(counts) > 1:  # the single run is taken to scatter as those of the other side
        several = max(seeds, key=len)
        error, freedom = np.std(several, ddof=1) * np.sqrt(1 + 1 / len(several)), len(several) - 1
    overlap = max(counts) > 1 and max(map(min, seeds)) <= min(map(max, seeds))
    if overlap:
        ranges = [" to ".join(dict.fromkeys((points(min(side)), points(max(side))))) for side in seeds]
        text += f"; single seeds overlap (A {ranges[0]}, B {ranges[1]})"
    return f"{text}, so that other seeds may turn it round" if overlap or size < _t_95(freedom) * error else text


def _welch(variances, counts):
    """Standard error and degrees of freedom of a difference of means, from the two squared standard errors."""
    total = sum(variances)
    parts = sum(variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True))
    return np.sqrt(total), total**2 / parts if parts else 1


def _t_95(freedom):
    return T_95[min(int(freedom), len(T_95)) - 1]


def _undecided(metric, change):
    text = f"{metric} ({points(change.difference.value, '+')} {_interval(change.difference[1:3])}"
    if change.p < ALPHA:
        text += f"; yet {change.rows_won} wins and {change.rows_lost} losses of B, sign test {p_value(change.p)}"
    return f"{text})"


def notes(metrics, groups, subsets, is_by_row, seeds):
    """What a reader has to know before quoting the figures.

    Args:
        metrics, groups, subsets: how many.
        is_by_row: whether some queries were made of one row of the dataset.
        seeds: how many of A and of B.

    Returns:
        List of sentences.
    """
    found = []
    if min(seeds) == 1:
        single = "Each side is one training run" if max(seeds) == 1 else f"{'AB'[seeds.index(1)]} is one training run"
        found.append(
            f"{single}: the intervals say how far other queries would move the difference, not how far another seed of "
            "the training would; for that, give several seeds: A1,A2,A3 B1,B2,B3."
        )
    if max(seeds) > 1:
        found.append(
            f"Compared are means over seeds, query by query: {seeds[0]} of A, {seeds[1]} of B. After ± stands how far "
            "single seeds scatter (standard deviation). The intervals speak of other queries, not of other seeds."
        )
    count = metrics * (1 + groups)
    if count > 1:
        found.append(
            f"{count} differences are shown; of equally good runs, too, about one in 20 has an interval without 0. "
            "Choose the metric beforehand" + (", and take the groups as hints where to look." if groups else ".")
        )
    if subsets > 1:
        found.append("Over all queries, a figure is the mean over the subsets; the sign test counts all queries alike.")
    if is_by_row:
        found.append("Intervals and sign test take rows of the dataset, since queries made of one row go together.")
    return found


def to_text(found):
    """A comparison for the terminal: what was compared, the table, the sentences, the queries that changed most.

    Args:
        found: what `cir_tf.compare.compare_runs` returns.
    """
    blocks = ["\n".join(_head(found)), _columns(_cells(found), 2), "\n".join(found["sentences"])]
    blocks.append("\n".join(f"* {note}" for note in found["notes"]))
    if found["queries"]:
        rows = [
            [" → ".join(f"{rank:g}" for rank in query["rank"]), _clean(query["query_id"]), _clean(query["text"])]
            for query in found["queries"]
        ]
        blocks.append(
            "Largest changes of the target's rank, by factor:\n" + _columns([["A → B", "query", "text"], *rows], 3)
        )
    return "\n\n".join(filter(None, blocks))


def _head(found):
    yield found["describe"]
    for letter, runs in found["runs"].items():
        yield f"{letter}: " + ", ".join(f"{run['folder']} (seed {run['seed']})" for run in runs)
    if found["config"]:
        yield "configs: " + "; ".join(f"{key} {one} and {other}" for key, (one, other) in found["config"].items())
    for subset, data in found["data"].items():
        stamp = f"{data['queries']} queries ({data['queries_sha256']})"
        yield f"{subset}: {stamp}, {data['gallery']} gallery entries ({data['gallery_sha256']})"


def _cells(found):
    is_by_row = any(
        (change.wins, change.losses) != (change.rows_won, change.rows_lost) for change in found["overall"].values()
    )
    names = ["", "metric", "queries", "A", "B", "B − A, 95 %", "sign test", "wins–losses"]
    rows = [names + ["of rows"] * is_by_row]
    for group, changes in {"all": found["overall"], **found["groups"]}.items():
        for metric, change in changes.items():
            sides = [points(change.a), points(change.b)]
            if group == "all":
                sides = list(map(spread, found["seeds"][metric].values()))
            row = [
                _clean(group),
                metric,
                str(change.difference.n),
                *sides,
                f"{points(change.difference.value, '+')} {_interval(change.difference[1:3])}",
                p_value(change.p),
                f"{change.wins}–{change.losses}",
            ]
            rows.append(row + [f"{change.rows_won}–{change.rows_lost}"] * is_by_row)
    return rows


def _columns(rows, left):
    """Rows of strings as aligned lines; the first row is the head, the first `left` columns are aligned left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *map(str.rstrip, lines[1:])])


def points(share, sign=""):
    """A share in points, with one decimal; with one digit where that would look like 0."""
    value = 100 * share
    if abs(value) < 1e-4:
        return f"{0:{sign}.1f}"
    return f"{value:{sign}.1f}" if abs(value) >= 0.05 else f"{value:{sign}.1g}"


def p_value(p):
    """ "p = 0.012", "p < 0.0001"."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def spread(figures):
    """ "61.6" of one seed, "61.6 ± 1.0" of several: mean and standard deviation (n - 1) in points."""
    mean = points(np.mean(figures))
    return mean if len(figures) == 1 else f"{mean} ± {points(np.std(figures, ddof=1))}"


def _interval(ends, sign=1):
    """The interval of sign * difference."""
    low, high = sorted(sign * end for end in ends)
    return f"[{points(low)}, {points(high)}]"


def _listed(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _clean(text, width=70):
    """One line of what can be printed."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
