"""Swin Transformer with the maps of its last three stages: ComqueryFormer's image tower.

Dimension key: B batch, H W height and width of a map, E its channels, K windows of a map, P pixels of a window,
N heads, L tokens of the last map.
"""

import keras
import numpy as np
from keras import ops

from cir_tf.encoders._images import fields, imagenet_pixels
from cir_tf.encoders.base import ImageEncoder
from cir_tf.transformer import Attention, gelu
from cir_tf.types import Features

VARIANTS = {"swin_tiny": {"stem_width": 96, "blocks": (2, 2, 6, 2), "heads": (3, 6, 12, 24)}}
PATCH = 4
SHRINK = 32  # image to map of the last stage


class ImageSwin(ImageEncoder):
    """Attention within windows, every second time shifted by half a window; stages that halve the side.

    x = x + drop(attention(norm(x))), x = x + drop(mlp(norm(x))). Each stage but the last ends in a merging of 2x2
    pixels. The maps are those of the last three stages, *after* merging, where there is one, and the last one after
    the final norm; the pooled vector is the mean of the last. Windows have image_size / 32 pixels a side, so that
    the last stage is one window.

    Not KerasHub's backbone: under mixed precision that takes the softmax of unshifted windows in 16 bits.

    Args:
        variant: a key of `VARIANTS`.
        image_size: side of the square input, in pixels; a multiple of 32.
        drop_path: rate of the last block, in training; the first has 0, and those between grow in equal steps.
        sizes: other values for the fields of the variant: `stem_width`, `blocks` and `heads` per stage (four).

    Raises:
        ValueError: no such variant or field, or a side that the stages cannot halve.

    Reference: Liu et al., ICCV 2021, section 3; the library timm, swin_tiny_patch4_window7_224.
    """

    def __init__(self, variant="swin_tiny", image_size=224, drop_path=0.1, name="image_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        if image_size % SHRINK:
            raise ValueError(f"Windows tile the maps. Received: image_size={image_size}. Use a multiple of {SHRINK}.")
        self.image_size = image_size
        window = image_size // SHRINK
        widths = [size["stem_width"] * 2**stage for stage in range(4)]
        self.map_widths = (*widths[2:], widths[-1])
        self.width = widths[-1]
        self.stem_conv = keras.layers.Conv2D(size["stem_width"], PATCH, PATCH, name="stem_conv")
        self.stem_norm = _norm("stem_norm")
        rates = iter(np.linspace(0, drop_path, sum(size["blocks"])).tolist())
        self.stages = []
        for stage, (width, heads) in enumerate(zip(widths, size["heads"], strict=True)):
            last = stage == 3
            blocks = [
                _Block(
                    heads,
                    width,
                    window,
                    shift=window // 2 if block % 2 and not last else 0,
                    drop_path=next(rates),
                    name=f"stage_{stage}_block_{block}",
                )
                for block in range(size["blocks"][stage])
            ]
            self.stages.append((blocks, None if last else _Merge(2 * width, name=f"stage_{stage}_merge")))
        self.final_norm = _norm("final_norm")

    def call(self, image_BHWC, training=False):
        return self.features(imagenet_pixels(image_BHWC, self.variable_dtype), training)

    def features(self, pixels_BHWC, training=False):
        """`call` for pixels that are normalised already."""
        x_BHWE = self.stem_norm(self.stem_conv(pixels_BHWC))
        maps = []
        for blocks, merge in self.stages:
            for block in blocks:
                x_BHWE = block(x_BHWE, training=training)
            x_BHWE = merge(x_BHWE) if merge else self.final_norm(x_BHWE)
            maps.append(x_BHWE)
        tokens_BLE = ops.reshape(x_BHWE, (-1, x_BHWE.shape[1] * x_BHWE.shape[2], self.width))
        mask_BL = ops.ones(ops.shape(tokens_BLE)[:2], "bool")
        return Features(ops.mean(tokens_BLE, axis=1), tokens_BLE, mask_BL, tuple(maps[-3:]))


class _Block(keras.layers.Layer):
    def __init__(self, heads, width, window, shift, drop_path, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.width, self.window, self.shift = heads, width, window, shift
        self.norm_1, self.norm_2 = _norm("norm_1"), _norm("norm_2")
        self.attention = Attention(width, heads, name="attention", autocast=False)  # its bias stays float32
        self.mlp_in = keras.layers.Dense(4 * width, name="mlp_in")
        self.mlp_out = keras.layers.Dense(width, name="mlp_out")
        whole_example = {"noise_shape": (None, 1, 1, 1)}
        self.drops = [keras.layers.Dropout(drop_path, **whole_example, name=f"drop_path_{i}") for i in (1, 2)]

    def build(self, shape):
        for layer in (self.norm_1, self.norm_2, self.mlp_in):
            layer.build(shape)
        self.mlp_out.build((*shape[:-1], 4 * self.width))
        self.attention.build((None, self.window**2, self.width))
        self.relative_position = self.add_weight(
            shape=((2 * self.window - 1) ** 2, self.heads),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="relative_position",
            autocast=False,
        )
        self.mask_KPP = shift_mask(shape[1], self.window, self.shift) if self.shift else None

    def call(self, x_BHWE, training=False):
        y_BHWE = self._attend(self.norm_1(x_BHWE))
        x_BHWE = x_BHWE + self.drops[0](y_BHWE, training=training)
        y_BHWE = self.mlp_out(gelu(self.mlp_in(self.norm_2(x_BHWE))))
        return x_BHWE + self.drops[1](y_BHWE, training=training)

    def _attend(self, x_BHWE):
        shift, side, window, width = self.shift, x_BHWE.shape[1], self.window, self.width
        count = side // window
        if shift:
            x_BHWE = ops.roll(x_BHWE, (-shift, -shift), axis=(1, 2))
        x = ops.reshape(x_BHWE, (-1, count, window, count, window, width))
        windows = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, window**2, width))
        y = self.attention(windows, bias=self._bias(ops.shape(x_BHWE)[0]))
        y = ops.transpose(ops.reshape(y, (-1, count, count, window, window, width)), (0, 1, 3, 2, 4, 5))
        y_BHWE = ops.reshape(y, (-1, side, side, width))
        return ops.roll(y_BHWE, (shift, shift), axis=(1, 2)) if shift else y_BHWE

    def _bias(self, batch):
        """What is added to the scores: by relative position, and -100 between regions that only the shift joined."""
        bias_PPN = ops.take(self.relative_position, relative_position_index(self.window), axis=0)
        bias_NPP = ops.transpose(bias_PPN, (2, 0, 1))
        if self.mask_KPP is None:
            return bias_NPP[None]
        return ops.tile(bias_NPP[None] + self.mask_KPP[:, None], (batch, 1, 1, 1))


class _Merge(keras.layers.Layer):
    """2x2 pixels side by side, normalised, and a dense layer without bias to half their width."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.norm = _norm("norm")
        self.dense = keras.layers.Dense(width, use_bias=False, name="dense")

    def build(self, shape):
        self.norm.build((*shape[:-1], 4 * shape[-1]))
        self.dense.build((*shape[:-1], 4 * shape[-1]))

    def call(self, x_BHWE):
        return self.dense(self.norm(four_pixels(x_BHWE)))


def four_pixels(x_BHWE):
    """Each 2x2 pixels as one of four times the channels: top left, bottom left, top right, bottom right."""
    corners = [x_BHWE[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return ops.concatenate(corners, axis=-1)


def relative_position_index(window):
    """The row of the table for each two pixels of a window: int [P, P]."""
    row_P, column_P = np.divmod(np.arange(window**2), window)
    down_PP = row_P[:, None] - row_P + window - 1
    right_PP = column_P[:, None] - column_P + window - 1
    return down_PP * (2 * window - 1) + right_PP


def shift_mask(side, window, shift):
    """-100 where two pixels of a window of the shifted map were not neighbours before it: float32 [K, P, P]."""
    strip = np.digitize(np.arange(side), (side - window, side - shift))
    count = side // window
    region_HW = 3 * strip[:, None] + strip
    region_KP = region_HW.reshape(count, window, count, window).transpose(0, 2, 1, 3).reshape(count**2, window**2)
    return np.where(region_KP[:, :, None] == region_KP[:, None, :], 0, -100).astype("float32")


def _norm(name):
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)


build = ImageSwin
