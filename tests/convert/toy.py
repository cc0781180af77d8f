"""A source that holds two of our smallest encoders, and its families."""

import numpy as np

from cir_tf.convert import Family, count
from tests.golden import S

IMAGE = Family(
    name="toy_image",
    about="a toy's image tower",
    detect=(r"visual\.conv\d+\.weight",),
    part=lambda state: {
        "name": "image_tiny",
        "image_size": 16,
        "widths": tuple(
            state[f"visual.conv{i}.weight"].shape[0] for i in range(count(state, r"visual\.conv(\d+)\.weight"))
        ),
    },
    rules=(
        (r"visual\.conv(\d+)\.weight", r"conv_\1/kernel", "conv"),
        (r"visual\.bn(\d+)\.weight", r"norm_\1/gamma", "same"),
        (r"visual\.bn(\d+)\.bias", r"norm_\1/beta", "same"),
        (r"visual\.bn(\d+)\.running_mean", r"norm_\1/moving_mean", "same"),
        (r"visual\.bn(\d+)\.running_var", r"norm_\1/moving_variance", "same"),
    ),
    unused=(r"visual\..*\.num_batches_tracked", r"text\..*"),
)
TEXT = Family(
    name="toy_text",
    about="a toy's text tower",
    detect=(r"text\.words\.weight", r"text\.lstm\.weight_hh_l0"),
    part=lambda state: {
        "name": "text_lstm",
        "width": state["text.words.weight"].shape[1],
        "assets": {"vocabulary.txt": "".join(f"w{i}\n" for i in range(state["text.words.weight"].shape[0] - 1))},
    },
    rules=(
        (r"text\.words\.weight", "embedding/embeddings", "same"),
        (r"text\.lstm\.weight_ih_l0", "input_gates/kernel", "linear"),
        (r"text\.lstm\.bias_ih_l0", "input_gates/bias", "same"),
        (r"text\.lstm\.weight_hh_l0", "lstm/cell/state_gates/kernel", "linear"),
        (r"text\.lstm\.bias_hh_l0", "lstm/cell/state_gates/bias", "same"),
        (r"text\.dense\.weight", "dense/kernel", "linear"),
        (r"text\.dense\.bias", "dense/bias", "same"),
    ),
    unused=(r"visual\..*",),
)
FAMILIES = {family.name: family for family in (IMAGE, TEXT)}
SHAPES = {
    "visual.conv0.weight": (4, 3, 3, 3),
    **{f"visual.bn0.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")},
    "visual.conv1.weight": (6, 4, 3, 3),
    **{f"visual.bn1.{name}": (6,) for name in ("weight", "bias", "running_mean", "running_var")},
    "text.words.weight": (5, 3),
    "text.lstm.weight_ih_l0": (12, 3),
    "text.lstm.weight_hh_l0": (12, 3),
    "text.lstm.bias_ih_l0": (12,),
    "text.lstm.bias_hh_l0": (12,),
    "text.dense.weight": (3, 3),
    "text.dense.bias": (3,),
}


def state(kind=np.float32, part=""):
    """{name: array} as the source holds it; all values differ."""
    arrays = {
        name: (1.5 + S(shape, 0.37, k)).astype(kind) for k, (name, shape) in enumerate(SHAPES.items()) if part in name
    }
    return arrays | ({} if part == "text" else {"visual.bn0.num_batches_tracked": np.int64(7)})
