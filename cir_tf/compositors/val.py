"""VAL: a composite transformer on each of several feature maps.

Dimension key: B batch, H W C map, P places of a map, T text width.
"""

import keras
import numpy as np
from keras import ops

from cir_tf.compositors.base import Compositor
from cir_tf.layers import BatchNorm, at_least_float32, l2_normalize, truncated_normal

ACTIVATIONS = ("relu", "relu6")
EPSILON = 1e-10  # of the published unit vectors


class VAL(Compositor):
    """Per level, unit(mean over places of F), F = `CompositeTransformer`(map, text); a target is unit(mean of its map).

    The names are `level_1`, `level_2`, … from shallow to deep. The layers are made when the first query is composed.

    Args:
        width: not read: a level's vectors are as wide as its map.
        mix: (w_J, w_S) of every level at the start.
        heads: of the self-attention.
        dropout: rate, of the attention's weights.
        levels: how many of the deepest maps are used; None: all.
        activation: "relu", or "relu6" as with MobileNet.
        norm_momentum, norm_epsilon: of the batch normalisations; VAL: 0.997 and 1e-5, with MobileNet 0.9997 and 1e-3.
        stddev: of the convolutions' first weights, from a truncated normal distribution; VAL with MobileNet: 0.09.
            None, as with ResNet: their variance is 2 / fan_in.

    Raises:
        ValueError: no such activation, no level, or, in `check` and with a query, more levels than maps.

    Reference: Chen et al., CVPR 2020, section 3.2, and the released code, which multiplies the sigmoids of the two
    gates where the paper takes the sigmoid of their product.
    """

    needs_image = ("maps",)
    normalized = True
    own_widths = True

    def __init__(
        self,
        width=512,
        mix=(1.0, 0.0),
        heads=2,
        dropout=0.1,
        levels=None,
        activation="relu",
        norm_momentum=0.997,
        norm_epsilon=1e-5,
        stddev=None,
        **kwargs,
    ):
        super().__init__(width, **kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"Activations are {' and '.join(ACTIVATIONS)}. Received: activation={activation!r}.")
        if levels is not None and levels < 1:
            raise ValueError(f"There must be a level. Received: levels={levels}. Use None for one per map.")
        self.levels = levels
        norm = {"activation": activation, "momentum": norm_momentum, "epsilon": norm_epsilon, "stddev": stddev}
        self._arguments = {"mix": mix, "heads": heads, "dropout": dropout, "norm": norm}
        self.transformers = []

    def check(self, reference, text):
        self._named(reference)

    def compose(self, reference, text, training=False):
        maps = self._named(reference)
        if not self.transformers:
            self.transformers = [CompositeTransformer(**self._arguments, name=name) for name in maps]
        transformers = zip(maps.items(), self.transformers, strict=True)
        return {
            name: pooled(transformer(map_BHWC, text.pooled_BE, training=training))
            for (name, map_BHWC), transformer in transformers
        }

    def project_target(self, target, training=False):
        return {name: pooled(map_BHWC) for name, map_BHWC in self._named(target).items()}

    def _named(self, features):
        """{level's name: map}, from shallow to deep."""
        count = len(features.maps) if self.levels is None else self.levels
        if count > len(features.maps):
            raise ValueError(f"Every level needs a map. Received: levels={count}, {len(features.maps)} maps.")
        return {f"level_{i}": each for i, each in enumerate(features.maps[-count:], start=1)}


def pooled(map_BHWC):
    """Unit vectors [B, C] of the mean over places, in float32."""
    return l2_normalize(ops.mean(at_least_float32(map_BHWC), axis=(1, 2)), epsilon=EPSILON)


class CompositeTransformer(keras.layers.Layer):
    """F = w_J J * X + w_S S on the map X and the text t; w_J and w_S are trained.

    V = conv1x1([X; t at every place]);  J = sigmoid(conv1x1(mean of V over places)) sigmoid(conv(mean of V over
    channels)), whose kernel is as large as the map;  S = conv1x1(heads of self-attention on V, side by side). Every
    convolution is normalised and rectified. So J is never below 0.25, and with the published start (1, 0) the attention
    does nothing at first.

    Args:
        mix: (w_J, w_S) at the start.
        heads: of the attention. Each takes its part of the channels, as `numpy.array_split` parts them.
        dropout: rate, of the attention's weights.
        norm: further arguments of the normalised convolutions: `activation`, `momentum`, `epsilon`, `stddev`.
    """

    def __init__(self, mix, heads, dropout, norm, **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        start = keras.initializers.Constant(mix)
        self.mix = self.add_weight(name="mix", shape=(2,), initializer=start, autocast=False)
        self.heads = [_Head(dropout, name=f"head_{i}") for i in range(1, heads + 1)]

    def build(self, x_shape, text_shape):
        channels = x_shape[-1]
        self.widths = [len(part) for part in np.array_split(np.arange(channels), len(self.heads))]
        if 0 in self.widths:
            raise ValueError(f"Every head needs a channel. Received: heads={len(self.heads)}, {channels} channels.")
        self.fusion = _Conv(channels, 1, **self.norm, name="fusion")
        self.channel_gate = _Conv(channels, 1, **self.norm, name="channel_gate")
        self.spatial_gate = _Conv(1, x_shape[1:3], **self.norm, name="spatial_gate")
        self.joining = _Conv(channels, 1, **self.norm, name="joining")
        self.fusion.build((*x_shape[:-1], channels + text_shape[-1]))
        self.spatial_gate.build((*x_shape[:-1], 1))
        for layer in (self.channel_gate, self.joining):
            layer.build(x_shape)
        for head, width in zip(self.heads, self.widths, strict=True):
            head.build((x_shape[0], None, width))

    def call(self, x, text, training=False):
        """The composed map F, [B, H, W, C].

        Args:
            x: X, [B, H, W, C].
            text: t, [B, T].
            training: whether batch statistics and dropout are those of training.
        """
        places_BHW1 = ops.ones_like(x[..., :1])
        fused_BHWC = ops.concatenate([x, places_BHW1 * text[:, None, None, :]], axis=-1)
        fused_BHWC = self.fusion(fused_BHWC, training=training)
        gate_BHWC = self.joint_gate(fused_BHWC, training=training)
        attended_BHWC = self.self_attention(fused_BHWC, training=training)
        x, gate_BHWC, attended_BHWC = (ops.cast(each, self.variable_dtype) for each in (x, gate_BHWC, attended_BHWC))
        return self.mix[0] * gate_BHWC * x + self.mix[1] * attended_BHWC

    def joint_gate(self, fused_BHWC, training=False):
        """J [B, H, W, C] of V."""
        channel_B11C = self.channel_gate(ops.mean(fused_BHWC, axis=(1, 2), keepdims=True), training=training)
        spatial_BHW1 = self.spatial_gate(ops.mean(fused_BHWC, axis=-1, keepdims=True), training=training)
        return ops.sigmoid(channel_B11C) * ops.sigmoid(spatial_BHW1)

    def self_attention(self, fused_BHWC, training=False):
        """S [B, H, W, C] of V."""
        batch, height, width, channels = ops.shape(fused_BHWC)
        rows_BPC = ops.reshape(fused_BHWC, (batch, height * width, channels))
        parts = ops.split(rows_BPC, np.cumsum(self.widths)[:-1].tolist(), axis=-1)
        parts = [head(part, training=training) for head, part in zip(self.heads, parts, strict=True)]
        joined_BHWC = ops.reshape(ops.concatenate(parts, axis=-1), (batch, height, width, channels))
        return self.joining(joined_BHWC, training=training)


class _Head(keras.layers.Layer):
    """softmax(q k^T / sqrt(C)) v over the places of a map, scores in float32.

    The released code calls the three K, V and Q, in this order; they start alike, so the names do not matter.
    """

    def __init__(self, dropout, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(dropout, name="dropout")

    def build(self, shape):
        self.denses = [keras.layers.Dense(shape[-1], use_bias=False, name=name) for name in ("query", "key", "value")]
        for dense in self.denses:
            dense.build(shape)

    def call(self, x_BPC, training=False):
        query_BPC, key_BPC, value_BPC = (dense(x_BPC) for dense in self.denses)
        score_BPP = ops.matmul(query_BPC, ops.swapaxes(key_BPC, 1, 2)) / x_BPC.shape[-1] ** 0.5
        weight_BPP = ops.softmax(at_least_float32(score_BPP), axis=-1)
        return ops.matmul(self.dropout(ops.cast(weight_BPP, value_BPC.dtype), training=training), value_BPC)


class _Conv(keras.layers.Layer):
    """activation(norm(conv(x))), the convolution without bias and padded as TensorFlow's SAME.

    Args:
        filters, kernel_size: as in `keras.layers.Conv2D`.
        activation: one of `ACTIVATIONS`.
        momentum, epsilon: of the normalisation.
        stddev: as in `VAL`.
    """

    def __init__(self, filters, kernel_size, activation, momentum, epsilon, stddev, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer=truncated_normal(stddev),
            name="conv",
        )
        self.norm = BatchNorm(epsilon, momentum, name="norm")
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], self.conv.filters))

    def call(self, x_BHWC, training=False):
        return self.activation(self.norm(self.conv(x_BHWC), training=training))


build = VAL
