"""Caption policies by name: how the captions of a row become texts. docs/captions.md shows all of them on one row.

Left out: DQU-CIR's spelling correction, whose word list is not available; prompts that belong to a model's way of
putting a picture into a sentence; and what a tokenizer does (lower case, punctuation, marks of beginning and end).
"""

import itertools
import string
from typing import Any, NamedTuple

import numpy as np

_ENDS = ".?," + string.whitespace


class Texts(NamedTuple):
    """Texts of rows.

    Attributes:
        texts: list of T strings.
        row_T: int64, the row that each text belongs to; rising, every row at least once.
        combine: what several texts of one row are.
            "each": every one is a query, or a training example, of its own.
            "average": one query, the normalised mean of the unit vectors of its texts.
            "sample": in training, one of them is drawn anew in every epoch, each equally often.
    """

    texts: list
    row_T: Any
    combine: str


def available():
    """The names of the policies, sorted."""
    return sorted(_POLICIES)


def apply(name, rows):
    """The texts that a policy makes of rows.

    Args:
        name: one of `available()`.
        rows: {key: list or array of Q values} as `source.read_rows` gives them; `captions` are lists of strings.

    Returns:
        `Texts`. Every row gives at least one text, "" where it says nothing: servers want all queries.

    Raises:
        ValueError: no policy of that name, or rows without a key that it needs.
    """
    if name not in _POLICIES:
        raise ValueError(f"There is no caption policy {name!r}. Choose from: {', '.join(available())}.")
    make, combine = _POLICIES[name]
    each_row = (dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True))
    try:
        texts_of_row = [make(row) or [""] for row in each_row]
    except KeyError as error:
        raise ValueError(
            f"The caption policy {name!r} needs rows with {error.args[0]!r}. Received: rows with {', '.join(rows)}."
        ) from error
    count_Q = np.array([len(texts) for texts in texts_of_row], np.int64)
    return Texts(list(itertools.chain(*texts_of_row)), np.repeat(np.arange(len(count_Q)), count_Q), combine)


def _stored(row):
    """The dataset's own single text: TIRG and all datasets with one caption."""
    return [row["text"]]


def _each_caption(row):
    """Every caption that is not blank: VAL, without its slip."""
    return [caption.strip() for caption in row["captions"] if caption.strip()]


def _each_caption_as_published(row):
    """VAL: its files part their fields by ";" and thus cut 3 captions of FashionIQ."""
    return [caption.split(";")[0].strip() for caption in _each_caption(row)]


def _both_orders(row):
    """Unchanged captions, forwards and backwards: CoSMo, ComqueryFormer."""
    return [" and ".join(captions) for captions in _orders(_unchanged(row))]


def _separator(row):
    """A word of its own between unchanged captions, for tokenizers that keep it: the FashionIQ starter kit."""
    return [" <and> ".join(_unchanged(row))]


def _both_orders_separator(row):
    """The same, forwards and backwards: ARTEMIS."""
    return [" <and> ".join(captions) for captions in _orders(_unchanged(row))]


def _capitalized_and(row):
    """Stripped captions that are not empty, as a sentence: CLIP4Cir, MLCL, CaLa, SPRC, without their slip."""
    return [_sentence(_stripped(row))]


def _capitalized_and_as_published(row):
    """CLIP4Cir, MLCL, CaLa, SPRC: an empty caption leaves its " and "."""
    return [_sentence([caption.strip(_ENDS) for caption in _unchanged(row)])]


def _random_order_or_single(row):
    """Both orders and each caption alone, a sentence each: CLIP4Cir's, MLCL's and CaLa's training.

    A row with one caption that is not empty gives that one, where the published code also draws "" and a bare " and ".
    """
    captions = _stripped(row)
    alone = [[caption] for caption in captions] if len(captions) > 1 else []
    return [_sentence(parts) for parts in _orders(captions) + alone]


def _both_orders_averaged(row):
    """Stripped captions that are not empty, forwards and backwards: SEARLE."""
    return [" and ".join(captions) for captions in _orders(_stripped(row))]


def _both_orders_averaged_capitalized(row):
    """The same, and forwards it is a sentence: FTI4CIR."""
    return _capitalized_and(row) + _both_orders_averaged(row)[1:]


def _photo_reversed(row):
    """A prompt, its star stands for the reference, and the unchanged captions backwards: Pic2Word."""
    return ["a photo of * , " + " and ".join(_unchanged(row)[::-1])]


def _category_and_it(row):
    """The kind's name and the captions, in lower case: ComposeAE, which trains all kinds of FashionIQ as one."""
    return [" ".join(filter(None, [row["category"], " and it ".join(_unchanged(row))])).lower()]


def _shared_concept(row):
    """What both pictures show, then the text: our reading of CIRCO, whose captions go on from "<concept> that"."""
    return [" that ".join(filter(None, [row["shared_concept"], row["text"]]))]


def _shared_concept_sentence(row):
    """CIRCO's two parts as a request, as MMRet prints its queries and MagicLens is said to."""
    return [f"Find a picture that also {row['shared_concept']}, but {row['text']}."]


def _reference_noun(row):
    """The wanted adjective and the reference's noun: ComposeAE's complete text on MIT-States."""
    return [f"{row['text']} {row['reference_class'].partition(' ')[2]}"]


def _target_class(row):
    """The target's own description: ComposeAE's complete text on Fashion200k. It gives away what counts as a hit."""
    return [row["target_class"]]


def _unchanged(row):
    """The captions as they are; none where all are blank."""
    return row["captions"] if any(caption.strip() for caption in row["captions"]) else []


def _stripped(row):
    """The captions without blanks, dots, commas and question marks at their ends, those that are not empty then."""
    return list(filter(None, (caption.strip(_ENDS) for caption in row["captions"])))


def _orders(captions):
    """Forwards and backwards; once where there is one caption."""
    return [captions, captions[::-1]][: len(captions)]


def _sentence(captions):
    """Joined by "and"; the first caption begins with a capital and is in lower case from there."""
    return " and ".join([caption.capitalize() for caption in captions[:1]] + captions[1:])


_POLICIES = {
    "stored": (_stored, "each"),
    "each_caption": (_each_caption, "each"),
    "each_caption_as_published": (_each_caption_as_published, "each"),
    "both_orders": (_both_orders, "each"),
    "separator": (_separator, "each"),
    "both_orders_separator": (_both_orders_separator, "each"),
    "capitalized_and": (_capitalized_and, "each"),
    "capitalized_and_as_published": (_capitalized_and_as_published, "each"),
    "random_order_or_single": (_random_order_or_single, "sample"),
    "both_orders_averaged": (_both_orders_averaged, "average"),
    "both_orders_averaged_capitalized": (_both_orders_averaged_capitalized, "average"),
    "photo_reversed": (_photo_reversed, "each"),
    "category_and_it": (_category_and_it, "each"),
    "shared_concept": (_shared_concept, "each"),
    "shared_concept_sentence": (_shared_concept_sentence, "each"),
    "reference_noun": (_reference_noun, "each"),
    "target_class": (_target_class, "each"),
}
