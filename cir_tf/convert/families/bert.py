"""BERT of Hugging Face folders, and of the original TensorFlow names where they were kept."""

import re

from cir_tf.convert.base import DENSE, Family, count
from cir_tf.wordpiece import SPECIAL

BERT = r"(?:bert\.)?"
NORM = {"weight": "gamma", "bias": "beta", "gamma": "gamma", "beta": "beta"}


def attention_rules(layer, attention, ours):
    """Of one post-norm attention.

    Args:
        layer: expression on the names of a layer of the source, with its number as the first group.
        attention: its name there.
        ours: its name with us.
    """
    rules = []
    for theirs, (name, transform) in DENSE.items():
        source = layer + attention
        rules.append((source + rf"\.self\.(query|key|value)\.{theirs}", rf"{ours}/\2/{name}", transform))
        rules.append((source + rf"\.output\.dense\.{theirs}", rf"{ours}/output/{name}", transform))
    for theirs, name in NORM.items():
        rules.append((layer + attention + rf"\.output\.LayerNorm\.{theirs}", rf"{ours}/norm/{name}", "same"))
    return rules


def mlp_rules(layer, suffix, ours):
    """Of one feed-forward branch; arguments as of `attention_rules`, the branch told by the suffix of its names."""
    rules = []
    for theirs, (name, transform) in DENSE.items():
        rules.append((layer + rf"intermediate{suffix}\.dense\.{theirs}", rf"{ours}/in/{name}", transform))
        rules.append((layer + rf"output{suffix}\.dense\.{theirs}", rf"{ours}/out/{name}", transform))
    for theirs, name in NORM.items():
        rules.append((layer + rf"output{suffix}\.LayerNorm\.{theirs}", rf"{ours}/norm/{name}", "same"))
    return rules


def norm_rules(theirs, ours):
    """Of one layer normalisation."""
    return [(rf"{theirs}\.{each}", f"{ours}/{name}", "same") for each, name in NORM.items()]


def sizes(state, prefix):
    """The sizes of the transformer whose names begin with a prefix (an expression): {field: value}.

    Heads are 64 wide in all published ones.
    """

    def shape(expression):
        return next(array.shape for name, array in state.items() if re.fullmatch(prefix + expression, name))

    positions, width = shape(r"embeddings\.position_embeddings\.weight")
    return {
        "width": width,
        "heads": max(1, width // 64),
        "layers": count(state, prefix + r"encoder\.layer\.(\d+)\..*"),
        "mlp_width": shape(r"encoder\.layer\.0\.intermediate\.dense\.bias")[0],
        "positions": positions,
    }


VOCABULARY = "the vocab.txt that came with it, or its folder"


def placeholder_vocabulary(count):
    """Assets of so many pieces, in the place of the published vocabulary."""
    return {"vocabulary.txt": "\n".join([*SPECIAL, *(f"[{i}]" for i in range(len(SPECIAL), count))])}


def encoder(state, prefix=BERT):
    """How a config makes the text encoder of the tensors whose names begin with an expression."""
    words = next(name for name in state if re.fullmatch(prefix + r"embeddings\.word_embeddings\.weight", name))
    assets = placeholder_vocabulary(state[words].shape[0])
    return {"name": "text_bert", "variant": "bert_base", **sizes(state, prefix), "assets": assets}


def rules(prefix=BERT):
    """Of the tensors whose names begin with an expression."""
    tables, layer = prefix + r"embeddings\.", prefix + r"encoder\.layer\.(\d+)\."
    return (
        (tables + r"word_embeddings\.weight", "embedding/words/embeddings", "same"),
        (tables + r"position_embeddings\.weight", "embedding/positions", "same"),
        (tables + r"token_type_embeddings\.weight", "embedding/types", "same"),
        *norm_rules(tables + "LayerNorm", "norm"),
        *attention_rules(layer, "attention", r"block_\1/attention"),
        *mlp_rules(layer, "", r"block_\1/mlp"),
    )


FAMILY = Family(
    name="bert",
    about="Hugging Face, BERT",
    detect=(BERT + r"embeddings\.word_embeddings\.weight", BERT + r"embeddings\.token_type_embeddings\.weight"),
    part=encoder,
    rules=rules(),
    unused=(BERT + r"embeddings\.position_ids", BERT + r"pooler\..*", r"cls\..*"),
    tokenizer=VOCABULARY,
)
