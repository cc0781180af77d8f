"""VAL's TensorFlow 1 checkpoints: image tower, text tower and compositor.

Their evaluation reads moving averages of what was trained, which the checkpoint holds beside it, and the statistics of
batch normalisations as they are; so does this. Names follow from the released code and TensorFlow 1's rules for what
has no name of its own: `Conv`, `Conv_1`, … and `dense`, `dense_1`, … in the order in which they are made.
"""

import re

import numpy as np

from cir_tf.convert.base import Family
from cir_tf.convert.families import mobilenet, resnet_v2
from cir_tf.types import Features

AVERAGE, MOBILENET = "/ExponentialMovingAverage", "MobilenetV1/"
STATISTIC = r"BatchNorm/(gamma|beta|moving_mean|moving_variance)"
LEVEL, TEXT = r"attention(\d)/", r"RNN/"
CELL = TEXT + r"bidirectional_lstm/rnn/basic_lstm_cell/"
LOST = (
    r"global_step|beta[12]_power|.*/Adam(_1)?",
    r".*/avg(/.*)?",  # of the losses that were printed
    r".*/[lL]ogits/.*",
)
TOWER, PROJECTION, RNN = rf"({resnet_v2.NET}|{MOBILENET}).*", r"projection/.*", rf"{TEXT}.*"
# What VAL's two backbones want of every batch normalisation.
NORMS = {True: {"norm_momentum": 0.9997, "norm_epsilon": 1e-3}, False: {"norm_momentum": 0.997, "norm_epsilon": 1e-5}}


def _prepare(state):
    """Averages in the place of what they are averages of, and a level's two scalars as one weight."""
    averages = {name.removesuffix(AVERAGE): array for name, array in state.items() if name.endswith(AVERAGE)}
    found = {name: array for name, array in state.items() if not name.endswith(AVERAGE)} | averages
    for name in [name for name in found if re.fullmatch(LEVEL + "r_weight", name)]:
        level = name.removesuffix("r_weight")
        if f"{level}weight" in found:
            pair = [np.asarray(found.pop(f"{level}{each}")).reshape(()) for each in ("r_weight", "weight")]
            found[f"{level}mix"] = np.stack(pair)
    return found


def _norms(state):
    return NORMS[any(name.startswith(MOBILENET) for name in state)]


def _levels(state):
    return sorted({match[1] for match in (re.fullmatch(LEVEL + "mix", name) for name in state) if match})


def _text_encoder(state):
    rows, word_width = state["RNN/token_embedding_weights"].shape
    _, gates = state["RNN/bidirectional_lstm/rnn/basic_lstm_cell/kernel"].shape
    return {
        "name": "text_gru",
        "width": state["projection/text/weights"].shape[-1],
        "word_width": word_width,
        "state_width": gates // 4,
        **_norms(state),
        "assets": {"vocabulary.txt": "".join(f"w{i}\t2\n" for i in range(1, rows))},
    }


def _reordered(array):
    """TensorFlow 1's gates i, j, f, o as Keras' i, f, j, o, along the last axis."""
    i, j, f, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)


def _kernels(array):
    """The matrix of words and states [W + H, 4 H] as two."""
    width = array.shape[1] // 4
    return _reordered(array[:-width]), _reordered(array[-width:])


def _bias(array):
    """TensorFlow 1 adds 1 to the forget gate when it runs."""
    i, f, j, o = np.split(_reordered(array), 4)
    return np.concatenate([i, f + 1, j, o])


def _compositor(state):
    is_mobile = any(name.startswith(MOBILENET) for name in state)
    return {"name": "val", **({"activation": "relu6", "stddev": 0.09} if is_mobile else {}), **_norms(state)}


def _features(state):
    maps = []
    for level in _levels(state):
        height, width = state[f"attention{level}/Conv_2/weights"].shape[:2]
        maps.append((1, height, width, state[f"attention{level}/Conv_1/weights"].shape[-1]))
    text = state["projection/text/weights"].shape[-1]
    return Features((1, maps[-1][-1]), maps=tuple(maps)), Features((1, text))


def _level_rules(level):
    ours, source = f"level_{level + 1}/", rf"attention{level}/"
    rules = [(f"{source}mix", f"{ours}mix", "same")]
    for number, name in enumerate(("fusion", "channel_gate", "spatial_gate", "joining")):
        layer = f"{source}Conv_{number}" if number else f"{source}Conv"
        rules.append((rf"{layer}/weights", f"{ours}{name}/conv/kernel", "same"))
        rules.append((rf"{layer}/{STATISTIC}", rf"{ours}{name}/norm/\1", "same"))
    for number in range(6):
        name = ("query", "key", "value")[number % 3]
        layer = f"{source}dense_{number}" if number else f"{source}dense"
        rules.append((rf"{layer}/kernel", f"{ours}head_{number // 3 + 1}/{name}/kernel", "same"))
    return rules


def _tower(name, about, slim, *rules):
    return Family(
        name=name,
        about=about,
        detect=(*slim.FAMILY.detect, LEVEL + "r_weight"),
        prepare=_prepare,
        part=slim.FAMILY.part,
        rules=(*slim.FAMILY.rules, *rules),
        unused=(LEVEL + ".*", RNN, PROJECTION, *LOST),
    )


RESNET = _tower(
    "val_resnet",
    "VAL, image tower ResNet-50 v2",
    resnet_v2,
    (resnet_v2.NET + rf"block([23])_postnorm/{resnet_v2.STATISTIC}", r"map_norm_\1/\2", "same"),
)
MOBILE = _tower("val_mobilenet", "VAL, image tower MobileNet v1", mobilenet)

TEXT_TOWER = Family(
    name="val_text",
    about="VAL, text tower",
    detect=(TEXT + "token_embedding_weights", r"projection/text/weights", f"{CELL}kernel"),
    prepare=_prepare,
    part=_text_encoder,
    rules=(
        (TEXT + "token_embedding_weights", "embedding/embeddings", "same"),
        (TEXT + r"bidirectional_lstm/forward/init_state_0", "forward/initial_memory", "same"),
        (TEXT + r"bidirectional_lstm/forward/init_state_1", "forward/initial_state", "same"),
        (f"{CELL}kernel", "forward/network/lstm_cell/{kernel,recurrent_kernel}", _kernels),
        (f"{CELL}bias", "forward/network/lstm_cell/bias", _bias),
        (r"projection/text/weights", "dense/kernel", lambda array: array[0, 0]),
        (rf"projection/text/{STATISTIC}", r"norm/\1", "same"),
    ),
    unused=(TOWER, LEVEL + ".*", *LOST),
    tokenizer="its words in the order of their ids, one per line; '' if it had the same training texts, in this order",
)

COMPOSITOR = Family(
    name="val",
    about="VAL",
    detect=(LEVEL + "r_weight", LEVEL + "Conv_3/weights"),
    prepare=_prepare,
    part=_compositor,
    rules=tuple(rule for level in range(3) for rule in _level_rules(level)),
    unused=(TOWER, RNN, PROJECTION, *LOST),
    kind="compositors",
    features=_features,
)
