"""ResNet-18 and -50 as in torchvision: TIRG's image tower.

Dimension key: B batch, E tower width, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders._images import Conv, fields, imagenet_pixels, pad
from cir_tf.encoders.base import ImageEncoder
from cir_tf.layers import BatchNorm
from cir_tf.types import Features

VARIANTS = {
    "resnet18": {"stem_width": 64, "blocks": (2, 2, 2, 2), "bottleneck": False},
    "resnet50": {"stem_width": 64, "blocks": (3, 4, 6, 3), "bottleneck": True},
}


class ImageResNet(ImageEncoder):
    """A stem that quarters the side, stages of residual blocks that halve it again, and the mean over the last map.

    conv 7x7/2, batch normalisation, ReLU, max-pool 3x3/2; then y = ReLU(branch(x) + shortcut(x)) per block, where the
    first block of every stage but the first has stride 2, in its first convolution of 3x3 (torchvision's placement).
    All padding is symmetric. The pooled vector is before TIRG's last dense layer, which belongs to the compositor.

    Args:
        variant: a key of `VARIANTS`.
        image_size: side of the square input, in pixels.
        sizes: other values for the fields of the variant: `stem_width`, `blocks` per stage, `bottleneck` (blocks of
            1x1, 3x3, 1x1 with four times the width, rather than 3x3, 3x3).

    Raises:
        ValueError: no such variant or field.

    Reference: He et al., CVPR 2016, table 1; Vo et al., CVPR 2019.
    """

    def __init__(self, variant="resnet18", image_size=224, name="image_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        self.image_size = image_size
        widths = [size["stem_width"] * 2**stage for stage in range(len(size["blocks"]))]
        self.map_widths = tuple(4 * width if size["bottleneck"] else width for width in widths)
        self.width = self.map_widths[-1]
        self.stem_conv = Conv(size["stem_width"], 7, 2, kernel_initializer=_he(), name="stem_conv")
        self.stem_norm = BatchNorm(name="stem_norm")
        self.stem_pool = keras.layers.MaxPooling2D(3, 2, name="stem_pool")
        self.stages = []
        for stage, (width, count) in enumerate(zip(widths, size["blocks"], strict=True), start=1):
            blocks = []
            for block in range(count):
                stride = 1 if block or stage == 1 else 2
                changes = block == 0 and (stage > 1 or size["bottleneck"])
                blocks.append(_Block(width, size["bottleneck"], stride, changes, name=f"stage_{stage}_block_{block}"))
            self.stages.append(blocks)

    def call(self, image_BHWC, training=False):
        return self.features(imagenet_pixels(image_BHWC, self.variable_dtype), training)

    def features(self, pixels_BHWC, training=False):
        """`call` for pixels that are normalised already."""
        x = keras.activations.relu(self.stem_norm(self.stem_conv(pixels_BHWC), training=training))
        x = self.stem_pool(pad(x, 1))  # nothing is below zero here: zeros pad like minus infinity
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x, training=training)
            maps.append(x)
        return Features(pooled_BE=ops.mean(x, axis=(1, 2)), maps=tuple(maps))


class _Block(keras.layers.Layer):
    def __init__(self, width, bottleneck, stride, changes_shape, **kwargs):
        super().__init__(**kwargs)
        shapes = [(width, 3, stride), (width, 3, 1)]
        if bottleneck:
            shapes = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
        self.convs = [
            Conv(*shape, kernel_initializer=_he(), name=f"conv_{i}") for i, shape in enumerate(shapes, start=1)
        ]
        self.norms = [BatchNorm(name=f"norm_{i}") for i, _ in enumerate(shapes, start=1)]
        self.shortcut_conv = self.shortcut_norm = None
        if changes_shape:
            self.shortcut_conv = Conv(shapes[-1][0], 1, stride, kernel_initializer=_he(), name="shortcut_conv")
            self.shortcut_norm = BatchNorm(name="shortcut_norm")

    def call(self, x_BHWC, training=False):
        y_BHWC = x_BHWC
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y_BHWC = norm(conv(keras.activations.relu(y_BHWC) if i else y_BHWC), training=training)
        if self.shortcut_conv:
            x_BHWC = self.shortcut_norm(self.shortcut_conv(x_BHWC), training=training)
        return keras.activations.relu(y_BHWC + x_BHWC)


def _he():
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


build = ImageResNet
