"""Attention and transformer layers that the published towers are made of.

Dimension key: B batch, L tokens that ask, M tokens that are asked, E width, N heads, H width of a head.
"""

import keras
from keras import ops

from cir_tf.layers import at_least_float32


def _dense(units, name, limit, stddev=None, bias_limit=0.0, use_bias=True):
    """A dense layer that starts with weights U(-limit, limit) or N(0, stddev^2), biases U(-bias_limit, bias_limit)."""
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=_uniform(limit) if stddev is None else keras.initializers.RandomNormal(stddev=stddev),
        bias_initializer=_uniform(bias_limit) if bias_limit else "zeros",
        name=name,
    )


def _uniform(limit):
    return keras.initializers.RandomUniform(-limit, limit)


def quick_gelu(x):
    """x * sigmoid(1.702 x), CLIP's stand-in for GELU."""
    return x * ops.sigmoid(1.702 * x)


def gelu(x):
    """The exact GELU, x * Phi(x)."""
    return keras.activations.gelu(x, approximate=False)


class Attention(keras.layers.Layer):
    """Multi-head attention: softmax(q k^T / sqrt(H) + bias) v, joined over heads, then a dense layer.

    Scores and softmax are in float32, whatever the precision.

    Args:
        width: E, of queries, keys and values.
        heads: N; H = E / N.
        use_key_bias: whether the keys have a bias; queries and values always have one.
        dropout: rate, of the attention weights.
        output_width: of the result; None: E.
        stddev: of the first weights of queries, keys and values; None: as in torch.nn.MultiheadAttention.
        output_stddev: of the first weights of the last dense layer; None: as in torch.nn.Linear.
        bias_limit: biases start as U(-bias_limit, bias_limit).
    """

    def __init__(
        self,
        width,
        heads,
        use_key_bias=True,
        dropout=0.0,
        output_width=None,
        stddev=None,
        output_stddev=None,
        bias_limit=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"Heads share the width equally. Received: width={width}, heads={heads}.")
        self.width, self.heads = width, heads

        packed = (6 / (4 * width)) ** 0.5  # Xavier's limit over query, key and value as one matrix [3 E, E]
        self.query = _dense(width, "query", packed, stddev, bias_limit)
        self.key = _dense(width, "key", packed, stddev, bias_limit, use_key_bias)
        self.value = _dense(width, "value", packed, stddev, bias_limit)
        self.dropout = keras.layers.Dropout(dropout, name="dropout")
        self.output_dense = _dense(output_width or width, "output", width**-0.5, output_stddev, bias_limit)

    def build(self, query_shape, memory_shape=None):
        self.query.build(query_shape)
        self.key.build(memory_shape or query_shape)
        self.value.build(memory_shape or query_shape)
        self.output_dense.build((*query_shape[:-1], self.width))

    def call(self, query_BLE, memory_BME=None, bias=None, training=False):
        """The result, [B, L, E].

        Args:
            query_BLE: the tokens that ask.
            memory_BME: the tokens that are asked, of any width; None: `query_BLE`.
            bias: float32, added to the scores [B, N, L, M]; broadcasts. Minus infinity hides a token.
            training: whether dropout is on.
        """
        memory_BME = query_BLE if memory_BME is None else memory_BME
        query_BLNH, key_BMNH, value_BMNH = (
            self._split(layer(x))
            for layer, x in ((self.query, query_BLE), (self.key, memory_BME), (self.value, memory_BME))
        )
        query_BLNH = query_BLNH * (self.width // self.heads) ** -0.5  # there are fewer of them than of scores
        score_BNLM = at_least_float32(ops.einsum("blnh,bmnh->bnlm", query_BLNH, key_BMNH))
        if bias is not None:
            score_BNLM = score_BNLM + ops.cast(bias, score_BNLM.dtype)
        weight_BNLM = ops.softmax(score_BNLM, axis=-1)
        weight_BNLM = self.dropout(ops.cast(weight_BNLM, value_BMNH.dtype), training=training)
        joined_BLNH = ops.einsum("bnlm,bmnh->blnh", weight_BNLM, value_BMNH)
        return self.output_dense(ops.reshape(joined_BLNH, (*ops.shape(joined_BLNH)[:2], self.width)))

    def _split(self, x_BLE):
        return ops.reshape(x_BLE, (*ops.shape(x_BLE)[:2], self.heads, self.width // self.heads))


class PreNormBlock(keras.layers.Layer):
    """x = x + Attention(norm_1(x)); x = x + mlp_out(activation(mlp_in(norm_2(x)))).

    Args:
        width: E.
        heads: N.
        mlp_width: of the hidden layer.
        activation: function.
        epsilon: of the two layer normalisations.
        use_key_bias: as in `Attention`.
        depth: number of blocks of the tower, if weights start normally distributed, as in CLIP's text tower: standard
            deviation E^-0.5, (2 E)^-0.5 for `mlp_in`, and E^-0.5 (2 depth)^-0.5 for what is added to the stream.
            None: as in torch.nn.MultiheadAttention and torch.nn.Linear.
    """

    def __init__(self, width, heads, mlp_width, activation, epsilon=1e-5, use_key_bias=True, depth=None, **kwargs):
        super().__init__(**kwargs)
        self.width, self.mlp_width, self.activation = width, mlp_width, activation
        into, added = (width**-0.5, (2 * depth * width) ** -0.5) if depth else (None, None)
        self.norm_1 = keras.layers.LayerNormalization(epsilon=epsilon, name="norm_1")
        self.attention = Attention(width, heads, use_key_bias, stddev=into, output_stddev=added, name="attention")
        self.norm_2 = keras.layers.LayerNormalization(epsilon=epsilon, name="norm_2")
        self.mlp_in = _dense(mlp_width, "mlp_in", width**-0.5, depth and (2 * width) ** -0.5, width**-0.5)
        self.mlp_out = _dense(width, "mlp_out", mlp_width**-0.5, added, mlp_width**-0.5)

    def build(self, shape):
        for layer in (self.norm_1, self.attention, self.norm_2, self.mlp_in):
            layer.build(shape)
        self.mlp_out.build((*shape[:-1], self.mlp_width))

    def call(self, x_BLE, bias=None):
        """The tokens after the block, [B, L, E].

        Args:
            x_BLE: tokens.
            bias: as in `Attention`.
        """
        x_BLE = x_BLE + self.attention(self.norm_1(x_BLE), bias=bias)
        return x_BLE + self.mlp_out(self.activation(self.mlp_in(self.norm_2(x_BLE))))
