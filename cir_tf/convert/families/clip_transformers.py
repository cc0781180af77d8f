"""CLIP of Hugging Face folders. Their `config.json` tells what the tensors do not: the activation and the heads."""

from cir_tf.convert.base import DENSE, Family, count
from cir_tf.convert.families.clip import ASSUMED, MERGES, text, vit

VISION, TEXT = r"(?:vision_model|visual_projection)\..*", r"(?:text_model|text_projection)\..*"
UNUSED = (r"logit_scale", r".*\.position_ids")
NORM = {"weight": "gamma", "bias": "beta"}


def _blocks(tower):
    block, ours = rf"{tower}\.encoder\.layers\.(\d+)\.", r"block_\1/"
    for theirs, name in NORM.items():
        yield rf"{block}layer_norm([12])\.{theirs}", rf"{ours}norm_\2/{name}", "same"
    for theirs, (name, transform) in DENSE.items():
        for layer, ours_too in (
            (r"self_attn\.q_proj", "attention/query"),
            (r"self_attn\.k_proj", "attention/key"),
            (r"self_attn\.v_proj", "attention/value"),
            (r"self_attn\.out_proj", "attention/output"),
            (r"mlp\.fc1", "mlp_in"),
            (r"mlp\.fc2", "mlp_out"),
        ):
            yield rf"{block}{layer}\.{theirs}", f"{ours}{ours_too}/{name}", transform


def _norm(theirs, ours):
    return [(rf"{theirs}\.{member}", f"{ours}/{name}", "same") for member, name in NORM.items()]


def _vit_encoder(state):
    tables = (state[f"vision_model.embeddings.{name}_embedding.weight"] for name in ("patch", "position"))
    layers = count(state, r"vision_model\.encoder\.layers\.(\d+)\..*")
    return vit(*tables, layers, state["visual_projection.weight"].shape[0])


def _text_encoder(state):
    tables = (state[f"text_model.embeddings.{name}_embedding.weight"] for name in ("token", "position"))
    layers = count(state, r"text_model\.encoder\.layers\.(\d+)\..*")
    return text(*tables, layers, state["text_projection.weight"].shape[0])


def _settings(tower):
    """Of one tower's part of `config.json`; what is not in it is as in OpenAI's ViT-B/32, the library's default."""

    def settings(content):
        said = content.get(f"{tower}_config") or {}
        activation = said.get("hidden_act", "quick_gelu")
        heads = {"heads": said["num_attention_heads"]} if "num_attention_heads" in said else {}
        return {"activation": activation, **heads}

    return settings


VIT = Family(
    name="clip_vit_transformers",
    about="Hugging Face, CLIP, vision transformer",
    detect=(r"vision_model\.embeddings\.class_embedding", r"visual_projection\.weight"),
    part=_vit_encoder,
    rules=(
        (r"vision_model\.embeddings\.patch_embedding\.weight", "patches/kernel", "conv"),
        (r"vision_model\.embeddings\.class_embedding", "class_embedding", "same"),
        (r"vision_model\.embeddings\.position_embedding\.weight", "positional_embedding", "same"),
        *_norm(r"vision_model\.pre_layrnorm", "norm_pre"),
        *_norm(r"vision_model\.post_layernorm", "norm_post"),
        *_blocks("vision_model"),
        (r"visual_projection\.weight", "projection/kernel", "linear"),
    ),
    unused=(*UNUSED, TEXT),
    settings=_settings("vision"),
    assumed=ASSUMED,
)

TEXT_TOWER = Family(
    name="clip_text_transformers",
    about="Hugging Face, CLIP, text tower",
    detect=(r"text_model\.embeddings\.token_embedding\.weight", r"text_projection\.weight"),
    part=_text_encoder,
    rules=(
        (r"text_model\.embeddings\.token_embedding\.weight", "embedding/embeddings", "same"),
        (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding", "same"),
        *_norm(r"text_model\.final_layer_norm", "norm"),
        *_blocks("text_model"),
        (r"text_projection\.weight", "projection/kernel", "linear"),
    ),
    unused=(*UNUSED, VISION),
    tokenizer=MERGES,
    settings=_settings("text"),
    assumed=ASSUMED,
)
