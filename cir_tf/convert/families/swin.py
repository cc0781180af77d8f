"""Swin Transformers of timm, old and new, alone or in a ComqueryFormer checkpoint."""

from cir_tf.convert.base import DENSE, Family, count

NORM = {"weight": "gamma", "bias": "beta"}
LAYERS = {r"attn\.proj": "attention/output", r"mlp\.fc1": "mlp_in", r"mlp\.fc2": "mlp_out"}


def rules(prefix, merge_offset=0):
    """Of tensors whose names begin with an expression.

    Args:
        prefix: the expression.
        merge_offset: 0 where a merging is the end of its stage, 1 where it is the start of the next.
    """
    block, ours = prefix + r"layers\.(\d+)\.blocks\.(\d+)\.", r"stage_\1_block_\2/"
    found = [
        (prefix + r"patch_embed\.proj\.weight", "stem_conv/kernel", "conv"),
        (prefix + r"patch_embed\.proj\.bias", "stem_conv/bias", "same"),
        (block + r"attn\.relative_position_bias_table", ours + "relative_position", "same"),
    ]
    for theirs, name in NORM.items():
        found.append((prefix + rf"patch_embed\.norm\.{theirs}", f"stem_norm/{name}", "same"))
        found.append((prefix + rf"norm\.{theirs}", f"final_norm/{name}", "same"))
        found.append((block + rf"norm([12])\.{theirs}", ours + rf"norm_\3/{name}", "same"))
    for theirs, (name, transform) in DENSE.items():
        found.append((block + rf"attn\.qkv\.{theirs}", ours + "attention/{query,key,value}/" + name, transform))
        found += [(block + rf"{layer}\.{theirs}", ours + f"{own}/{name}", transform) for layer, own in LAYERS.items()]
    for stage in range(3):
        merge = prefix + rf"layers\.{stage + merge_offset}\.downsample\."
        found.append((merge + r"reduction\.weight", f"stage_{stage}_merge/dense/kernel", "linear"))
        for theirs, name in NORM.items():
            found.append((merge + rf"norm\.{theirs}", f"stage_{stage}_merge/norm/{name}", "same"))
    return tuple(found)


def encoder(prefix):
    """How a config makes the encoder of a state, in which its tensors' names begin with a prefix."""

    def arguments(state):
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

    return arguments


def unused(prefix):
    """What timm's files hold besides: a classifier, and tables that follow from the sizes."""
    return (prefix + r"head\..*", prefix + r".*\.(relative_position_index|attn_mask)")


FAMILY = Family(
    name="swin",
    about="timm up to 0.6 and Microsoft's own files, Swin Transformer",
    detect=(r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table", r"layers\.0\.downsample\.reduction\.weight"),
    part=encoder(""),
    rules=rules(""),
    unused=unused(""),
)

NEWER = Family(
    name="swin_newer",
    about="timm from 0.8, Swin Transformer",
    detect=(r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table", r"layers\.3\.downsample\.reduction\.weight"),
    part=encoder(""),
    rules=rules("", merge_offset=1),
    unused=unused(""),
)

COMQUERYFORMER = Family(
    name="comqueryformer_image",
    about="ComqueryFormer, image tower",
    detect=(r"image_transformer\.layers\.0\.blocks\.0\.attn\.relative_position_bias_table",),
    part=encoder("image_transformer."),
    rules=rules(r"image_transformer\."),
    # METER's copy of timm builds a classifier that nothing calls; the rest is the other two families'.
    unused=(*unused(r"image_transformer\."), r"(?!image_transformer\.).*"),
)
