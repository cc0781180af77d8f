"""OpenAI's CLIP: its archives, and what CLIP4Cir, MLCL and CaLa fine-tuned of it."""

from cir_tf.bpe import placeholder_merges
from cir_tf.convert.base import Family, count

ASSUMED = "quick_gelu and heads of width 64, as in OpenAI's models; for others, add 'activation': 'gelu' and 'heads': …"
MERGES = "the merges that came with it: bpe_simple_vocab_16e6.txt.gz of OpenAI, merges.txt of Hugging Face"
UNUSED = (
    r"logit_scale",  # objectives have their own
    r"input_resolution|context_length|vocab_size",  # sizes, written into the archives as if they were weights
    r"(?:.*\.)?num_batches_tracked",
)
BLIP2 = (r"Qformer\..*",)  # takes its vision tower from such a file
TEXT = r"token_embedding\..*|positional_embedding|text_projection|ln_final\..*|transformer\..*"
STAGE, BLOCK = r"visual\.layer([1-4])\.(\d+)\.", r"stage_\1_block_\2/"


def _norm(theirs, ours):
    return [(rf"{theirs}\.weight", rf"{ours}/gamma", "same"), (rf"{theirs}\.bias", rf"{ours}/beta", "same")]


def _linear(theirs, ours):
    return [(rf"{theirs}\.weight", rf"{ours}/kernel", "linear"), (rf"{theirs}\.bias", rf"{ours}/bias", "same")]


def _blocks(prefix):
    block, ours = rf"{prefix}transformer\.resblocks\.(\d+)\.", r"block_\1/"
    packed = ours + "attention/{query,key,value}/"
    return [
        (rf"{block}attn\.in_proj_weight", f"{packed}kernel", "linear"),
        (rf"{block}attn\.in_proj_bias", f"{packed}bias", "same"),
        *_linear(rf"{block}attn\.out_proj", rf"{ours}attention/output"),
        *_norm(rf"{block}ln_([12])", rf"{ours}norm_\2"),
        *_linear(rf"{block}mlp\.c_fc", rf"{ours}mlp_in"),
        *_linear(rf"{block}mlp\.c_proj", rf"{ours}mlp_out"),
    ]


def _batch_norm(theirs, ours):
    return [
        *_norm(theirs, ours),
        (rf"{theirs}\.running_mean", rf"{ours}/moving_mean", "same"),
        (rf"{theirs}\.running_var", rf"{ours}/moving_variance", "same"),
    ]


def vit(patches, positions, layers, width):
    """How a config makes the vision transformer.

    Args:
        patches: the convolution's tensor, [E, 3, patch, patch].
        positions: the table, [1 + h w, E].
        layers: number of blocks.
        width: D.
    """
    token_width, _, patch, _ = patches.shape
    return {
        "name": "image_clip_vit",
        "image_size": round((positions.shape[0] - 1) ** 0.5) * patch,
        "patch": patch,
        "token_width": token_width,
        "heads": token_width // 64,
        "layers": layers,
        "width": width,
    }


def text(table, positions, layers, width):
    """How a config makes the text tower; the published merges are no weights.

    Args:
        table: [vocabulary, E].
        positions: [context, E].
        layers: number of blocks.
        width: D.
    """
    vocabulary, token_width = table.shape
    return {
        "name": "text_clip",
        "assets": {"merges.txt": placeholder_merges(vocabulary)},
        "vocabulary": vocabulary,
        "token_width": token_width,
        "heads": token_width // 64,
        "layers": layers,
        "context": positions.shape[0],
        "width": width,
    }


def _vit_encoder(state):
    layers = count(state, r"visual\.transformer\.resblocks\.(\d+)\..*")
    tables = state["visual.conv1.weight"], state["visual.positional_embedding"]
    return vit(*tables, layers, state["visual.proj"].shape[1])


def _resnet_encoder(state):
    positions, channels = state["visual.attnpool.positional_embedding"].shape
    return {
        "name": "image_clip_resnet",
        "image_size": 32 * round((positions - 1) ** 0.5),
        "stem_width": channels // 32,
        "heads": channels // 64,
        "blocks": tuple(count(state, rf"visual\.layer{stage}\.(\d+)\..*") for stage in (1, 2, 3, 4)),
        "width": state["visual.attnpool.c_proj.weight"].shape[0],
    }


def _text_encoder(state):
    layers = count(state, r"transformer\.resblocks\.(\d+)\..*")
    tables = state["token_embedding.weight"], state["positional_embedding"]
    return text(*tables, layers, state["text_projection"].shape[1])


VIT = Family(
    name="clip_vit",
    about="OpenAI CLIP and its fine-tunings, vision transformer",
    detect=(r"visual\.class_embedding", r"visual\.proj", r"visual\.conv1\.weight"),
    part=_vit_encoder,
    rules=(
        (r"visual\.conv1\.weight", "patches/kernel", "conv"),
        (r"visual\.(class_embedding|positional_embedding)", r"\1", "same"),
        *_norm(r"visual\.ln_(pre|post)", r"norm_\1"),
        *_blocks(r"visual\."),
        (r"visual\.proj", "projection/kernel", "same"),
    ),
    unused=(*UNUSED, TEXT),
    without=BLIP2,
    assumed=ASSUMED,
)

RESNET = Family(
    name="clip_resnet",
    about="OpenAI CLIP and its fine-tunings, ResNet with attention pool",
    detect=(r"visual\.attnpool\.positional_embedding", r"visual\.layer4\.0\.conv3\.weight"),
    part=_resnet_encoder,
    rules=(
        (r"visual\.conv([1-3])\.weight", r"stem_conv_\1/kernel", "conv"),
        *_batch_norm(r"visual\.bn([1-3])", r"stem_norm_\1"),
        (rf"{STAGE}conv([1-3])\.weight", rf"{BLOCK}conv_\3/kernel", "conv"),
        *_batch_norm(rf"{STAGE}bn([1-3])", rf"{BLOCK}norm_\3"),
        (rf"{STAGE}downsample\.0\.weight", f"{BLOCK}shortcut_conv/kernel", "conv"),
        *_batch_norm(rf"{STAGE}downsample\.1", f"{BLOCK}shortcut_norm"),
        (r"visual\.attnpool\.positional_embedding", "attention_pool/positional_embedding", "same"),
        *(
            rule
            for theirs, ours in (("q", "query"), ("k", "key"), ("v", "value"), ("c", "output"))
            for rule in _linear(rf"visual\.attnpool\.{theirs}_proj", f"attention_pool/attention/{ours}")
        ),
    ),
    unused=(*UNUSED, TEXT),
    without=BLIP2,
)

TEXT_TOWER = Family(
    name="clip_text",
    about="OpenAI CLIP and its fine-tunings, text tower",
    detect=(r"token_embedding\.weight", r"text_projection", r"ln_final\.weight"),
    part=_text_encoder,
    rules=(
        (r"token_embedding\.weight", "embedding/embeddings", "same"),
        (r"positional_embedding", r"positional_embedding", "same"),
        *_blocks(""),
        *_norm(r"ln_final", "norm"),
        (r"text_projection", "projection/kernel", "same"),
    ),
    unused=(*UNUSED, r"visual\..*"),
    without=BLIP2,
    tokenizer=MERGES,
    assumed=ASSUMED,
)
