"""MobileNet v1 as in TensorFlow's slim library, with three taps: VAL's image tower for Fashion200k.

Dimension key: B batch, E tower width, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders._images import fields
from cir_tf.encoders.base import ImageEncoder
from cir_tf.layers import BatchNorm
from cir_tf.types import Features

VARIANTS = {
    "mobilenet_v1": {
        "stem_width": 32,
        "widths": (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
        "strides": (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1),
        "taps": (6, 10, 13),
    }
}


class ImageMobileNet(ImageEncoder):
    """conv 3x3/2, then depthwise 3x3 and pointwise 1x1 convolutions in turn; each normalised, then min(ReLU, 6).

    Not `keras.applications.MobileNet`: its convolutions are equal, but its batch normalisation knows neither replicas
    nor slim's decay, and it cannot be made small enough for a test.

    Args:
        variant: a key of `VARIANTS`.
        image_size: side of the square input, in pixels.
        sizes: other values for the fields of the variant: `stem_width`; `widths` and `strides` of the separable
            blocks; `taps`, the numbers of the blocks, from 1, whose outputs are the maps (the last is also pooled).

    Raises:
        ValueError: no such variant or field, or a tap behind the last block.

    Reference: Howard et al., 2017, table 1; Chen et al., CVPR 2020, and the released three-level network.
    """

    def __init__(self, variant="mobilenet_v1", image_size=224, name="image_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        self.image_size = image_size
        self.taps = tuple(size["taps"])
        if max(self.taps) > len(size["widths"]):
            raise ValueError(f"Taps count blocks from 1. Received: taps={self.taps}, {len(size['widths'])} blocks.")
        self.map_widths = tuple(size["widths"][tap - 1] for tap in self.taps)
        self.width = self.map_widths[-1]
        he = keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal")
        plain = {"padding": "same", "use_bias": False, "name": "conv"}
        stem = keras.layers.Conv2D(size["stem_width"], 3, 2, kernel_initializer=he.clone(), **plain)
        self.stem = _Normalized(stem, name="stem")
        self.depthwise, self.pointwise = [], []
        for i, (width, stride) in enumerate(zip(size["widths"], size["strides"], strict=True), start=1):
            nine = keras.initializers.TruncatedNormal(stddev=(2 / 9) ** 0.5)  # each channel sees nine pixels
            depthwise = keras.layers.DepthwiseConv2D(3, stride, depthwise_initializer=nine, **plain)
            pointwise = keras.layers.Conv2D(width, 1, kernel_initializer=he.clone(), **plain)
            self.depthwise.append(_Normalized(depthwise, name=f"depthwise_{i}"))
            self.pointwise.append(_Normalized(pointwise, name=f"pointwise_{i}"))

    def call(self, image_BHWC, training=False):
        x = self.stem(ops.cast(image_BHWC, self.variable_dtype) / 127.5 - 1, training=training)
        outputs = []
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            x = pointwise(depthwise(x, training=training), training=training)
            outputs.append(x)
        maps = tuple(outputs[tap - 1] for tap in self.taps)
        return Features(pooled_BE=ops.mean(maps[-1], axis=(1, 2)), maps=maps)


class _Normalized(keras.layers.Layer):
    """min(max(norm(conv(x)), 0), 6)"""

    def __init__(self, conv, **kwargs):
        super().__init__(**kwargs)
        self.conv = conv
        self.norm = BatchNorm(epsilon=1e-3, momentum=0.9997, name="norm")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build(self.conv.compute_output_shape(shape))

    def call(self, x_BHWC, training=False):
        return keras.activations.relu6(self.norm(self.conv(x_BHWC), training=training))


build = ImageMobileNet
