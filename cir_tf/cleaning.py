"""CLIP's cleaning of texts, in the graph.

The released code repairs a text with ftfy, decodes HTML twice, collapses white space and lowers. The same is done here
with core TensorFlow only, so that a SavedModel needs neither Python nor another library. Left out are: ftfy's guess at
texts that were decoded with a wrong encoding ("Ã©" for "é"); the composition (NFC) of Korean syllables, and of
letters with several accents where these make no single character; a third level of HTML; letters so new that
TensorFlow does not know them.

Dimension key: B texts, P pieces of all texts.
"""

import functools
import html
import itertools
import re
import unicodedata

import numpy as np

from cir_tf.lookup import Lookup

_MARK = "\x01"  # stands round what is replaced; itself it is a control character, removed before
_CONTROL = r"\x1b\[[\d;]*[a-zA-Z]|[\x00-\x08\x0b\x0e-\x1f\x7f\x{206a}-\x{206f}\x{feff}\x{fff9}-\x{fffc}]"
_SPACE = r"[\s\pZ\x0b\x1c-\x1f\x{85}]+"
_LAST = 0x10FFFF  # the largest character
_DIGITS = 8  # more of them are more than `_LAST`


def cleaned(text_B):
    """Repaired, HTML decoded, single spaces, lower case.

    Args:
        text_B: tf.string, UTF-8; other bytes are dropped.
    """
    return _compiled()(text_B)


@functools.cache
def _compiled():
    import tensorflow as tf

    return tf.function(_cleaned, [tf.TensorSpec([None], tf.string)], autograph=False)  # one graph for all tokenizers


def _cleaned(text_B):
    import tensorflow as tf

    text_B = tf.strings.unicode_transcode(text_B, "UTF-8", "UTF-8", errors="ignore")
    text_B = tf.strings.regex_replace(text_B, _MARK, "")
    for _ in range(2):  # as long as there is no tag, the repair decodes HTML as well, though less of it
        decoded_B = _replaced(text_B, _entities(strict=True))
        text_B = tf.where(tf.strings.regex_full_match(text_B, "(?s)[^<]*"), decoded_B, text_B)
    text_B = _replaced(text_B, _characters())
    text_B = tf.strings.regex_replace(text_B, _CONTROL, "")
    text_B = _replaced(text_B, _accents())
    for _ in range(2):
        text_B = _replaced(text_B, _entities(strict=False))
    text_B = tf.strings.strip(tf.strings.regex_replace(text_B, _SPACE, " "))
    return tf.strings.lower(text_B, encoding="utf-8")


class _Rule:
    """What a pattern finds becomes what a table says, or stays where the table is silent.

    Args:
        pattern: regular expression of TensorFlow's.
        table: {found: replacement}.
        otherwise: function of the texts, for what is not found or not in the table.
    """

    def __init__(self, pattern, table, otherwise=None):
        self.pattern, self.otherwise = f"({pattern})", otherwise
        self.lookup, self.values = Lookup(table), [*table.values()]


def _replaced(text_B, rule):
    import tensorflow as tf

    marked_B = tf.strings.regex_replace(text_B, rule.pattern, _MARK + r"\1" + _MARK)
    pieces = tf.strings.split(marked_B, _MARK)
    piece_P = pieces.flat_values
    place_P = rule.lookup.find(piece_P)
    other_P = rule.otherwise(piece_P) if rule.otherwise else piece_P
    new_P = tf.where(place_P >= 0, tf.gather(rule.values, tf.maximum(place_P, 0)), other_P)
    return tf.strings.unsorted_segment_join(new_P, pieces.value_rowids(), pieces.nrows())


def _numbered(text_P, end):
    """Texts that are HTML's number of a character, "&#233;" or "&#xE9;", as that character; other texts as they are.

    `end` is a regular expression for their semicolon.

    As HTML has it, numbers from 128 to 159 mean Windows' characters, and what is no character becomes U+FFFD.
    """
    import tensorflow as tf

    is_number_P = tf.strings.regex_full_match(text_P, "&#(?:[0-9]+|[xX][0-9a-fA-F]+)" + end)
    piece_P = tf.where(is_number_P, text_P, "&#0;")
    digits = tf.strings.unicode_decode(tf.strings.regex_replace(piece_P, "^&#[xX]?0*|;", ""), "UTF-8")
    digit_PN = tf.cast(digits.to_tensor(default_value=0, shape=[None, _DIGITS]), tf.int64)
    digit_PN = tf.where(digit_PN > ord("9"), digit_PN % 32 + 9, tf.maximum(digit_PN - ord("0"), 0))
    base_P = tf.where(
        tf.strings.regex_full_match(piece_P, "&#[xX].*"), tf.constant(16, tf.int64), tf.constant(10, tf.int64)
    )
    length_P = digits.row_lengths()
    power_PN = tf.maximum(length_P[:, None] - 1 - tf.range(_DIGITS, dtype=tf.int64), 0)
    value_P = tf.reduce_sum(digit_PN * base_P[:, None] ** power_PN, axis=1)
    value_P = tf.where(length_P > _DIGITS, tf.constant(_LAST + 1, tf.int64), value_P)
    value_P = tf.cast(tf.minimum(value_P, _LAST + 1), tf.int32)
    high_P = tf.strings.unicode_encode(value_P[:, None], "UTF-8", errors="replace")
    low = np.array([html.unescape(f"&#{number};").encode() for number in range(256)], object)
    character_P = tf.where(value_P < len(low), tf.gather(low, tf.minimum(value_P, len(low) - 1)), high_P)
    return tf.where(is_number_P, character_P, text_P)


@functools.cache
def _entities(strict):
    """HTML's names and numbers of characters; strict: only those that end in a semicolon, also written in capitals."""
    names = {f"&{name}": value for name, value in html.entities.html5.items()}
    whole = {name: value for name, value in names.items() if name.endswith(";")}
    if strict:
        capitals = {name.upper(): value.upper() for name, value in whole.items() if name == name.lower()}
        capitals = {name: value for name, value in capitals.items() if html.unescape(name) == name}
        return _Rule(
            "&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[0-9A-Za-z]+);", capitals | whole, lambda text_P: _numbered(text_P, ";")
        )
    # Some names may lack their semicolon, and may even be the beginning of a longer word.
    parts = {name: value for name, value in names.items() if name not in whole}
    beginnings = _Rule("|".join(parts), parts)  # none begins another
    return _Rule(
        "&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[0-9A-Za-z]+;)",
        whole,
        lambda text_P: _replaced(_numbered(text_P, ";?"), beginnings),
    )


@functools.cache
def _characters():
    """Characters that the repair replaces: Windows' control characters, ligatures, wide and narrow forms, quotes."""
    table = {chr(code): html.unescape(f"&#{code};") for code in range(0x80, 0xA0)}
    ligatures = itertools.chain("ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌ", map(chr, range(0xFB00, 0xFB07)))
    table |= {each: unicodedata.normalize("NFKC", each) for each in ligatures}
    table |= {"ﬅ": "ſt", "　": " "}
    table |= {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFFF0)}
    quotes = {**dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'"), **dict.fromkeys("\u201c\u201d\u201e\u201f", '"')}
    table = {**{key: "".join(quotes.get(each, each) for each in value) for key, value in table.items()}, **quotes}
    table = {key: value for key, value in table.items() if key != value}
    return _Rule("[" + "".join(map(re.escape, table)) + "]", table)


@functools.cache
def _accents():
    """Letters followed by accents, and other spellings of one character, to that character (NFC)."""
    table = {}
    for character in map(chr, itertools.chain(range(0xC0, 0xAC00), range(0xF900, 0x30000))):
        parts = unicodedata.normalize("NFD", character)
        if parts != character:
            spellings = {parts[0] + "".join(order) for order in itertools.permutations(parts[1:])}
            for end in range(2, len(parts)):
                spellings |= {unicodedata.normalize("NFC", each[:end]) + each[end:] for each in tuple(spellings)}
            table |= {each: unicodedata.normalize("NFC", each) for each in (*spellings, character)}
    table = {key: value for key, value in table.items() if key != value}
    alone = "".join(sorted(key for key in table if len(key) == 1))
    return _Rule(rf"[{alone}]|\PM\pM+", table)
