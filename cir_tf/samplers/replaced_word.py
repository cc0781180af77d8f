"""Fashion200k's training queries: two captions that are the same but for one word, and a text that names the words.

Dimension key: C different captions, E caption and parent, L words of a caption, N pictures, R rows, W different words.
"""

import numpy as np

from cir_tf.samplers._ragged import numbered, one_gallery, ragged, replace_unusable
from cir_tf.samplers.base import Rows, Sampler, generator

TRIES = 16  # times that rows are drawn again whose pair the epoch has already


class ReplacedWord(Sampler):
    """Draws a sibling for every picture; the text is "replace A with B".

    A caption without one of its words is its parent, and captions with a common parent are siblings. A picture is
    modifiable when its caption has a sibling. An epoch is a new order of all pictures, with a modifiable one, drawn
    at random, in the place of each that is not. The target: a parent of the reference's caption and a child of that
    parent, both uniform, until the child is a sibling; then a uniform picture with this caption. A is the first word
    that only the reference's caption has, B the first that only the target's has; where there is none, the last word
    stands in.

    The published samplers are the quirks of TIRG: `deletes_inside_words=True, pairs_reordered_captions=True,
    vocabulary_from_captions_alone=True`; of VAL: `deletes_inside_words=True, vocabulary_from_captions_alone=True,
    distinct_pairs=True`.

    Args:
        rows: not read.
        references, targets: the same gallery; `target_class` is the caption.
        deletes_inside_words: a parent lacks its word's letters wherever they stand, as published: "red embroidered
            top" without "red" is "embroide top", and no sibling of "black embroidered top". By default a word goes
            where it stands as a whole: then siblings differ by one word on each side, and the text names both.
        pairs_reordered_captions: captions of the same words can be siblings, as in TIRG, though no text can tell
            them apart ("black white top", "white black top": "replace top with top").
        vocabulary_from_captions_alone: "replace" and "with" are known words only if a caption has them, as published.
        distinct_pairs: VAL's epoch: a new order of the modifiable pictures alone, and no pair of pictures twice, in
            either direction.
        target_captions: the text is the target's whole caption in place of the replaced word: VAL's first stage.

    Raises:
        ValueError: two galleries, or no picture is modifiable.

    Reference: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section
    4.1; Chen et al., "Image Search with Text Feedback by Visiolinguistic Attention Learning", CVPR 2020, section 4.
    Their released code. Differs from VAL's, whose epochs leave out a pair that they have, or one of reordered captions,
    and so vary in length: here such a row is drawn again, with another reference where the pair is repeated. Data with
    too few pairs repeat some, after 16 tries.
    """

    def __init__(
        self,
        rows,
        references,
        targets,
        deletes_inside_words=False,
        pairs_reordered_captions=False,
        vocabulary_from_captions_alone=False,
        distinct_pairs=False,
        target_captions=False,
    ):
        self._captions, self._caption_N = numbered(one_gallery(references, targets))
        captions = len(self._captions)
        # Captions of one kind are no siblings.
        by_words = numbered(frozenset(caption.split()) for caption in self._captions)[1]
        self._kind_C = np.arange(captions) if pairs_reordered_captions else by_words
        caption_E, parent_E, parents = _useful_parents(self._captions, self._kind_C, deletes_inside_words)
        self._parents = ragged(caption_E, parent_E, captions)
        self._children = ragged(parent_E, caption_E, parents)
        self._pictures = ragged(self._caption_N, np.arange(len(self._caption_N)), captions)
        self._is_modifiable_N = self._parents.count_G[self._caption_N] > 0
        if not self._is_modifiable_N.any():
            raise ValueError(
                f"Two captions must be the same but for one word. Received: {captions} different captions, and no such "
                f"two: {self._captions[:3]}."
            )
        self._words_W, self._word_LC, self._last_C = _words(self._captions)
        self._template = [] if vocabulary_from_captions_alone else ["replace with"]
        self._distinct, self._whole = distinct_pairs, target_captions

    def __len__(self):
        return int(self._is_modifiable_N.sum()) if self._distinct else len(self._is_modifiable_N)

    def texts(self):
        if self._whole:
            return self._captions
        # The longest word on both sides is as long as any two words.
        captions = np.flatnonzero(self._parents.count_G)
        words = np.setdiff1d(self._word_LC[:, captions], -1)
        return [f"replace {word} with {word}" for word in self._words_W[words]]

    def vocabulary(self):
        return self._captions + self._template

    def epoch(self, seed, epoch):
        rng = generator(seed, epoch)
        if self._distinct:
            reference_R, target_R = self._distinct_pairs(rng)
        else:
            reference_R = replace_unusable(rng, rng.permutation(len(self)), self._is_modifiable_N)
            target_R = self._targets(rng, reference_R)
        if self._whole:
            texts_R = np.array(self._captions, object)[self._caption_N[target_R]]
        else:
            texts_R = self.modifications(reference_R, target_R)
        return Rows(reference_R.astype(np.int32), target_R.astype(np.int32), texts_R)

    def modifications(self, reference_R, target_R):
        """The texts that lead from pictures to pictures, siblings or not: object array.

        Args:
            reference_R, target_R: int, positions in the gallery; the captions must have words.
        """
        reference_R, target_R = self._caption_N[reference_R], self._caption_N[target_R]
        gone_R, new_R = self._only(reference_R, target_R), self._only(target_R, reference_R)
        return ("replace " + self._words_W)[gone_R] + (" with " + self._words_W)[new_R]

    def _targets(self, rng, reference_R):
        """A target for each reference."""
        caption_R = self._caption_N[reference_R]
        sibling_R = np.empty_like(caption_R)
        open_R = np.arange(len(caption_R))
        while len(open_R):  # a useful parent has children of two kinds, so that every try can succeed
            parent_R = self._parents.draw(rng, caption_R[open_R])
            sibling_R[open_R] = self._children.draw(rng, parent_R)
            open_R = open_R[self._kind_C[sibling_R[open_R]] == self._kind_C[caption_R[open_R]]]
        return self._pictures.draw(rng, sibling_R)

    def _distinct_pairs(self, rng):
        """References and targets, no two of them twice, in either direction, as far as there are enough."""
        modifiable = np.flatnonzero(self._is_modifiable_N)
        reference_R = rng.permutation(modifiable)
        target_R = self._targets(rng, reference_R)
        for _ in range(TRIES):
            low_R, high_R = np.minimum(reference_R, target_R), np.maximum(reference_R, target_R)
            first = np.unique(low_R * len(self._caption_N) + high_R, return_index=True)[1]
            again = np.setdiff1d(np.arange(len(reference_R)), first)
            if not len(again):
                break
            reference_R[again] = rng.choice(modifiable, len(again))
            target_R[again] = self._targets(rng, reference_R[again])
        return reference_R, target_R

    def _only(self, caption_R, other_R):
        """The first word of each caption that the other lacks, or else its last word."""
        word_LR, other_LR = self._word_LC[:, caption_R], self._word_LC[:, other_R]
        found_R = self._last_C[caption_R]
        for word_R in word_LR[::-1]:
            found_R = np.where((word_R >= 0) & np.all(word_R != other_LR, axis=0), word_R, found_R)
        return found_R


def parents(caption, inside_words=False):
    """The captions with one word left out, each once, in the order of the words.

    Args:
        caption: str.
        inside_words: delete the word's letters inside other words too, and turn double blanks into single ones once.
    """
    words = caption.split()
    if inside_words:
        without = (caption.replace(word, "").replace("  ", " ").strip() for word in words)
    else:
        without = (" ".join(other for other in words if other != word) for word in words)
    return list(dict.fromkeys(without))


def _useful_parents(captions, kind_C, inside_words):
    """Each caption with each of its parents that has children of two kinds: int [E], int [E], number of parents."""
    parents_of = [parents(caption, inside_words) for caption in captions]
    caption_E = np.repeat(np.arange(len(captions)), [len(each) for each in parents_of])
    names, parent_E = numbered(parent for each in parents_of for parent in each)
    kinds = np.unique(np.stack([parent_E, kind_C[caption_E]]), axis=1)[0]
    is_useful_E = (np.bincount(kinds, minlength=len(names)) > 1)[parent_E]
    return caption_E[is_useful_E], parent_E[is_useful_E], len(names)


def _words(captions):
    """The different words, the words of each caption padded with -1, and the last of them (-1: it has none)."""
    words_of = [caption.split() for caption in captions]
    words, word_E = numbered(word for each in words_of for word in each)
    count_C = np.array([len(each) for each in words_of])
    word_CL = np.full((len(captions), max(count_C)), -1, np.int32)
    word_CL[np.arange(max(count_C)) < count_C[:, None]] = word_E
    last_C = word_CL[np.arange(len(captions)), count_C - 1]
    return np.array(words, object), np.ascontiguousarray(word_CL.T), last_C


build = ReplacedWord
