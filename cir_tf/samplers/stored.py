"""Stored rows: every epoch takes each of them once, in a new order."""

import numpy as np
import tensorflow as tf

from cir_tf import captions
from cir_tf.samplers.base import Rows, Sampler, generator, positions


class Stored(Sampler):
    """The rows of a dataset's training split.

    Args:
        rows: as for every sampler; those without a known target are left out.
        references, targets: as for every sampler.
        captions: name of the caption policy that makes texts of a row. Where it gives several, each is a row of its
            own ("each"), or one is drawn for every row in every epoch ("sample").

    Raises:
        ValueError: no row, a row whose picture is not in its gallery, or a policy whose texts are to be averaged.
    """

    needs_rows = True

    def __init__(self, rows, references, targets, captions="stored"):
        kept = np.flatnonzero(np.asarray(rows["has_target"], bool))
        if not len(kept):
            raise ValueError("There must be rows with a target. Received: none.")
        rows = {key: [values[row] for row in kept] for key, values in rows.items()}
        made = _texts(captions, rows)
        reference_Q = positions(references.ids, rows["reference_id"])
        target_Q = positions(targets.ids, rows["target_id"])
        self._texts_T = np.array(made.texts, object)
        first_R, self._count_R = _groups(made)
        self._first_R = first_R
        self._reference_R, self._target_R = reference_Q[made.row_T[first_R]], target_Q[made.row_T[first_R]]

    def __len__(self):
        return len(self._first_R)

    def texts(self):
        return self._texts_T.tolist()

    def epoch(self, seed, epoch):
        order_R = tf.random.experimental.stateless_shuffle(tf.range(len(self)), seed=[seed, epoch]).numpy()
        draw_R = generator(seed, epoch).integers(self._count_R)
        text_R = (self._first_R + draw_R)[order_R]
        return Rows(self._reference_R[order_R], self._target_R[order_R], self._texts_T[text_R])


def _texts(policy, rows):
    made = captions.apply(policy, rows)
    if made.combine == "average":
        raise ValueError(f"Texts can be averaged in a search only. Received: captions={policy!r}.")
    return made


def _groups(made):
    """Where the texts of each example begin, and how many to draw from they are."""
    if made.combine == "each":
        return np.arange(len(made.texts)), np.ones(len(made.texts), int)
    _, first, count = np.unique(made.row_T, return_index=True, return_counts=True)
    return first, count


build = Stored
