"""Which setting of an approximate search is the cheapest that finds enough, as a pure function of what was measured."""

from typing import NamedTuple

SEARCHED_SHARES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
REORDERED = (60, 200, 600)
LADDER = tuple((share, reordered) for share in SEARCHED_SHARES for reordered in REORDERED)


class Rung(NamedTuple):
    """One setting and what it gives.

    Attributes:
        searched_share: share of the tree's leaves that a query looks into.
        leaves: their number.
        reordered: candidates that are scored again after hashing.
        recall: share of the exact best k that was found.
        milliseconds: of one query, searched in a batch over all cores.
        single_milliseconds: of one query by itself.
    """

    searched_share: float
    leaves: int
    reordered: int
    recall: float
    milliseconds: float
    single_milliseconds: float


def choose(curve, target_recall):
    """The fastest `Rung` (in a batch) that reaches a recall; where none does, the one of the highest recall."""
    enough = [rung for rung in curve if rung.recall >= target_recall]
    if not enough:
        return max(curve, key=lambda rung: (rung.recall, -rung.milliseconds))
    return min(enough, key=lambda rung: rung.milliseconds)
