"""Composition by a small network on the concatenation.

Dimension key: B batch, D shared embedding, U both vectors side by side.
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import BatchNorm, TorchDense


class Concat(VectorCompositor):
    """psi = dense(dropout(relu(BN(dense(relu(BN([phi_x; phi_t]))))))), the layers D + D_t -> 2 D -> D.

    Args:
        width: D.
        dropout: rate.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 4, baseline "concatenation", as in the released code.
    """

    def __init__(self, width=512, dropout=0.1, **kwargs):
        super().__init__(width, **kwargs)
        self.norm_1 = BatchNorm(name="norm_1")
        self.dense_1 = TorchDense(2 * width, name="dense_1")
        self.norm_2 = BatchNorm(name="norm_2")
        self.dropout = keras.layers.Dropout(dropout)
        self.dense_2 = TorchDense(width, name="dense_2")

    def fuse(self, image_BD, text_BD, training=False):
        u_BU = ops.concatenate([image_BD, text_BD], axis=-1)
        u_BU = self.dense_1(ops.relu(self.norm_1(u_BU, training=training)))
        u_BU = ops.relu(self.norm_2(u_BU, training=training))
        return self.dense_2(self.dropout(u_BU, training=training))


build = Concat
