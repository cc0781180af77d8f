"""Attributes as operators: the text is a matrix that acts on the image's vector.

Dimension key: B batch, D shared embedding, E width of the text.
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor


class AttributeAsOperator(VectorCompositor):
    """psi = T phi_x with T[m, n] = [m = n] + sum over e of phi_t[e] M[e, m, n].

    With a text encoder that is one vector per adjective this is one matrix per adjective; where that vector is
    narrower than there are adjectives, their matrices share E of them. M has D D E weights: a recipe uses a narrow
    text encoder (512 x 512 x 64 are 17 million). No matrix of a query is written out; the largest tensor is [B, E D].

    M starts small, so that psi differs from phi_x by some six percent for a text whose elements have size 1.

    Args:
        width: D.

    Reference: Nagarajan and Grauman, ECCV 2018 (arXiv 1803.09851), section 3.1, one matrix for each attribute. A
    baseline of Vo et al., CVPR 2019 (arXiv 1812.07119), section 4.2, on MIT-States.
    """

    def __init__(self, width=512, **kwargs):
        super().__init__(width, **kwargs)
        self.operator = _Operator(name="operator")

    def fuse(self, image_BD, text_BE, training=False):
        return image_BD + self.operator(image_BD, text_BE)


class _Operator(keras.layers.Layer):
    """(T - I) x, [B, D]."""

    def build(self, x_shape, text_shape):
        limit = 0.1 * (x_shape[-1] * text_shape[-1]) ** -0.5
        start = keras.initializers.RandomUniform(-limit, limit)
        shape = (text_shape[-1], x_shape[-1], x_shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=start)  # [E, n, m]

    def call(self, x, text):
        inputs, outputs = self.kernel.shape[0] * self.kernel.shape[1], self.kernel.shape[2]
        # sum_e t_e (M_e x) = M (t x x), all M_e side by side: no matrix of a query is ever written out
        product = ops.reshape(text[:, :, None] * x[:, None, :], (-1, inputs))
        return ops.matmul(product, ops.reshape(self.kernel, (inputs, outputs)))


build = AttributeAsOperator
