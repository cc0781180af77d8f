"""TIRG's checkpoints, and those of the baselines in its code: image tower, text tower and compositor.

The learned scale of the loss, `normalization_layer.norm_s`, is left out: it is of no use in retrieval, and the file
does not say which of the two losses it belongs to.
"""

from cir_tf.convert.base import CONV, DENSE, Family, layer_rules
from cir_tf.convert.families import resnet
from cir_tf.types import Features

IMAGE, TEXT, LAST = r"img_model\.", r"text_model\.", r"img_model\.fc\..*"
COMPOSERS = r"a|(gated_feature_composer|res_info_composer|mod2d|mod2d_gate|composer)\..*"
COUNTS, SCALE = r".*\.num_batches_tracked", r"normalization_layer\.norm_s"
NORM = {theirs: (name, "same") for theirs, name in resnet.NORM.items()}


def _placeholder_vocabulary(rows):
    return {"vocabulary.txt": "".join(f"w{i}\n" for i in range(1, rows))}


def _text_encoder(state):
    rows, width = state["text_model.embedding_layer.weight"].shape
    return {"name": "text_lstm", "width": width, "assets": _placeholder_vocabulary(rows)}


def _mix(array):
    """Of four numbers the code reads two."""
    if array.shape != (4,):
        raise ValueError("it must have 4 numbers")
    return array[:2]


def _compositor(name, about, detect, rules, without=()):
    def features(state):
        channels = state["img_model.fc.0.weight"].shape[1]
        text = state["text_model.fc_output.1.weight"].shape[0]
        return Features((2, channels), maps=((2, 2, 2, channels),)), Features((2, text))

    return Family(
        name=name if name.startswith("tirg") else f"tirg_{name}",
        about=about,
        detect=(r"img_model\.fc\.0\.weight", *detect),
        part=lambda state: {"name": name, "width": state["img_model.fc.0.weight"].shape[0]},
        rules=(*layer_rules(DENSE, {"image_dense": r"img_model\.fc\.0"}), *rules),
        unused=(rf"{IMAGE}(?!fc\.).*", rf"{TEXT}.*", SCALE, COUNTS),
        without=without,
        kind="compositors",
        features=features,
    )


IMAGE_TOWER = Family(
    name="tirg_image",
    about="TIRG, image tower",
    detect=(r"img_model\.conv1\.weight", r"img_model\.layer4\.0\.conv1\.weight"),
    part=resnet.encoder("img_model."),
    rules=resnet.rules(IMAGE),
    unused=(LAST, rf"{TEXT}.*", COMPOSERS, SCALE, COUNTS),
)

TEXT_TOWER = Family(
    name="tirg_text",
    about="TIRG, text tower",
    detect=(r"text_model\.embedding_layer\.weight", r"text_model\.lstm\.weight_ih_l0"),
    part=_text_encoder,
    rules=(
        (TEXT + r"embedding_layer\.weight", "embedding/embeddings", "same"),
        (TEXT + r"lstm\.weight_ih_l0", "input_gates/kernel", "linear"),
        (TEXT + r"lstm\.bias_ih_l0", "input_gates/bias", "same"),
        (TEXT + r"lstm\.weight_hh_l0", "lstm/cell/state_gates/kernel", "linear"),
        (TEXT + r"lstm\.bias_hh_l0", "lstm/cell/state_gates/bias", "same"),
        *layer_rules(DENSE, {"dense": TEXT + r"fc_output\.1"}),
    ),
    unused=(rf"{IMAGE}.*", COMPOSERS, SCALE, COUNTS),
    tokenizer="its words in the order of their ids, one per line; '' if it had the same training texts, sorted",
)

DENSE_TIRG = _compositor(
    "tirg",
    "TIRG, after the last dense layer",
    (r"gated_feature_composer\.3\.weight",),
    (
        ("a", "mix", _mix),
        *layer_rules(NORM, {"gate_norm": r"gated_feature_composer\.1", "residual_norm": r"res_info_composer\.1"}),
        *layer_rules(
            DENSE,
            {
                "gate": r"gated_feature_composer\.3",
                "residual_1": r"res_info_composer\.3",
                "residual_2": r"res_info_composer\.5",
            },
        ),
    ),
)

LAST_CONV = _compositor(
    "tirg_lastconv",
    "TIRG, on the last convolution map",
    (r"mod2d_gate\.1\.weight",),
    (
        ("a", "mix", _mix),
        *layer_rules(NORM, {"gate/norm": r"mod2d_gate\.0", "residual/norm": r"mod2d\.0"}),
        *layer_rules(
            CONV,
            {
                "gate/conv_1": r"mod2d_gate\.1",
                "gate/conv_2": r"mod2d_gate\.3",
                "residual/conv_1": r"mod2d\.1",
                "residual/conv_2": r"mod2d\.3",
            },
        ),
    ),
)

CONCAT = _compositor(
    "concat",
    "TIRG's code, concatenation",
    (r"composer\.m\.2\.weight",),
    (
        *layer_rules(NORM, {"norm_1": r"composer\.m\.0", "norm_2": r"composer\.m\.3"}),
        *layer_rules(DENSE, {"dense_1": r"composer\.m\.2", "dense_2": r"composer\.m\.6"}),
    ),
)

IMAGE_ONLY = _compositor("image_only", "TIRG's code, image only; text only has the same tensors", (), (), (COMPOSERS,))
