"""BLIP-2's first stage, of LAVIS and of CaLa's fine-tuned copies: vision tower, Q-Former, the Q-Former's text mode.

LAVIS leaves the vision tower out of most of its files. Its names may come from the file of OpenAI's CLIP ViT-L/14
("visual.…") or of EVA's ViT-g/14 (without a prefix) instead, in one dictionary with LAVIS's own.
"""

import re

from cir_tf.convert.base import DENSE, Family, count
from cir_tf.convert.families.bert import (
    NORM,
    attention_rules,
    mlp_rules,
    norm_rules,
    placeholder_vocabulary,
    sizes,
)

CLIP, EVA = r"(?:visual_encoder|visual)\.", r"(?:visual_encoder\.)?"
# The last block of either tower, 23 or 39, is not used by BLIP-2.
CLIP_BLOCK = CLIP + r"transformer\.resblocks\.(\d|1\d|2[0-2])\."
EVA_BLOCK = EVA + r"blocks\.(\d|[12]\d|3[0-8])\."
CLIP_LAYERS = {r"attn\.out_proj": "attention/output", r"mlp\.c_fc": "mlp_in", r"mlp\.c_proj": "mlp_out"}
EVA_LAYERS = {r"attn\.proj": "attention/output", r"mlp\.fc1": "mlp_in", r"mlp\.fc2": "mlp_out"}
BERT = r"Qformer\.bert\."
LAYER = BERT + r"encoder\.layer\.(\d+)\."

VISION = (r"(ln_vision|visual_encoder|visual|patch_embed|blocks)\..*", "cls_token|pos_embed")
TABLES = (BERT + r"embeddings\.(word|position)_embeddings\.weight",)
TEXT_BRANCH = (BERT + r"encoder\.layer\.\d+\.(intermediate|output)\..*",)
QUERY_BRANCH = ("query_tokens", BERT + r"encoder\.layer\.\d+\.(crossattention|intermediate_query|output_query)\..*")
HEADS = (
    BERT + r"embeddings\.position_ids",
    r"Qformer\.cls\..*",
    r"(vision_proj|text_proj|itm_head)\..*",
    "temp",
)
TOWER_FILES = (  # what the files of the vision towers hold besides
    r"visual\.(ln_post\..*|proj|transformer\.resblocks\.23\..*)",
    r"(token_embedding|ln_final|transformer)\..*",
    "positional_embedding|text_projection|logit_scale|input_resolution|context_length|vocab_size",
    r"(blocks\.39|norm|fc_norm|head)\..*",
)


def _vision_rules(ours=""):
    qkv = ours + r"block_\1/attention/{query,key,value}/"
    rules = [
        (CLIP + r"conv1\.weight", f"{ours}patches/kernel", "conv"),
        (CLIP + "class_embedding", f"{ours}class_token", "same"),
        (CLIP + "positional_embedding", f"{ours}positions", "same"),
        (CLIP_BLOCK + r"attn\.in_proj_weight", f"{qkv}kernel", "linear"),
        (CLIP_BLOCK + r"attn\.in_proj_bias", f"{qkv}bias", "same"),
        (EVA + r"patch_embed\.proj\.weight", f"{ours}patches/kernel", "conv"),
        (EVA + r"patch_embed\.proj\.bias", f"{ours}patches/bias", "same"),
        (EVA + "cls_token", f"{ours}class_token", lambda array: array[0, 0]),
        (EVA + "pos_embed", f"{ours}positions", lambda array: array[0]),
        (EVA_BLOCK + r"attn\.qkv\.weight", f"{qkv}kernel", "linear"),
        (EVA_BLOCK + r"attn\.q_bias", ours + r"block_\1/attention/query/bias", "same"),
        (EVA_BLOCK + r"attn\.v_bias", ours + r"block_\1/attention/value/bias", "same"),
        *norm_rules(CLIP + "ln_pre", f"{ours}norm_in"),
        *norm_rules("ln_vision", f"{ours}norm_out"),
    ]
    for block, layers in ((CLIP_BLOCK, CLIP_LAYERS), (EVA_BLOCK, EVA_LAYERS)):
        for theirs, (name, transform) in DENSE.items():
            rules += [
                (block + rf"{layer}\.{theirs}", ours + rf"block_\1/{own}/{name}", transform)
                for layer, own in layers.items()
            ]
        for theirs, name in NORM.items():
            rules.append((block + rf"(?:ln_|norm)([12])\.{theirs}", ours + rf"block_\1/norm_\2/{name}", "same"))
    return tuple(rules)


def _query_rules(ours=""):
    """What image mode reads of the Q-Former."""
    return (
        ("query_tokens", f"{ours}queries", lambda array: array[0]),
        *norm_rules(BERT + r"embeddings\.LayerNorm", f"{ours}norm"),
        *attention_rules(LAYER, "attention", ours + r"block_\1/attention"),
        *attention_rules(LAYER, "crossattention", ours + r"block_\1/cross_attention"),
        *mlp_rules(LAYER, "_query", ours + r"block_\1/query_mlp"),
    )


def _table_rules(ours):
    return (
        (BERT + r"embeddings\.word_embeddings\.weight", f"{ours}/words/embeddings", "same"),
        (BERT + r"embeddings\.position_embeddings\.weight", f"{ours}/positions", "same"),
    )


def _shape(state, expression):
    return next(array.shape for name, array in state.items() if re.fullmatch(expression, name))


def _tower(state):
    clip = any(re.fullmatch(CLIP + "class_embedding", name) for name in state)
    width, _, patch, _ = _shape(state, CLIP + r"conv1\.weight" if clip else EVA + r"patch_embed\.proj\.weight")
    positions = _shape(state, CLIP + "positional_embedding" if clip else EVA + "pos_embed")[-2]
    return {
        "variant": "vit_l" if clip else "eva_g",
        "image_size": round((positions - 1) ** 0.5) * patch,
        "width": width,
        "heads": max(1, width // (64 if clip else 88)),
        "layers": count(state, (CLIP_BLOCK if clip else EVA_BLOCK) + ".*"),
        "mlp_width": _shape(state, CLIP_BLOCK + r"mlp\.c_fc\.bias" if clip else EVA_BLOCK + r"mlp\.fc1\.bias")[0],
        "patch": patch,
    }


def _qformer(state):
    crossed = count(state, LAYER + r"crossattention\..*")
    found = sizes(state, BERT)
    cross_every = -(-found["layers"] // crossed)
    return {**found, "queries": state["query_tokens"].shape[1], "cross_every": cross_every}


def _image(state):
    tower = _tower(state)
    common = {"variant": tower.pop("variant"), "image_size": tower.pop("image_size")}
    return {"name": "image_blip2", **common, "tower": tower, "qformer": _qformer(state)}


def _text(state):
    rows = _shape(state, TABLES[0].replace("(word|position)", "word"))[0]
    assets = placeholder_vocabulary(rows - 1)  # [DEC] is a row, and no piece of the vocabulary
    return {"name": "text_bert", "variant": "blip2", **sizes(state, BERT), "assets": assets}


ANY_TOWER = rf"{CLIP}class_embedding|{EVA}cls_token"

VIT = Family(
    name="blip2_vit",
    about="LAVIS, BLIP-2's vision tower",
    detect=(ANY_TOWER, r"ln_vision\.weight"),
    part=lambda state: {"name": "image_blip2_vit", **_tower(state)},
    rules=_vision_rules(),
    unused=("query_tokens", r"Qformer\.bert\..*", *HEADS, *TOWER_FILES),
)

IMAGE = Family(
    name="blip2_image",
    about="LAVIS, BLIP-2's vision tower and the Q-Former's image mode",
    detect=(ANY_TOWER, r"ln_vision\.weight", "query_tokens"),
    part=_image,
    rules=(*_vision_rules("tower/"), *_query_rules("qformer/")),
    unused=(*TABLES, *TEXT_BRANCH, *HEADS, *TOWER_FILES),
)

TEXT = Family(
    name="blip2_text",
    about="LAVIS, BLIP-2's Q-Former as a text tower",
    detect=("query_tokens", BERT + r"embeddings\.word_embeddings\.weight"),
    part=_text,
    rules=(
        *_table_rules("embedding"),
        *norm_rules(BERT + r"embeddings\.LayerNorm", "norm"),
        *attention_rules(LAYER, "attention", r"block_\1/attention"),
        *mlp_rules(LAYER, "", r"block_\1/mlp"),
    ),
    unused=(*QUERY_BRANCH, *HEADS, *VISION, *TOWER_FILES),
    tokenizer="vocab.txt of bert-base-uncased",
)

# The whole Q-Former is no encoder but a layer, `cir_tf.qformer.QFormer`, so that the command does not list it.
LAYERS = {
    "qformer": Family(
        name="blip2_qformer",
        about="LAVIS, BLIP-2's Q-Former in all its modes",
        detect=TEXT.detect,
        part=_qformer,
        rules=(*_query_rules(), *_table_rules("text"), *mlp_rules(LAYER, "", r"block_\1/text_mlp")),
        unused=(*HEADS, *VISION, *TOWER_FILES),
    )
}
