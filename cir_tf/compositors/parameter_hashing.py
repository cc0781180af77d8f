"""Parameter hashing: the text makes the weights of the image's last dense layer.

Dimension key: B batch, D shared embedding, E tower width, K parameters per text.
"""

import keras
import numpy as np
from keras import ops

from cir_tf.compositors.base import VectorCompositor


class ParameterHashing(VectorCompositor):
    """psi = W phi'_x with W[m, n] = xi(m, n) p[h(m, n)] and p = dense(phi_t).

    phi'_x is the image before its last dense layer, for whose kernel W stands in; the targets keep that layer. h
    spreads the D E places over the K numbers of p, and xi gives each place a sign; both come from one fixed integer
    hash of the place, so that they are the same in every process and need not be saved.

    The bias of the layer that makes p starts as the image's last layer does, U(-1/sqrt(E), 1/sqrt(E)), and its kernel
    smaller by the square root of the text's width: psi is then as large as phi_x, and at most sqrt(2) times that where
    a text's elements have size 1. Started like any other layer, p would make psi sqrt(E) times as large for such a
    text. The loss sees directions only, and its gradients go with 1 / |psi|.

    Memory: W is written out for every query, B D E numbers: 34 MB in float32 for 32 queries of 512 x 512, and as much
    again for its gradient.

    Args:
        width: D.
        length: K.

    Raises:
        ValueError: no parameters.

    Reference: Noh et al., CVPR 2016 (arXiv 1511.05756), section 4.2, after Chen et al., ICML 2015 (arXiv 1504.04788);
    their hash function is another. A baseline of Vo et al., CVPR 2019 (arXiv 1812.07119), section 4; K is our choice.
    """

    def __init__(self, width=512, length=4096, **kwargs):
        super().__init__(width, **kwargs)
        if length < 1:
            raise ValueError(f"A text makes at least one parameter. Received: length={length}. Use 4096, say.")
        self.hashed = _HashedDense(width, length, name="hashed")

    def compose(self, reference, text, training=False):
        return {"main": self.hashed(reference.pooled_BE, text.pooled_BE)}


class _HashedDense(keras.layers.Layer):
    """W(text) x, [B, D]."""

    def __init__(self, units, length, **kwargs):
        super().__init__(**kwargs)
        self.units, self.length = units, length

    def build(self, x_shape, text_shape):
        limit = x_shape[-1] ** -0.5
        self.parameters = keras.layers.Dense(
            self.length,
            kernel_initializer=_uniform(limit * text_shape[-1] ** -0.5),
            bias_initializer=_uniform(limit),
            dtype=self.dtype_policy,
            name="parameters",
        )
        self.parameters.build(text_shape)
        index_DE, sign_DE = hashes(self.units, x_shape[-1], self.length)
        self.place_DE = index_DE + self.length * (sign_DE < 0)

    def call(self, x, text):
        p_BK = self.parameters(text)
        weight_BDE = ops.take(ops.concatenate([p_BK, -p_BK], axis=-1), self.place_DE, axis=-1)
        return ops.matmul(weight_BDE, x[:, :, None])[:, :, 0]


def _uniform(limit):
    return keras.initializers.RandomUniform(-limit, limit)


def hashes(rows, columns, length):
    """h in 0..length-1 and xi in {-1, 1} of every place of a matrix: two int32 [rows, columns].

    The last step of MurmurHash3 on the number of the place, row by row: its top bit is the sign, the others, modulo
    `length`, are the index.
    """
    bits = np.arange(rows * columns, dtype=np.uint32)
    bits ^= bits >> 16
    bits *= np.uint32(0x85EBCA6B)
    bits ^= bits >> 13
    bits *= np.uint32(0xC2B2AE35)
    bits ^= bits >> 16
    index, sign = (bits & 0x7FFFFFFF) % length, 1 - 2 * (bits >> 31).astype(np.int32)
    return index.astype(np.int32).reshape(rows, columns), sign.reshape(rows, columns)


build = ParameterHashing
