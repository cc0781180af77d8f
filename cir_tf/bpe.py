"""CLIP's byte-pair tokenizer, in the graph.

Dimension key: B or N texts, L tokens of a text, W words of all texts, U different words, T symbols of all different
words, M merges.
"""

import functools
import gzip
import itertools
import json
import zlib
from pathlib import Path

import numpy as np

from cir_tf.cleaning import cleaned
from cir_tf.errors import UserError

PUBLISHED_MERGES = 49152 - 256 - 2  # the released file is longer than what the released code reads of it
_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"(?i)(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\pL+|\pN|[^ \pL\pN]+)"
_FINAL = "</w>"  # what the last symbol of a word ends in
_NEVER = 2**31 - 1  # the rank of a pair that is not merged


class BytePairTokenizer:
    """Texts to ids: clean, split into words, merge the bytes of each word by rank.

    Ids: 256 bytes, the same 256 at the end of a word, one for each merge, then start and end of text. A word is a run
    of letters, one digit, an English contraction, or a run of other characters. Of the adjacent pairs of a word, all
    that stand highest in the list of merges are joined, until none is in it. A text is [start, …, end], cut to
    `context` tokens with the last one the end.

    Args:
        assets: {"merges.txt": the merges, one pair per line, with or without the published file's first line;
            "vocabulary.json" if one wants it checked: {symbol: id}}. Without merges every byte is a token.
        context: the largest number of tokens, of start and end too.

    Attributes:
        size: number of ids; the end has the largest one.
        placeholder_id: of the word `*`.
        unknown_id: -1, for there are no unknown words.

    Raises:
        ValueError: a line that is no pair of earlier symbols, or a vocabulary that these merges do not give.

    Reference: Sennrich et al., ACL 2016; the code released with Radford et al., ICML 2021. Differs from that in
    padding, which is -1 (there 0, a true token; the tower reads both alike), in the length of a row, which is that of
    the longest text, and in the cleaning as `cir_tf.cleaning` says.
    """

    unknown_id = -1

    def __init__(self, assets, context=77):
        self.context = context
        pairs = [tuple(line.split(" ")) for line in _merge_lines(assets["merges.txt"])]
        symbols = list(_printable().values())
        symbols += [symbol + _FINAL for symbol in symbols]
        symbols += ["".join(pair) for pair in pairs] + [_START, _END]
        ids = {symbol: number for number, symbol in enumerate(symbols)}
        for number, pair in enumerate(pairs):
            if len(pair) != 2 or not all(part in ids for part in pair):
                raise ValueError(
                    f"Every merge joins two earlier symbols. Received: {' '.join(pair)!r}, merge {number}."
                )
        if "vocabulary.json" in assets and json.loads(assets["vocabulary.json"]) != ids:
            raise ValueError(
                f"The vocabulary is what the merges give. Received: vocabulary.json, another one than that of "
                f"{len(pairs)} merges. Give the two files of one tokenizer."
            )
        self.size, self.start_id, self.end_id = len(symbols), ids[_START], ids[_END]
        self.placeholder_id = ids["*" + _FINAL]
        self._byte_ids = np.array([ids[_printable()[byte]] for byte in range(256)], np.int32)
        keys = np.array([-1] + [ids[left] * self.size + ids[right] for left, right in pairs], np.int64)
        order = np.argsort(keys)  # -1, which no pair has, keeps the table from being empty
        self._keys, self._ranks = keys[order], np.array([_NEVER, *range(len(pairs))], np.int32)[order]
        self._merged = np.array([ids[left + right] for left, right in pairs] + [0], np.int32)

    def tokenize(self, texts):
        """Ids, int32 [N, L], L the number of tokens of the longest text, padded with -1.

        Args:
            texts: list of str.
        """
        import tensorflow as tf

        return self._compiled(tf.constant(list(texts), tf.string, [len(texts)])).numpy()

    def in_graph(self, text_B):
        """The same as `tokenize` for a tensor of strings [B]; core TensorFlow only and free of resources."""
        import tensorflow as tf

        text_B = tf.convert_to_tensor(text_B, tf.string)
        words = tf.strings.split(tf.strings.regex_replace(cleaned(text_B), _WORDS, r" \1 "))
        word_U, which_W = tf.unique(words.flat_values)
        ids = words.with_flat_values(tf.gather(self._tokens(word_U), which_W)).merge_dims(1, 2)[:, : self.context - 2]
        edge_B1 = tf.ones_like(tf.expand_dims(ids.row_lengths(), 1), tf.int32)
        ids_BL = tf.concat([edge_B1 * self.start_id, ids, edge_B1 * self.end_id], axis=1).to_tensor(default_value=-1)
        return tf.ensure_shape(ids_BL, [text_B.shape[0], None])

    @functools.cached_property
    def _compiled(self):
        import tensorflow as tf

        compiled = tf.function(self.in_graph, [tf.TensorSpec([None], tf.string)], autograph=False)
        return compiled.get_concrete_function()  # called directly, or many tokenizers look like one retraced function

    def _tokens(self, word_U):
        """The ids of each word, ragged [U, tokens]."""
        import tensorflow as tf

        special_U = tf.where(word_U == _START, self.start_id, tf.where(word_U == _END, self.end_id, -1))
        word_U = tf.where(special_U >= 0, "!", word_U)  # one symbol, replaced below
        length_U = tf.strings.length(word_U)
        byte_T = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(word_U), tf.uint8), tf.int32)
        word_T = tf.repeat(tf.range(tf.size(word_U, tf.int64)), length_U)
        is_last_T = tf.concat([word_T[1:] != word_T[:-1], tf.ones_like(word_T[:1], tf.bool)], axis=0)
        symbol_T = tf.gather(self._byte_ids, byte_T) + 256 * tf.cast(is_last_T, tf.int32)
        special_T = tf.gather(special_U, word_T)
        symbol_T, word_T, _ = tf.while_loop(
            lambda symbol_T, word_T, merged: merged,
            self._merge_once,
            (tf.where(special_T >= 0, special_T, symbol_T), word_T, tf.constant(True)),
            shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([])),
        )
        return tf.RaggedTensor.from_value_rowids(symbol_T, word_T, nrows=tf.size(word_U, tf.int64))

    def _merge_once(self, symbol_T, word_T, _):
        """Join all pairs of each word's best kind, of all words at once."""
        import tensorflow as tf

        key_T = tf.cast(symbol_T[:-1], tf.int64) * self.size + tf.cast(symbol_T[1:], tf.int64)
        place_T = tf.minimum(tf.searchsorted(self._keys, key_T), len(self._keys) - 1)
        known_T = (tf.gather(self._keys, place_T) == key_T) & (word_T[:-1] == word_T[1:])
        rank_T = tf.where(known_T, tf.gather(self._ranks, place_T), _NEVER)
        best_T = tf.gather(tf.math.segment_min(rank_T, word_T[:-1]), word_T[:-1])
        chosen_T = _every_second(known_T & (rank_T == best_T))
        first = tf.ones_like(word_T[:1], tf.bool)
        merged_T = tf.gather(self._merged, tf.where(chosen_T, rank_T, 0))
        symbol_T = tf.concat([tf.where(chosen_T, merged_T, symbol_T[:-1]), symbol_T[-1:]], axis=0)
        keep_T = tf.concat([first, ~chosen_T], axis=0)
        return tf.boolean_mask(symbol_T, keep_T), tf.boolean_mask(word_T, keep_T), tf.reduce_any(chosen_T)


def _every_second(chosen_T):
    """Of each run of True the first, third, …: pairs of equal symbols overlap, and the left one goes first."""
    import tensorflow as tf

    place_T = tf.range(tf.size(chosen_T))
    begins_T = chosen_T & ~tf.concat([tf.zeros_like(chosen_T[:1]), chosen_T[:-1]], axis=0)
    run_T = tf.cumsum(tf.cast(begins_T, tf.int32))
    begin_T = tf.gather(tf.concat([[0], tf.boolean_mask(place_T, begins_T)], axis=0), run_T)
    return chosen_T & ((place_T - begin_T) % 2 == 0)


def read_merges(path):
    """The assets of a published tokenizer.

    Args:
        path: `merges.txt` as Hugging Face has it, or OpenAI's `bpe_simple_vocab_16e6.txt.gz`, or a folder with either.

    Raises:
        UserError: no such file, or no text in it.
    """
    path = Path(path)
    if path.is_dir():
        names = ("merges.txt", "bpe_simple_vocab_16e6.txt.gz")
        path = next((path / name for name in names if (path / name).exists()), path / names[0])
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"cannot read the merges of CLIP's tokenizer: {path}: {error}") from error
    return {"merges.txt": "".join(f"{line}\n" for line in _merge_lines(text))}


def placeholder_merges(size):
    """Merges that mean nothing, for a tokenizer of so many ids of which only the number matters."""
    characters = _printable().values()
    count = max(0, size - 2 * len(characters) - 2)
    pairs = itertools.islice(itertools.product(characters, repeat=2), count)
    return "".join(f"{left} {right}\n" for left, right in pairs)


def _merge_lines(text):
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return [line for line in lines[1 if "#version" in lines[0] else 0 :] if line][:PUBLISHED_MERGES]


@functools.cache
def _printable():
    """{byte: a character that prints}, first those that print themselves; their order is that of the ids."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + i) for i, byte in enumerate(others)}
