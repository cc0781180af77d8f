"""CSS's training queries: a sentence and a pair of pictures it fits, then another sentence for the same reference.

Dimension key: M modifications, N pictures, Q stored rows, R rows, S drawn references.
"""

import numpy as np

from cir_tf.samplers._ragged import numbered, ragged
from cir_tf.samplers.base import Rows, Sampler, generator, positions


class Modifications(Sampler):
    """Draws stored rows in pairs; rows 2i and 2i + 1 have the same reference and different modifications.

    The first of a pair: a modification, uniform, and one of its rows, uniform. The second: a row of the same reference
    and any other modification, uniform. An epoch has as many rows as the references' gallery has pictures, as
    published. In a batch of an even number of rows the two are hard negatives of each other.

    Args:
        rows: as for every sampler, with `modification_id`; those without a known target are left out.
        references, targets: as for every sampler.

    Raises:
        ValueError: no rows, no `modification_id`, or a row whose picture is not in its gallery.

    Reference: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section
    4.2, and its released code. Differs from it where the reference has no other modification: there it draws for ever,
    here the second row is drawn like a first one.
    """

    needs_rows = True

    def __init__(self, rows, references, targets):
        kept = np.flatnonzero(np.asarray(rows["has_target"], bool))
        if "modification_id" not in rows or not len(kept):
            raise ValueError(
                f"Rows with a target and a modification_id are drawn. Received: {len(kept)} rows of {sorted(rows)}."
            )
        names, number_Q = numbered(rows["modification_id"][row] for row in kept)
        reference_Q = positions(references.ids, [rows["reference_id"][row] for row in kept])
        order = np.lexsort(
            [number_Q, reference_Q]
        )  # rows of a reference side by side, and in it those of a modification
        number_Q, kept, self._reference_Q = number_Q[order], kept[order], reference_Q[order]
        self._target_Q = positions(targets.ids, [rows["target_id"][row] for row in kept])
        self._texts_Q = np.array([rows["text"][row] for row in kept], object)
        self._modifications = ragged(number_Q, np.arange(len(kept)), len(names))
        self._first_Q, self._count_Q = _runs(self._reference_Q)
        self._same_first_Q, self._same_count_Q = _runs(self._reference_Q.astype(int) * len(names) + number_Q)
        self._rows = len(references.ids)

    def __len__(self):
        return self._rows

    def texts(self):
        return list(dict.fromkeys(self._texts_Q))

    def epoch(self, seed, epoch):
        rng = generator(seed, epoch)
        first_S = self._firsts(rng, (len(self) + 1) // 2)
        row_R = np.stack([first_S, self._seconds(rng, first_S)], axis=1).reshape(-1)[: len(self)]
        return Rows(self._reference_Q[row_R], self._target_Q[row_R], self._texts_Q[row_R])

    def _firsts(self, rng, count):
        return self._modifications.draw(rng, rng.integers(len(self._modifications.count_G), size=count))

    def _seconds(self, rng, first_S):
        others_S = (self._count_Q - self._same_count_Q)[first_S]
        row_S = self._first_Q[first_S] + rng.integers(np.maximum(others_S, 1))
        row_S += np.where(row_S >= self._same_first_Q[first_S], self._same_count_Q[first_S], 0)  # steps over its own
        return np.where(others_S > 0, row_S, self._firsts(rng, len(first_S)))


def _runs(value_Q):
    """Of sorted values: where the run of equal ones that each is in begins, and its length."""
    _, first, group_Q, count = np.unique(value_Q, return_index=True, return_inverse=True, return_counts=True)
    return first[group_Q], count[group_Q]


build = Modifications
