"""What samplers share that draw from groups of pictures or of rows.

Dimension key: E members of all groups, G groups, N pictures of a gallery, R rows.
"""

from typing import Any, NamedTuple

import numpy as np


class Ragged(NamedTuple):
    """Lists of numbers of unequal lengths, end to end: list g is `values_E[first_G[g] : first_G[g] + count_G[g]]`."""

    first_G: Any
    count_G: Any
    values_E: Any

    def draw(self, rng, group_R):
        """One member of each of these groups, uniform; none of them may be empty."""
        return self.values_E[self.first_G[group_R] + rng.integers(self.count_G[group_R])]


def ragged(group_E, value_E, groups):
    """The `Ragged` that has each value in its group, in the order given."""
    count_G = np.bincount(group_E, minlength=groups)
    return Ragged(np.cumsum(count_G) - count_G, count_G, value_E[np.argsort(group_E, kind="stable")])


def numbered(names):
    """The different names in order of appearance, and the number of each name among them."""
    number = {}
    number_E = np.array([number.setdefault(name, len(number)) for name in names], int)
    return list(number), number_E


def one_gallery(references, targets):
    """The classes of the pictures that are both; ValueError for two galleries."""
    if references is not targets:
        raise ValueError(
            "References and targets are drawn from one gallery. Received: two. Name the same for both, or none for "
            "the references."
        )
    return targets.target_class


def replace_unusable(rng, picture_R, is_usable_N):
    """The pictures, with uniformly drawn usable ones in place of those that are not."""
    drawn_R = rng.choice(np.flatnonzero(is_usable_N), len(picture_R))
    return np.where(is_usable_N[picture_R], picture_R, drawn_R)
