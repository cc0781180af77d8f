"""ComqueryFormer's checkpoints: text tower and compositor; the image tower is in `swin`.

Left out is what nothing reads: the last cross-modal layer of the text, both poolers of the text, and the second name
that the code has for the last dense layer of either side.
"""

from cir_tf.convert.base import CONV, DENSE, Family, count
from cir_tf.convert.families import bert
from cir_tf.types import Features

IMAGE, TEXT = r"image_transformer\.", r"text_transformer\."
LAYERS = 4
TWICE = r"(text|image)_linear\..*"


def rules(layers=LAYERS):
    """Of the compositor, with so many cross-modal layers."""
    found = [
        (r"token_type_embeddings\.weight", "streams/types", "same"),
        (r"normalization_layer\.norm_s", "pooler/scale", "scalar"),
    ]
    for theirs, (name, transform) in DENSE.items():
        found.append((rf"image_pooler\.dense\.{theirs}", f"pooler/dense/{name}", transform))
        found.append((rf"(image|text)_linears\.(\d+)\.{theirs}", rf"\1_dense_\2/{name}", transform))
    for theirs, ours in (("ref", "query"), ("tar", "target")):
        region, place = rf"local_region_{theirs}\.(\d+)\.", rf"{ours}_regions_\1"
        found.append((region + r"normalization_layer\.norm_s", f"{place}/scale", "scalar"))
        for member, (name, transform) in CONV.items():
            found.append((region + rf"spatial_att\.{member}", f"{place}/masks/{name}", transform))
    for stream, number in (("image", layers), ("text", layers - 1)):
        layer = rf"cross_modal_{stream}_layers\.({'|'.join(map(str, range(number)))})\."
        place = rf"streams/{stream}_\1"
        found += bert.attention_rules(layer, "attention", f"{place}/attention")
        found += bert.attention_rules(layer, "crossattention", f"{place}/cross_attention")
        found += bert.mlp_rules(layer, "", f"{place}/mlp")
    return tuple(found)


def _compositor(state):
    hidden, width = state["cross_modal_image_layers.0.intermediate.dense.weight"].shape
    return {
        "name": "comqueryformer",
        "width": width,
        "layers": LAYERS,
        "mlp_ratio": hidden // width,
        "regions": state["local_region_ref.0.spatial_att.bias"].shape[0],
    }


def _features(state):
    levels = range(count(state, r"image_linears\.(\d+)\.weight"))
    channels = [state[f"image_linears.{level}.weight"].shape[1] for level in levels]
    widths = [state[f"text_linears.{level}.weight"].shape[1] for level in levels]
    texts = tuple((2, 3, width) for width in widths)
    image = Features((2, channels[-1]), maps=tuple((2, 2, 2, each) for each in channels))
    return image, Features((2, widths[-1]), texts[-1], maps=texts)


def _text_encoder(state):
    made = bert.encoder(state, TEXT)
    levels, layers = count(state, r"text_linears\.(\d+)\.weight"), made["layers"]
    return {**made, "taps": tuple(range(layers - levels + 1, layers + 1)), "max_length": min(40, made["positions"])}


COMPOSITOR = Family(
    name="comqueryformer",
    about="ComqueryFormer, compositor",
    detect=(rf"cross_modal_image_layers\.{LAYERS - 1}\.crossattention\.self\.query\.weight",),
    part=_compositor,
    rules=rules(),
    unused=(IMAGE + ".*", TEXT + ".*", rf"cross_modal_text_layers\.{LAYERS - 1}\..*", r"text_pooler\..*", TWICE),
    without=(rf"cross_modal_image_layers\.{LAYERS}\..*",),
    kind="compositors",
    features=_features,
    assumed="8 heads, as published",
)

TEXT_TOWER = Family(
    name="comqueryformer_text",
    about="ComqueryFormer, text tower",
    detect=(TEXT + r"embeddings\.word_embeddings\.weight", r"text_linears\.0\.weight"),
    part=_text_encoder,
    rules=bert.rules(TEXT),
    unused=(TEXT + r"(embeddings\.position_ids|pooler\..*)", rf"(?!{TEXT}).*"),
    tokenizer="vocab.txt of bert-base-uncased",
)
