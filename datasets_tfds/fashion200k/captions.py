"""What TIRG makes of Fashion200k's descriptions: captions, their parents and siblings, and modification texts.

Reference: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section 4.1, and
its code, whose quirks decide which pairs exist and are kept.
"""

SPELLED = {".": "dotmark", "?": "questionmark", "&": "andmark", "*": "starmark"}


def clean(description):
    """The caption of an image, which is also its class: outer blanks dropped, four marks spelled out."""
    return description.strip().translate(str.maketrans(SPELLED))


def parents(caption):
    """The captions with one word left out, each once, in the order of the words.

    A word goes wherever its letters stand: without "red", "red embroidered top" is "embroide top". Double blanks become
    single once.
    """
    without = (caption.replace(word, "").replace("  ", " ").strip() for word in caption.split())
    return list(dict.fromkeys(without))


def children(captions):
    """Parent -> its different captions, in order of appearance.

    Captions under one parent are siblings; a parent with a single child leads nowhere.

    Args:
        captions: iterable of captions, which may repeat.
    """
    index = {}
    for caption in dict.fromkeys(captions):
        for parent in parents(caption):
            index.setdefault(parent, []).append(caption)
    return index


def modification(reference, target):
    """The text "replace A with B": A is the first word that only the reference has, B the first only the target has.

    Where a side has no such word (the other has all of its words), its last word stands in.

    Args:
        reference, target: captions.

    Raises:
        ValueError: a caption has no words.
    """
    if not reference.split() or not target.split():
        raise ValueError(f"A caption without words has no modification. Received: {reference!r}, {target!r}.")
    return f"replace {_only(reference, target)} with {_only(target, reference)}"


def _only(caption, other):
    words, others = caption.split(), set(other.split())
    return next((word for word in words if word not in others), words[-1])
