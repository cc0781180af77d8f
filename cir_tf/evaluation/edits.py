"""What a text asks for, by its words, and how a query failed, by its ranking: plain rules to sort queries for a reader.

Dimension key: Q queries.
"""

import re

import numpy as np

from cir_tf.evaluation.result import ALONE

# Whole words of the lower-case text; "*" stands for any ending.
EDITS = {
    "colour": (
        "color* colour* black white gray* grey* silver* gold golden red redder reddish pink* orange* yellow* green* "
        "blue* bluish purple* violet brown* blond* beige tan navy teal turquoise maroon cream ivory khaki magenta cyan "
        "burgundy coral lavender bronze copper charcoal peach mint olive aqua lilac mustard dark darker darkest light "
        "lighter lightest bright brighter brightly pale paler tone tones toned hue hues shade shades shaded"
    ),
    "count": (
        "two three four five six seven eight nine ten eleven twelve dozen* #* single double triple pair pairs couple "
        "both several many multiple few fewer number one-more only-one just-one"
    ),
    "negation": "no not *n't *n’t cannot never none neither nor without nothing nobody lack lacks lacking",
    "addition": (
        "add adds added adding addition insert* include includes including attach* append* extra another also plus put "
        "puts give gives bring brings introduc*"
    ),
    "removal": "remov* delet* drop eliminat* exclud* eras* omit* discard* get-rid-of take-away take-off take-out",
    "comparison": (
        "than more less fewer most least same similar* identical unlike alike different* compared darker lighter "
        "brighter paler longer shorter larger bigger smaller taller wider narrower tighter looser thicker thinner "
        "higher lower older younger closer nearer farther further fuller heavier softer simpler plainer fancier "
        "dressier bolder richer deeper better busier baggier flowier sexier shinier sleeker slimmer warmer cooler"
    ),
}
OTHER = "other"

FAILURES = {
    "reference came back": "the reference itself is among the first {reported} results, above the target",
    "text ignored": "the first result is wrong, and it is what the reference alone finds first",
    "image ignored": "the first result is wrong, and it is what the text alone finds first",
}
RIGHT, UNEXPLAINED = "target first", "none of these"


def _pattern(words):
    """A regular expression for a list of words as in `EDITS`; "#" stands for a digit, "-" for white space."""
    alternatives = "|".join(re.escape(word) for word in words.split())
    for mark, meaning in ((r"\*", r"[\w-]*"), (r"\#", r"\d"), (r"\-", r"\s+")):
        alternatives = alternatives.replace(mark, meaning)
    return re.compile(rf"(?<![\w'’])(?:{alternatives})(?![\w'’])")


_PATTERNS = {kind: _pattern(words) for kind, words in EDITS.items()}


def edits(text):
    """The kinds of edit whose words a text has: a tuple of keys of `EDITS`, or ("other",) for none."""
    text = text.lower()
    return tuple(kind for kind, pattern in _PATTERNS.items() if pattern.search(text)) or (OTHER,)


def failures(queries):
    """How each query failed: {kind: bool [Q]}, of `FAILURES` those that the result can tell.

    Args:
        queries: `Result.queries`. Queries whose rank is 0 have nothing to find and so do not fail.
    """
    rank_Q, reference_Q = np.array(queries["rank"]), np.array(queries["reference_rank"])
    first_Q = np.array([names[0] if names else "" for names in queries["ranked_ids"]], object)
    found = {"reference came back": (reference_Q > 0) & (reference_Q < rank_Q)}
    for kind, name in zip(("text ignored", "image ignored"), ALONE, strict=True):
        if name in queries["best_of"]:
            found[kind] = (rank_Q > 1) & (first_Q == np.array(queries["best_of"][name], object))
    return found
