"""MRN: multimodal residual learning.

Dimension key: B batch, D shared embedding.
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import TorchDense


class MRN(VectorCompositor):
    """psi = h^L with h^0 = phi_t and h^l = W_s h^(l-1) + tanh(W_q h^(l-1)) * tanh(W_2 tanh(W_1 phi_x)).

    The shortcut carries the text; every block has its own dense layers, with biases.

    Args:
        width: D.
        blocks: L, at least 1.
        dropout: rate before each dense layer. The public re-implementation for Fashion IQ has one block and 0.5.

    Raises:
        ValueError: fewer than one block.

    Reference: Kim et al., NeurIPS 2016 (arXiv 1606.01455), section 3. A baseline of Vo et al., CVPR 2019
    (arXiv 1812.07119), section 4.
    """

    def __init__(self, width=512, blocks=1, dropout=0.0, **kwargs):
        super().__init__(width, **kwargs)
        if blocks < 1:
            raise ValueError(f"MRN has at least one block. Received: blocks={blocks}. Use 1, 2 or 3.")
        self.blocks = [_Block(width, dropout, name=f"block_{number}") for number in range(1, blocks + 1)]

    def fuse(self, image_BD, text_BD, training=False):
        h_BD = text_BD
        for block in self.blocks:
            h_BD = block(h_BD, image_BD, training=training)
        return h_BD


class _Block(keras.layers.Layer):
    """W_s h + tanh(W_q h) * tanh(W_2 tanh(W_1 phi_x))."""

    def __init__(self, width, dropout, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(dropout)
        self.shortcut = TorchDense(width, name="shortcut")
        self.question = TorchDense(width, name="question")
        self.image_1 = TorchDense(width, name="image_1")
        self.image_2 = TorchDense(width, name="image_2")

    def build(self, h_shape, image_shape):
        self.shortcut.build(h_shape)
        self.question.build(h_shape)
        self.image_1.build(image_shape)
        self.image_2.build((*image_shape[:-1], self.image_1.units))

    def call(self, h, image, training=False):
        def dense(layer, x):
            return layer(self.dropout(x, training=training))

        image_BD = ops.tanh(dense(self.image_2, ops.tanh(dense(self.image_1, image))))
        return dense(self.shortcut, h) + ops.tanh(dense(self.question, h)) * image_BD


build = MRN
