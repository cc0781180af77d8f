"""Stored rows: every epoch takes each of them once, in a new order."""

import json
from pathlib import Path

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
        side_texts: a file of texts that describe pictures, JSON {picture's id: text}. Then the text of a row is that
            of its target in place of its own, and rows whose target has none are left out: VAL's first stage. The
            vocabulary is that of both stages: the pictures' texts, then the rows' own.

    Raises:
        ValueError: no row, a row whose picture is not in its gallery, a policy whose texts are to be averaged, or side
            texts that cannot be read or describe no target.

    Reference: Chen et al., CVPR 2020 (VAL), section 3.4; how its second loss was trained is not in the released code.
    """

    needs_rows = True

    def __init__(self, rows, references, targets, captions="stored", side_texts=""):
        rows = _only(rows, np.flatnonzero(np.asarray(rows["has_target"], bool)))
        if not rows["target_id"]:
            raise ValueError("There must be rows with a target. Received: none.")
        # Classes that no row asks for say nothing of right and wrong.
        self.by_class = any(rows["target_class"])
        made = _texts(captions, rows)
        self._vocabulary = made.texts
        if side_texts:
            described = _read_side_texts(side_texts)
            self._vocabulary = [described[name] for name in targets.ids if name in described] + made.texts
            rows, made = _described(rows, described, side_texts)
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

    def vocabulary(self):
        return self._vocabulary

    def epoch(self, seed, epoch):
        order_R = tf.random.experimental.stateless_shuffle(tf.range(len(self)), seed=[seed, epoch]).numpy()
        draw_R = generator(seed, epoch).integers(self._count_R)
        text_R = (self._first_R + draw_R)[order_R]
        return Rows(self._reference_R[order_R], self._target_R[order_R], self._texts_T[text_R])


def _only(rows, wanted):
    return {key: [values[row] for row in wanted] for key, values in rows.items()}


def _read_side_texts(path):
    """{picture's id: text} of a file; ValueError says what is wrong with it."""
    wanted = "Side texts are a JSON file {picture's id: text}."
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{wanted} Received: side_texts={str(path)!r}, which cannot be read: {error}.") from error
    if not isinstance(described, dict) or not all(isinstance(text, str) for text in described.values()):
        raise ValueError(f"{wanted} Received: side_texts={str(path)!r}, which holds something else.")
    return described


def _described(rows, described, path):
    """The rows whose target is described, and these texts."""
    kept = [row for row, target in enumerate(rows["target_id"]) if target in described]
    if not kept:
        raise ValueError(
            f"Side texts are of the targets by their ids, such as {rows['target_id'][0]!r}. Received: "
            f"side_texts={str(path)!r}, whose {len(described)} texts are of {list(described)[:3]} and so on."
        )
    rows = _only(rows, kept)
    texts = [described[target] for target in rows["target_id"]]
    return rows, captions.Texts(texts, np.arange(len(texts)), "each")


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
