"""Relation network over the places of the last convolution map.

Dimension key: B batch, D shared embedding, E tower width, P places of the map, C its channels, F hidden width.
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import TorchDense


class Relationship(VectorCompositor):
    """psi = f_2(sum over all i, j of f_1([o_i; o_j; phi_t])), o_1 .. o_P the local vectors of the last map.

    f_1(x) = relu(dense(relu(dense(x)))) and f_2(x) = dense(relu(dense(x))); all ordered pairs, i = j included. The
    last layer is linear, as that of the targets is. The largest tensor is [B, P, P, hidden].

    Args:
        width: D.
        hidden: F, the width of all layers but the last; None for D.

    Reference: Santoro et al., NeurIPS 2017 (arXiv 1706.01427), section 2, with the text in each pair as in section 4.
    A baseline of Vo et al., CVPR 2019 (arXiv 1812.07119), section 4.
    """

    needs_image = ("pooled", "maps")

    def __init__(self, width=512, hidden=None, **kwargs):
        super().__init__(width, **kwargs)
        hidden = width if hidden is None else hidden
        self.relations = _Relations(hidden, name="relations")
        self.dense_1 = TorchDense(hidden, name="dense_1")
        self.dense_2 = TorchDense(width, name="dense_2")

    def compose(self, reference, text, training=False):
        relations_BF = self.relations(reference.maps[-1], text.pooled_BE)
        return {"main": self.dense_2(ops.relu(self.dense_1(relations_BF)))}


class _Relations(keras.layers.Layer):
    """sum over all i, j of f_1([o_i; o_j; text]), [B, F]."""

    def __init__(self, hidden, **kwargs):
        super().__init__(**kwargs)
        self.dense_1 = TorchDense(hidden, name="dense_1")
        self.dense_2 = TorchDense(hidden, name="dense_2")

    def build(self, x_shape, text_shape):
        self.dense_1.build((None, 2 * x_shape[-1] + text_shape[-1]))
        self.dense_2.build((None, self.dense_1.units))

    def call(self, x, text):
        _, height, width, channels = ops.shape(x)
        places_BPC = ops.reshape(x, (-1, height * width, channels))
        # W [o_i; o_j; t] = W_a o_i + W_b o_j + W_c t: three small products, and no pair is ever written out
        first, second, words = ops.split(self.dense_1.kernel, [channels, 2 * channels])
        text_BF = ops.matmul(text, words) + self.dense_1.bias
        first_BPF = ops.matmul(places_BPC, first) + text_BF[:, None]
        second_BPF = ops.matmul(places_BPC, second)
        pairs_BPPF = ops.relu(first_BPF[:, :, None] + second_BPF[:, None])
        pairs_BPPF = ops.relu(self.dense_2(pairs_BPPF))
        # hundreds of positive numbers: added up in half precision, the later ones would vanish
        return ops.sum(ops.cast(pairs_BPPF, self.variable_dtype), axis=(1, 2))


build = Relationship
