"""ResNet-50 v2 of TensorFlow's slim library.

The two norms that VAL adds before its first two taps are in no published file.
"""

from cir_tf.convert.base import Family, count

NET = r"resnet_v2_50/"
UNIT = NET + r"block(\d)/unit_(\d+)/bottleneck_v2/"
OURS = r"stage_\1_block_\2/"
STATISTIC = r"(gamma|beta|moving_mean|moving_variance)"


def _encoder(state):
    blocks = tuple(count(state, NET + rf"block{stage}/unit_(\d+)/.*") for stage in (1, 2, 3, 4))
    return {"name": "image_resnet_v2", "stem_width": state["resnet_v2_50/conv1/weights"].shape[-1], "blocks": blocks}


FAMILY = Family(
    name="resnet_v2",
    about="slim, ResNet-50 v2",
    detect=(NET + r"conv1/weights", NET + r"postnorm/gamma", NET + r"block4/unit_1/bottleneck_v2/conv1/weights"),
    part=_encoder,
    rules=(
        (NET + r"conv1/weights", "stem_conv/kernel", "same"),
        (NET + r"conv1/biases", "stem_conv/bias", "same"),
        (NET + rf"postnorm/{STATISTIC}", r"map_norm_4/\1", "same"),
        (UNIT + rf"preact/{STATISTIC}", OURS + r"input_norm/\3", "same"),
        (UNIT + r"shortcut/weights", OURS + "shortcut_conv/kernel", "same"),
        (UNIT + r"shortcut/biases", OURS + "shortcut_conv/bias", "same"),
        (UNIT + r"conv(\d)/weights", OURS + r"conv_\3/kernel", "same"),
        (UNIT + r"conv3/biases", OURS + "conv_3/bias", "same"),
        (UNIT + rf"conv(\d)/BatchNorm/{STATISTIC}", OURS + r"norm_\3/\4", "same"),
    ),
    unused=(NET + r"logits/.*", r"global_step", r"mean_rgb", r".*/(Momentum|RMSProp(_1)?|ExponentialMovingAverage)"),
    without=(r"attention\d/.*",),  # VAL's, which holds more
    constants=(
        (r"map_norm_[23]/(gamma|moving_variance)", 1),
        (r"map_norm_[23]/(beta|moving_mean)", 0),
    ),
)
