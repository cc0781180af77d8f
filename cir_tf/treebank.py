"""VAL's word tokenizer, in the graph: Treebank words with named marks.

Dimension key: B or N texts, L words.
"""

import collections

from cir_tf.lookup import Lookup

NAMED_MARKS = ((r"\.", "dotmark"), (r"\?", "questionmark"), ("&", "andmark"), (r"\*", "starmark"))
# (expression, replacement), in this order; a blank separates words. Lower case only, and no dots are left.
_RULES = (
    (r"[\s\p{Z}\x{1c}-\x{1f}\x{85}]+", " "),
    ("([«“‘„]|`+)", r" \1 "),
    (r'^"', "``"),
    ("``", " `` "),
    (r"""([ (\[{<])("|'')""", r"\1 `` "),
    (r"'([a-ce-ln-ru-z0-9_])\b", r"' \1"),  # an opening quote, unless the letter is a clitic: 's, 't, 'd, 'm
    (r"([:,])([^0-9])", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    ("[;@#$%!]", r" \0 "),
    (r"([^'])' ", r"\1 ' "),
    (r"[<>(){}\[\]]", r" \0 "),
    ("--", " -- "),
    ("^|$", " "),
    ("[»”’]", r" \0 "),
    ('"', " '' "),
    (r"(\S)('')", r"\1 \2 "),
    (r"([^' ])('[smd]?) ", r"\1 \2 "),
    (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
    (r"\b(can)(not)\b", r" \1 \2 "),
    (r"\b(d)('ye)\b", r" \1 \2 "),
    (r"\b(gim|lem)(me)\b", r" \1 \2 "),
    (r"\b(gon)(na)\b", r" \1 \2 "),
    (r"\b(got)(ta)\b", r" \1 \2 "),
    (r"\b(wan)(na)\s", r" \1 \2 "),
    (r" ('t)(is|was)\b", r" \1 \2 "),
)


class TreebankTokenizer:
    """Words to ids, as VAL reads them: four marks get names, lower case, Treebank splitting.

    "." is the word part "dotmark", "?" "questionmark", "&" "andmark", "*" "starmark"; then "don't" is do, n't, a
    hyphenated word stays whole, other marks are words. Id 0 is any unknown word, id i + 1 is word i, -1 is padding.

    Args:
        vocabulary: the words, each once.

    Raises:
        ValueError: a word appears twice.

    Reference: Chen et al., CVPR 2020, released code, which calls NLTK's `word_tokenize`; without its splitting into
    sentences, which changes nothing where dots and question marks have names. Differs in padding: the released code
    pads with 0.
    """

    unknown_id = 0

    def __init__(self, vocabulary):
        self._lookup = Lookup(vocabulary)
        self.vocabulary = self._lookup.strings
        self.size = len(self.vocabulary) + 1

    @classmethod
    def count(cls, texts):
        """{word: how often it stands in some texts}, in the order of first appearance.

        Args:
            texts: iterable of str.
        """
        return collections.Counter(word.decode() for word in words(list(texts)).flat_values.numpy())

    def tokenize(self, texts):
        """Ids of the words, int32 [N, L], L the longest text's number of words (at least 1), padded with -1.

        Args:
            texts: list of str.
        """
        return self.in_graph(list(texts)).numpy()

    def in_graph(self, text_B):
        """The same as `tokenize` for a tensor of strings [B]; core TensorFlow only and free of resources."""
        import tensorflow as tf

        found = words(text_B)
        ids_BL = found.with_flat_values(self._lookup.find(found.flat_values) + 1).to_tensor(default_value=-1)
        ids_BL = tf.pad(ids_BL, [[0, 0], [0, tf.maximum(1 - tf.shape(ids_BL)[1], 0)]], constant_values=-1)
        return tf.ensure_shape(ids_BL, [found.shape[0], None])


def words(texts):
    """The words of texts, ragged [B, words]."""
    import tensorflow as tf

    texts = tf.strings.unicode_transcode(tf.convert_to_tensor(texts, tf.string), "UTF-8", "UTF-8", errors="ignore")
    texts = tf.strings.strip(tf.strings.lower(texts, encoding="utf-8"))
    for expression, replacement in (*NAMED_MARKS, *_RULES):
        texts = tf.strings.regex_replace(texts, expression, replacement)
    return tf.strings.split(texts)
