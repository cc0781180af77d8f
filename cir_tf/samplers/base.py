"""The sampler: what an epoch of training is made of, as a pure function of (seed, epoch).

Dimension key: R rows of an epoch, N pictures of a gallery.
"""

import abc
from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Training examples, in the order in which they are taken.

    Attributes:
        reference_R, target_R: int32, positions in the galleries of references and of targets.
        texts_R: object array of strings.
    """

    reference_R: Any
    target_R: Any
    texts_R: Any


class Sampler(abc.ABC):
    """Draws the rows of an epoch. Every epoch has `len(sampler)` rows.

    Attributes:
        needs_rows: whether it reads the stored rows of a dataset's training split, or the galleries alone.
        by_class: whether all pictures of the target's class are right, or the target alone.
    """

    needs_rows = False
    by_class = True

    @abc.abstractmethod
    def __init__(self, rows, references, targets):
        """Takes what it draws from.

        Args:
            rows: {key: list or array of values} as `source.read_rows` gives them; None unless `needs_rows`.
            references, targets: galleries, with `ids` and `target_class` (lists of N strings); may be the same object.

        Raises:
            ValueError: there is nothing to draw.
        """

    @abc.abstractmethod
    def __len__(self):
        """Rows of every epoch."""

    @abc.abstractmethod
    def epoch(self, seed, epoch):
        """The `Rows` of an epoch, vectorised; the same for the same arguments, wherever a run was stopped."""

    @abc.abstractmethod
    def texts(self):
        """Texts such that no tokenizer makes more tokens of any epoch's texts: they fix the width of a batch."""

    def vocabulary(self):
        """The texts whose words a tokenizer learns."""
        return self.texts()


def generator(seed, epoch):
    """The random generator of an epoch."""
    return np.random.default_rng([seed % 2**32, epoch])


def positions(ids, wanted):
    """Where each wanted id stands among `ids`: int32 array; ValueError names those that are not there."""
    position = {name: row for row, name in enumerate(ids)}
    lost = [name for name in wanted if name not in position]
    if lost:
        raise ValueError(f"Every row's picture must be in its gallery. Received: {len(lost)} that are not: {lost[:3]}.")
    return np.array([position[name] for name in wanted], np.int32)
