"""TIRG on the last convolution map, before pooling.

Dimension key: B batch, D shared embedding, E tower width, H W C map.
"""

import keras
from keras import ops

from cir_tf.compositors.base import GatedResidual
from cir_tf.layers import BatchNorm, TorchConv2D


class TIRGLastConv(GatedResidual):
    """x' = a_0 sigmoid(G) * x + a_1 R on the map x; psi = dense(mean of x').

    G and R are each conv3x3(relu(conv3x3(BN([x; phi_t at every place])))), C + D_t -> C + D_t -> C channels. Targets
    take the same dense layer without the composition.

    Args:
        width: D.
        mix: a at the start, published as (1, 10); see `GatedResidual`.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.1, and the released code, which has no ReLU between
    the batch normalisation and the first convolution.
    """

    needs_image = ("pooled", "maps")

    def __init__(self, width=512, mix=(1.0, 10.0), **kwargs):
        super().__init__(width, mix, **kwargs)
        self.gate = _MapBranch(name="gate")
        self.residual = _MapBranch(name="residual")

    def compose(self, reference, text, training=False):
        map_BHWC = self.fuse_map(reference.maps[-1], text.pooled_BE, training=training)
        return {"main": self.image_dense(ops.mean(map_BHWC, axis=(1, 2)))}

    def fuse_map(self, map_BHWC, text_BD, training=False):
        """The changed map x' [B, H, W, C]."""
        gate_BHWC = self.gate(map_BHWC, text_BD, training=training)
        return self.gated_residual(map_BHWC, gate_BHWC, self.residual(map_BHWC, text_BD, training=training))


class _MapBranch(keras.layers.Layer):
    """conv3x3(relu(conv3x3(BN([x; text at every place])))), back to the channels of x."""

    def build(self, x_shape, text_shape):
        channels = x_shape[-1] + text_shape[-1]
        self.norm = BatchNorm(name="norm")
        self.conv_1 = TorchConv2D(channels, 3, name="conv_1")
        self.conv_2 = TorchConv2D(x_shape[-1], 3, name="conv_2")
        for layer in (self.norm, self.conv_1, self.conv_2):
            layer.build((*x_shape[:-1], channels))

    def call(self, x, text, training=False):
        places = ops.ones_like(x[..., :1])
        z_BHWC = ops.concatenate([x, places * text[:, None, None, :]], axis=-1)
        return self.conv_2(ops.relu(self.conv_1(self.norm(z_BHWC, training=training))))


build = TIRGLastConv
