"""MobileNet v1 of TensorFlow's slim library.

Its published checkpoint holds every variable twice, as trained and averaged; VAL's code reads the trained one.
"""

from cir_tf.convert.base import Family, count

NET = r"MobilenetV1/"
STATISTIC = r"(gamma|beta|moving_mean|moving_variance)"


def _encoder(state):
    blocks = count(state, NET + r"Conv2d_(\d+)_pointwise/weights")
    widths = tuple(state[f"MobilenetV1/Conv2d_{block}_pointwise/weights"].shape[-1] for block in range(1, blocks + 1))
    return {
        "name": "image_mobilenet",
        "stem_width": state["MobilenetV1/Conv2d_0/weights"].shape[-1],
        "widths": widths,
    }


FAMILY = Family(
    name="mobilenet",
    about="slim, MobileNet v1",
    detect=(NET + r"Conv2d_0/weights", NET + r"Conv2d_1_depthwise/depthwise_weights"),
    part=_encoder,
    rules=(
        (NET + r"Conv2d_0/weights", "stem/conv/kernel", "same"),
        (NET + rf"Conv2d_0/BatchNorm/{STATISTIC}", r"stem/norm/\1", "same"),
        (NET + r"Conv2d_(\d+)_depthwise/depthwise_weights", r"depthwise_\1/conv/kernel", "same"),
        (NET + r"Conv2d_(\d+)_pointwise/weights", r"pointwise_\1/conv/kernel", "same"),
        (NET + rf"Conv2d_(\d+)_(depthwise|pointwise)/BatchNorm/{STATISTIC}", r"\2_\1/norm/\3", "same"),
    ),
    without=(r"attention\d/.*",),  # VAL's, which holds more
    unused=(NET + r"Logits/.*", r"global_step", r".*/(Momentum|RMSProp(_1)?|ExponentialMovingAverage)"),
)
