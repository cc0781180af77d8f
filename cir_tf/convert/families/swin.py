"""Swin Transformers of timm, old and new, alone or in a ComqueryFormer checkpoint."""

from cir_tf.convert.base import Family, count

NORM = {"weight": "gamma", "bias": "beta"}
DENSE = {"weight": ("kernel", "linear"), "bias": ("bias", "same")}
LAYERS = {r"attn\.proj": "attention/output", r"mlp\.fc1": "mlp_in", r"mlp\.fc2": "mlp_out"}


def _rules(prefix, merge_offset=0):
    """`merge_offset`: 0 where a merging is the end of its stage, 1 where it is the start of the next."""
    block, ours = prefix + r"layers\.(\d+)\.blocks\.(\d+)\.", r"stage_\1_block_\2/"
    rules = [
        (prefix + r"patch_embed\.proj\.weight", "stem_conv/kernel", "conv"),
        (prefix + r"patch_embed\.proj\.bias", "stem_conv/bias", "same"),
        (block + r"attn\.relative_position_bias_table", ours + "relative_position", "same"),
    ]
    for theirs, name in NORM.items():
        rules.append((prefix + rf"patch_embed\.norm\.{theirs}", f"stem_norm/{name}", "same"))
        rules.append((prefix + rf"norm\.{theirs}", f"final_norm/{name}", "same"))
        rules.append((block + rf"norm([12])\.{theirs}", ours + rf"norm_\3/{name}", "same"))
    for theirs, (name, transform) in DENSE.items():
        rules.append((block + rf"attn\.qkv\.{theirs}", ours + "attention/{query,key,value}/" + name, transform))
        rules += [(block + rf"{layer}\.{theirs}", ours + f"{own}/{name}", transform) for layer, own in LAYERS.items()]
    for stage in range(3):
        merge = prefix + rf"layers\.{stage + merge_offset}\.downsample\."
        rules.append((merge + r"reduction\.weight", f"stage_{stage}_merge/dense/kernel", "linear"))
        for theirs, name in NORM.items():
            rules.append((merge + rf"norm\.{theirs}", f"stage_{stage}_merge/norm/{name}", "same"))
    return tuple(rules)


def _encoder(prefix):
    def encoder(state):
        tables = [
            state[f"{prefix}layers.{stage}.blocks.0.attn.relative_position_bias_table"].shape for stage in range(4)
        ]
        window = (round(tables[0][0] ** 0.5) + 1) // 2
        start = prefix.replace(".", r"\.")
        return {
            "name": "image_swin",
            "image_size": 32 * window,
            "stem_width": state[f"{prefix}patch_embed.proj.weight"].shape[0],
            "blocks": tuple(count(state, start + rf"layers\.{stage}\.blocks\.(\d+)\..*") for stage in range(4)),
            "heads": tuple(shape[1] for shape in tables),
        }

    return encoder


def _unused(prefix):
    return (prefix + r"head\..*", prefix + r".*\.(relative_position_index|attn_mask)")


FAMILY = Family(
    name="swin",
    about="timm up to 0.6 and Microsoft's own files, Swin Transformer",
    detect=(r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table", r"layers\.0\.downsample\.reduction\.weight"),
    encoder=_encoder(""),
    rules=_rules(""),
    unused=_unused(""),
)

NEWER = Family(
    name="swin_newer",
    about="timm from 0.8, Swin Transformer",
    detect=(r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table", r"layers\.3\.downsample\.reduction\.weight"),
    encoder=_encoder(""),
    rules=_rules("", merge_offset=1),
    unused=_unused(""),
)

COMQUERYFORMER = Family(
    name="comqueryformer_image",
    about="ComqueryFormer, image tower",
    detect=(r"image_transformer\.layers\.0\.blocks\.0\.attn\.relative_position_bias_table",),
    encoder=_encoder("image_transformer."),
    rules=_rules(r"image_transformer\."),
    # METER's copy of timm builds a classifier that nothing calls; the rest is not the image tower's.
    unused=(*_unused(r"image_transformer\."), r"(?!image_transformer\.).*"),
)
