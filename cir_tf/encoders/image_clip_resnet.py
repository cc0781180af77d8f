"""CLIP's ResNet: a stem of three convolutions, pooling before every stride, attention in place of the last mean.

Dimension key: B batch, E channels of the last map, D shared embedding, L mean and positions, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders._clip import clip_pixels
from cir_tf.encoders._images import Conv, fields
from cir_tf.encoders.base import ImageEncoder
from cir_tf.layers import BatchNorm
from cir_tf.transformer import Attention
from cir_tf.types import Features

EXPANSION = 4  # of a bottleneck's channels
VARIANTS = {
    "RN50": {"image_size": 224, "stem_width": 64, "heads": 32, "blocks": (3, 4, 6, 3), "width": 1024},
    "RN50x4": {"image_size": 288, "stem_width": 80, "heads": 40, "blocks": (4, 6, 10, 6), "width": 640},
}


class ImageCLIPResNet(ImageEncoder):
    """Stem, four stages of bottlenecks, attention pool.

    `pooled_BE` is [B, D] and not of unit length; `maps` are those after the four stages; there are no tokens.

    Args:
        variant: a name of `VARIANTS`.
        batch_norm: "train", statistics of the batch in training; "frozen", always the moving statistics, while gains
            and biases stay trainable, as in CLIP4Cir's fine-tuning.
        sizes: other values for the fields of the variant: image_size (side in pixels, a multiple of 32), stem_width
            (w; the last map has 32 w channels), heads of the attention pool, blocks of each stage, width (D).

    Raises:
        ValueError: no such variant or size or `batch_norm`, or an image whose side is not a multiple of 32.

    Reference: Radford et al., ICML 2021, and the released code.
    """

    def __init__(self, variant="RN50", batch_norm="train", name="image_encoder", **sizes):
        super().__init__(name=name)
        sizes = fields(VARIANTS, variant, **sizes)
        if batch_norm not in ("train", "frozen"):
            raise ValueError(f'It is "train" or "frozen". Received: batch_norm={batch_norm!r}.')
        self.image_size, self.width, stem = sizes["image_size"], sizes["width"], sizes["stem_width"]
        if self.image_size % 32:
            raise ValueError(f"The network halves five times. Received: image_size={self.image_size}. Use 32 n.")
        self.frozen = batch_norm == "frozen"
        self.map_widths = tuple(EXPANSION * stem * 2**stage for stage in range(4))
        widths = (stem // 2, stem // 2, stem)
        self.stem = [
            (_conv(width, 3, f"stem_conv_{i}", 2 if i == 1 else 1), BatchNorm(name=f"stem_norm_{i}"))
            for i, width in enumerate(widths, 1)
        ]
        self.pool = keras.layers.AveragePooling2D(2, name="pool")
        self.stages = [
            [
                _Bottleneck(width, 1 if i or stage == 1 else 2, projects=i == 0, name=f"stage_{stage}_block_{i}")
                for i in range(count)
            ]
            for stage, (width, count) in enumerate(zip(self.map_widths, sizes["blocks"], strict=True), 1)
        ]
        self.attention_pool = _AttentionPool(32 * stem, sizes["heads"], self.width, name="attention_pool")

    def build(self, image_shape):
        channels = 3
        for conv, norm in self.stem:
            conv.build((None, None, None, channels))
            channels = conv.filters
            norm.build((None, None, None, channels))
        for block in (block for stage in self.stages for block in stage):
            block.build((None, None, None, channels))
            channels = block.width
        self.attention_pool.build((None, self.image_size // 32, self.image_size // 32, channels))

    def call(self, image_BHWC, training=False):
        return self.features(clip_pixels(image_BHWC, self.variable_dtype), training)

    def features(self, pixels_BHWC, training=False):
        """`call` for pixels that are normalised already."""
        training = training and not self.frozen
        x = pixels_BHWC
        for conv, norm in self.stem:
            x = ops.relu(norm(conv(x), training=training))
        x = self.pool(x)
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x, training=training)
            maps.append(x)
        return Features(pooled_BE=self.attention_pool(x), maps=tuple(maps))


class _Bottleneck(keras.layers.Layer):
    """Convolutions of 1x1, 3x3 and 1x1; a stride is a mean over squares, before the last of them and the shortcut's."""

    def __init__(self, width, stride, projects, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride = width, stride
        inner = width // EXPANSION
        shapes = ((inner, 1), (inner, 3), (width, 1))
        self.convs = [_conv(*shape, f"conv_{i}") for i, shape in enumerate(shapes, 1)]
        self.norms = [BatchNorm(name=f"norm_{i}") for i in (1, 2, 3)]
        self.pool = keras.layers.AveragePooling2D(stride, name="pool")
        self.shortcut_conv = _conv(width, 1, "shortcut_conv") if projects else None
        self.shortcut_norm = BatchNorm(name="shortcut_norm") if projects else None

    def build(self, shape):
        channels = shape[-1]
        if self.shortcut_conv:
            self.shortcut_conv.build((None, None, None, channels))
            self.shortcut_norm.build((None, None, None, self.width))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            conv.build((None, None, None, channels))
            channels = conv.filters
            norm.build((None, None, None, channels))
        last = self.norms[-1].gamma
        last.assign(ops.zeros(last.shape))  # at the start, every block hands on its shortcut

    def call(self, x_BHWC, training=False):
        y_BHWC = x_BHWC
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if i == 2:
                y_BHWC = self._pooled(y_BHWC)
            y_BHWC = norm(conv(y_BHWC), training=training)
            y_BHWC = ops.relu(y_BHWC) if i < 2 else y_BHWC
        if self.shortcut_conv:
            x_BHWC = self.shortcut_norm(self.shortcut_conv(self._pooled(x_BHWC)), training=training)
        return ops.relu(x_BHWC + y_BHWC)

    def _pooled(self, x_BHWC):
        return self.pool(x_BHWC) if self.stride > 1 else x_BHWC


class _AttentionPool(keras.layers.Layer):
    """Attention of the mean over [mean, position 1, ..., position L - 1], each with its embedding of the place."""

    def __init__(self, channels, heads, width, **kwargs):
        super().__init__(**kwargs)
        self.stddev = channels**-0.5
        self.attention = Attention(
            channels,
            heads,
            output_width=width,
            stddev=self.stddev,
            output_stddev=self.stddev,
            bias_limit=self.stddev,
            name="attention",
        )

    def build(self, map_shape):
        _, height, width, channels = map_shape
        self.positional_embedding = self.add_weight(
            shape=(1 + height * width, channels),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
            name="positional_embedding",
        )
        self.attention.build((None, 1, channels), (None, 1 + height * width, channels))

    def call(self, map_BHWC):
        batch, *_, channels = ops.shape(map_BHWC)
        tokens_BLE = ops.reshape(map_BHWC, (batch, -1, channels))
        tokens_BLE = ops.concatenate([ops.mean(tokens_BLE, axis=1, keepdims=True), tokens_BLE], axis=1)
        tokens_BLE = tokens_BLE + ops.cast(self.positional_embedding, tokens_BLE.dtype)
        return self.attention(tokens_BLE[:, :1], tokens_BLE)[:, 0]


def _conv(filters, kernel_size, name, strides=1):
    start = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")  # PyTorch's default
    return Conv(filters, kernel_size, strides, kernel_initializer=start, name=name)


build = ImageCLIPResNet
