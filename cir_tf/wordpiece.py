"""BERT's WordPiece tokenizer, in the graph.

Dimension key: B or N texts, L word pieces, W words, P lengths of a piece, K characters.
"""

import functools
import unicodedata

import numpy as np

from cir_tf.lookup import Lookup

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100  # characters; a longer word is unknown
_IDEOGRAPHS = (
    r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)
_CHARACTERS = (range(0x3400), range(0xA000, 0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200))


class WordPieceTokenizer:
    """Texts to [CLS] pieces [SEP]: clean, lower, strip accents, split at punctuation, then the longest pieces first.

    Padding is -1. A special piece that is written in a text is text: brackets and letters.

    Args:
        vocabulary: the pieces in the order of their ids; "##" begins a piece that continues a word.
        max_length: longest result with [CLS] and [SEP]; the rest of the text is cut.

    Raises:
        ValueError: a special piece is missing, or a piece appears twice.

    Reference: Devlin et al., NAACL 2019 (arXiv 1810.04805), released uncased tokenizer. KerasHub's splits words at
    invisible characters and not at no-break spaces, and its two paths fold some letters differently.
    """

    def __init__(self, vocabulary, max_length=512):
        pieces = [piece.rstrip("\r") for piece in vocabulary]
        self.vocabulary = tuple(pieces[:-1] if pieces[-1:] == [""] else pieces)  # a file ends in a line break
        missing = [piece for piece in SPECIAL[:4] if piece not in self.vocabulary]
        if missing:
            raise ValueError(
                f"A vocabulary holds {', '.join(SPECIAL[:4])}. Received: one of {len(self.vocabulary)} pieces without "
                f"{', '.join(missing)}. Use the vocab.txt that came with the weights."
            )
        self.size, self.max_length = len(self.vocabulary), max_length
        self._lookup = Lookup(self.vocabulary)
        self._longest = max(len(piece.removeprefix("##")) for piece in self.vocabulary)
        self.unknown_id = self.id_of("[UNK]")

    def id_of(self, piece):
        """The id of a piece.

        Raises:
            ValueError: the vocabulary does not have it.
        """
        if piece not in self.vocabulary:
            raise ValueError(f"The vocabulary has no such piece. Received: {piece!r}. Use another vocabulary.")
        return self.vocabulary.index(piece)

    @classmethod
    def vocabulary_of(cls, texts):
        """A small vocabulary: the special pieces, "*", the words of some texts, and their characters alone.

        Args:
            texts: iterable of str.
        """
        import tensorflow as tf

        words = sorted({word.decode() for word in _words(tf.constant(list(texts), tf.string)).flat_values.numpy()})
        characters = sorted({character for word in words for character in word})
        pieces = [*SPECIAL, "*", *characters, *(f"##{character}" for character in characters), *words]
        return list(dict.fromkeys(pieces))

    def tokenize(self, texts):
        """Ids, int32 [N, L], L the longest text's number of pieces with [CLS] and [SEP], padded with -1.

        Args:
            texts: list of str.
        """
        return self._compiled(list(texts)).numpy()

    @functools.cached_property
    def _compiled(self):  # called outside a graph, every operation would read the whole vocabulary anew
        import tensorflow as tf

        return tf.function(self.in_graph, input_signature=[tf.TensorSpec([None], tf.string)])

    def in_graph(self, text_B):
        """The same as `tokenize` for a tensor of strings [B]; core TensorFlow only and free of resources."""
        import tensorflow as tf

        text_B = tf.convert_to_tensor(text_B, tf.string)
        words = _words(text_B)
        ids = words.with_flat_values(self._pieces(words.flat_values)).merge_dims(1, 2)[:, : self.max_length - 2]
        ends = tf.ones([ids.nrows(), 1], tf.int32)
        ids = tf.concat([ends * self.id_of("[CLS]"), ids, ends * self.id_of("[SEP]")], axis=1)
        return tf.ensure_shape(ids.to_tensor(default_value=-1), [text_B.shape[0], None])

    def _pieces(self, word_W):
        """Ids of each word's pieces, ragged [W, pieces]: the longest piece that fits, again and again."""
        import tensorflow as tf

        length_W = tf.strings.length(word_W, "UTF8_CHAR")
        ids_W1 = tf.fill([tf.size(word_W), 1], -1)  # a first column, so that no word at all has a shape too
        start_W = tf.where(length_W > LONGEST_WORD, -1, 0)

        def unfinished(ids_WL, start_W):
            return tf.reduce_any((start_W >= 0) & (start_W < length_W))

        def step(ids_WL, start_W):
            open_W1 = tf.where((start_W >= 0) & (start_W < length_W))
            word, start = tf.gather_nd(word_W, open_W1), tf.gather_nd(start_W, open_W1)
            id_, end = self._longest_piece(word, start, tf.gather_nd(length_W, open_W1))
            column_W = tf.tensor_scatter_nd_update(tf.fill([tf.size(word_W)], -1), open_W1, id_)
            return tf.concat([ids_WL, column_W[:, None]], 1), tf.tensor_scatter_nd_update(start_W, open_W1, end)

        shapes = [tf.TensorShape([None, None]), tf.TensorShape([None])]
        ids_WL, start_W = tf.while_loop(unfinished, step, [ids_W1, start_W], shape_invariants=shapes)
        unknown_W1 = tf.fill([tf.size(word_W), 1], self.unknown_id)
        unknown_WL = tf.concat([unknown_W1, tf.fill(tf.shape(ids_WL[:, 1:]), -1)], 1)
        ids_WL = tf.where((start_W < 0)[:, None], unknown_WL, ids_WL)
        return tf.ragged.boolean_mask(ids_WL, ids_WL >= 0)

    def _longest_piece(self, word_W, start_W, length_W):
        """(id, end) of the longest piece of each word from its start; end -1 where none fits."""
        import tensorflow as tf

        size_P = tf.range(self._longest, 0, -1)
        end_WP = start_W[:, None] + size_P
        shape = tf.shape(end_WP)
        begin_WP = tf.broadcast_to(start_W[:, None], shape)
        piece_WP = tf.strings.substr(tf.broadcast_to(word_W[:, None], shape), begin_WP, end_WP - begin_WP, "UTF8_CHAR")
        piece_WP = tf.where(begin_WP > 0, "##" + piece_WP, piece_WP)
        found_WP = tf.where(end_WP <= length_W[:, None], self._lookup.find(piece_WP), -1)
        best_W = tf.argmax(found_WP >= 0, axis=1, output_type=tf.int32)
        id_W = tf.gather(found_WP, best_W, axis=1, batch_dims=1)
        return id_W, tf.where(id_W >= 0, tf.gather(end_WP, best_W, axis=1, batch_dims=1), -1)


def _words(texts):
    """Ragged [B, words]: cleaned, lower case, without accents; punctuation and ideographs are words."""
    import tensorflow as tf

    texts = tf.strings.regex_replace(texts, _IDEOGRAPHS, r" \0 ")
    codes, rows, values = _plain_characters()
    text_BK = tf.strings.unicode_decode(texts, "UTF-8", errors="ignore")
    code_T = text_BK.flat_values
    place_T = tf.minimum(tf.searchsorted(codes, code_T), len(codes) - 1)
    plain = tf.RaggedTensor.from_row_splits(values, rows, validate=False)
    same = tf.RaggedTensor.from_uniform_row_length(code_T, 1)
    place_T = tf.where(tf.gather(codes, place_T) == code_T, place_T, len(codes) + tf.range(tf.size(code_T)))
    code = tf.gather(tf.concat([plain, same], axis=0), place_T)
    return tf.strings.split(tf.strings.unicode_encode(text_BK.with_flat_values(code).merge_dims(1, 2), "UTF-8"))


@functools.cache
def _plain_characters():
    """(code points that change, sorted; row splits and code points of what they become), as arrays."""
    changed = {code: plain for codes in _CHARACTERS for code in codes if (plain := _plain(chr(code))) != chr(code)}
    rows = np.cumsum([0, *map(len, changed.values())])
    values = [ord(character) for plain in changed.values() for character in plain]
    return np.array(list(changed), np.int32), rows, np.array(values, np.int32)


def _plain(character):
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    if character in "\0\ufffd" or category in ("Cc", "Cf", "Co"):
        return ""
    letters = unicodedata.normalize("NFD", character.lower())
    letters = [letter for letter in letters if unicodedata.category(letter) != "Mn"]
    return "".join(f" {letter} " if _is_punctuation(letter) else letter for letter in letters)


def _is_punctuation(character):
    ascii_mark = character.isascii() and character.isprintable() and not (character.isalnum() or character == " ")
    return ascii_mark or unicodedata.category(character).startswith("P")
