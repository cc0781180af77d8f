"""CLIP of Hugging Face folders. Their `config.json` must say `"hidden_act": "quick_gelu"`, as OpenAI's models do."""

from cir_tf.convert.base import Family, count

VISION, TEXT = r"(?:vision_model|visual_projection)\..*", r"(?:text_model|text_projection)\..*"
UNUSED = (r"logit_scale", r".*\.position_ids")
NORM = {"weight": "gamma", "bias": "beta"}
DENSE = {"weight": ("kernel", "linear"), "bias": ("bias", "same")}


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
    token_width, _, patch, _ = state["vision_model.embeddings.patch_embedding.weight"].shape
    grid = round((state["vision_model.embeddings.position_embedding.weight"].shape[0] - 1) ** 0.5)
    return {
        "name": "image_clip_vit",
        "image_size": grid * patch,
        "patch": patch,
        "token_width": token_width,
        "heads": token_width // 64,
        "layers": count(state, r"vision_model\.encoder\.layers\.(\d+)\..*"),
        "width": state["visual_projection.weight"].shape[0],
    }


def _text_encoder(state):
    vocabulary, token_width = state["text_model.embeddings.token_embedding.weight"].shape
    return {
        "name": "text_clip",
        "assets": {"merges.txt": ""},  # the published merges are no weights
        "vocabulary": vocabulary,
        "token_width": token_width,
        "heads": token_width // 64,
        "layers": count(state, r"text_model\.encoder\.layers\.(\d+)\..*"),
        "context": state["text_model.embeddings.position_embedding.weight"].shape[0],
        "width": state["text_projection.weight"].shape[0],
    }


VIT = Family(
    name="clip_vit_transformers",
    about="Hugging Face, CLIP with quick_gelu, vision transformer",
    detect=(r"vision_model\.embeddings\.class_embedding", r"visual_projection\.weight"),
    encoder=_vit_encoder,
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
)

TEXT_TOWER = Family(
    name="clip_text_transformers",
    about="Hugging Face, CLIP with quick_gelu, text tower",
    detect=(r"text_model\.embeddings\.token_embedding\.weight", r"text_projection\.weight"),
    encoder=_text_encoder,
    rules=(
        (r"text_model\.embeddings\.token_embedding\.weight", "embedding/embeddings", "same"),
        (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding", "same"),
        *_norm(r"text_model\.final_layer_norm", "norm"),
        *_blocks("text_model"),
        (r"text_projection\.weight", "projection/kernel", "linear"),
    ),
    unused=(*UNUSED, VISION),
)
