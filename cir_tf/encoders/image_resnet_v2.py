"""ResNet-50 v2 as in TensorFlow's slim library, with three taps: VAL's image tower.

Dimension key: B batch, E tower width, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders._images import Conv, fields
from cir_tf.encoders.base import ImageEncoder
from cir_tf.layers import BatchNorm
from cir_tf.types import Features

VARIANTS = {"resnet50_v2": {"stem_width": 64, "blocks": (3, 4, 6, 3)}}
MOMENTUM = 0.997


class ImageResNetV2(ImageEncoder):
    """Pre-activation bottlenecks in stages; the maps of the last three stages, each normalised and rectified.

    conv 7x7/2 with bias, max-pool 3x3/2, then per block, with h = ReLU(norm(x)),
    y = conv(ReLU(norm(conv3x3(ReLU(norm(conv1x1(h))))))) + shortcut, where the shortcut is conv1x1(h) if the width
    changes and every stride-th pixel of x otherwise. The stride 2 is in the *last* block of every stage but the last.
    The last map has slim's norm, the two before it have one more of their own, which no published file holds.

    Not `keras.applications.ResNet50V2`: that pads the pooling symmetrically and with zeros, where slim pads one side,
    and its batch normalisation knows neither replicas nor unbiased moving variances.

    Args:
        variant: a key of `VARIANTS`.
        image_size: side of the square input, in pixels.
        sizes: other values for the fields of the variant: `stem_width`, `blocks` per stage (at least three).

    Raises:
        ValueError: no such variant or field.

    Reference: He et al., ECCV 2016; Chen et al., CVPR 2020, section 3, and the released three-level network.
    """

    def __init__(self, variant="resnet50_v2", image_size=256, name="image_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        self.image_size = image_size
        widths = [4 * size["stem_width"] * 2**stage for stage in range(len(size["blocks"]))]
        self.map_widths = tuple(widths[-3:])
        self.width = widths[-1]
        self.stem_conv = Conv(size["stem_width"], 7, 2, use_bias=True, kernel_initializer=_fan_in(), name="stem_conv")
        self.stem_pool = keras.layers.MaxPooling2D(3, 2, "same", name="stem_pool")
        self.stages = []
        for stage, (width, count) in enumerate(zip(widths, size["blocks"], strict=True), start=1):
            blocks = []
            for block in range(1, count + 1):
                stride = 2 if block == count and stage < len(widths) else 1
                blocks.append(_Block(width, stride, block == 1, name=f"stage_{stage}_block_{block}"))
            self.stages.append((blocks, _norm(f"map_norm_{stage}") if stage > len(widths) - 3 else None))

    def call(self, image_BHWC, training=False):
        x = self.stem_pool(self.stem_conv(ops.cast(image_BHWC, self.variable_dtype) / 127.5 - 1))
        maps = []
        for blocks, map_norm in self.stages:
            for block in blocks:
                x = block(x, training=training)
            if map_norm:
                maps.append(keras.activations.relu(map_norm(x, training=training)))
        return Features(pooled_BE=ops.mean(maps[-1], axis=(1, 2)), maps=tuple(maps))


class _Block(keras.layers.Layer):
    def __init__(self, width, stride, changes_width, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride
        self.input_norm = _norm("input_norm")
        shapes = ((width // 4, 1, 1), (width // 4, 3, stride), (width, 1, 1))
        self.convs = [
            Conv(*shape, use_bias=i == 3, kernel_initializer=_fan_in(), name=f"conv_{i}")
            for i, shape in enumerate(shapes, start=1)
        ]
        self.norms = [_norm(f"norm_{i}") for i in (1, 2)]
        self.shortcut_conv = None
        if changes_width:
            self.shortcut_conv = Conv(
                width, 1, stride, use_bias=True, kernel_initializer=_fan_in(), name="shortcut_conv"
            )

    def call(self, x_BHWC, training=False):
        y_BHWC = keras.activations.relu(self.input_norm(x_BHWC, training=training))
        every = self.stride
        x_BHWC = self.shortcut_conv(y_BHWC) if self.shortcut_conv else x_BHWC[:, ::every, ::every]
        for conv, norm in zip(self.convs[:2], self.norms, strict=True):
            y_BHWC = keras.activations.relu(norm(conv(y_BHWC), training=training))
        return self.convs[2](y_BHWC) + x_BHWC


def _norm(name):
    return BatchNorm(momentum=MOMENTUM, name=name)


def _fan_in():
    return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal")


build = ImageResNetV2
