"""MIT-States' training queries: the same noun in another state; the text is the wanted adjective alone.

Dimension key: C classes "adjective noun", N pictures, R rows, S drawn references.
"""

import numpy as np

from cir_tf.samplers._ragged import numbered, one_gallery, ragged, replace_unusable
from cir_tf.samplers.base import Rows, Sampler, generator


class NewState(Sampler):
    """Draws two targets, in different states, for each reference; rows 2i and 2i + 1 share theirs.

    An epoch has as many rows as there are pictures, so that half of the pictures, in a new order, are references; in
    a batch of an even number of rows the two are hard negatives of each other. A target's adjective is uniform over
    those of its noun, its picture uniform over those of adjective and noun. A picture whose noun has one adjective is
    no reference: one drawn at random stands in its place (the released code refuses such nouns).

    Args:
        rows: not read.
        references, targets: the same gallery; `target_class` is "adjective noun".
        own_state: a target may have the reference's own adjective, as published, and even be the reference. No test
            query asks for that, so it is left out by default. Where a noun has then one adjective left, both targets
            have it.

    Raises:
        ValueError: two galleries, a class of one word, or no noun has two adjectives.

    Reference: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section
    4.2, and its released code.
    """

    def __init__(self, rows, references, targets, own_state=False):
        self._classes, self._class_N = numbered(one_gallery(references, targets))
        parts = [name.partition(" ") for name in self._classes]
        wrong = [
            name for name, (adjective, _, noun) in zip(self._classes, parts, strict=True) if not adjective or not noun
        ]
        if wrong:
            raise ValueError(f"Classes must be an adjective, a blank and a noun. Received: {wrong[:3]}.")
        self._adjective_C = np.array([adjective for adjective, _, _ in parts], object)
        nouns, self._noun_C = numbered(noun for _, _, noun in parts)
        self._states = ragged(self._noun_C, np.arange(len(parts)), len(nouns))
        self._pictures = ragged(self._class_N, np.arange(len(self._class_N)), len(parts))
        # Its place among the states of its noun.
        self._place_C = np.empty(len(parts), int)
        self._place_C[self._states.values_E] = np.arange(len(parts)) - np.repeat(
            self._states.first_G, self._states.count_G
        )
        self._is_usable_N = self._states.count_G[self._noun_C[self._class_N]] > 1
        if not self._is_usable_N.any():
            raise ValueError(f"A noun must have two adjectives. Received: {self._classes[:3]}, and none that has.")
        self._own = own_state

    def __len__(self):
        return len(self._class_N)

    def texts(self):
        return list(dict.fromkeys(self._adjective_C))

    def vocabulary(self):
        """The classes, as published."""
        return self._classes

    def epoch(self, seed, epoch):
        rng = generator(seed, epoch)
        reference_S = replace_unusable(rng, rng.permutation(len(self))[::2], self._is_usable_N)
        class_S = self._class_N[reference_S]
        noun_S = self._noun_C[class_S]
        states_S = self._states.count_G[noun_S]
        # Steps on from the reference's own state, around the states of its noun.
        skipped = 0 if self._own else 1
        choices_S = states_S - skipped
        first_S = rng.integers(choices_S)
        second_S = (first_S + 1 + rng.integers(np.maximum(choices_S - 1, 1))) % choices_S
        step_S2 = skipped + np.stack([first_S, second_S], axis=1)
        place_S2 = (self._place_C[class_S][:, None] + step_S2) % states_S[:, None]
        class_R = self._states.values_E[self._states.first_G[noun_S][:, None] + place_S2].reshape(-1)[: len(self)]
        reference_R = np.repeat(reference_S, 2)[: len(self)]
        target_R = self._pictures.draw(rng, class_R)
        return Rows(reference_R.astype(np.int32), target_R.astype(np.int32), self._adjective_C[class_R])


build = NewState
