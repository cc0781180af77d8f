"""TIRG: gated residual composition, after the last dense layer.

Dimension key: B batch, D shared embedding, U both vectors side by side.
"""

from keras import ops

from cir_tf.compositors.base import GatedResidual
from cir_tf.layers import BatchNorm, TorchDense


class TIRG(GatedResidual):
    """psi = a_0 sigmoid(g) * phi_x + a_1 r, on u = [phi_x; phi_t].

    g = dense(relu(BN_1(u))),  r = dense(relu(dense(relu(BN_2(u))))), a trainable from (1, 10).

    Args:
        width: D.
        mix: a at the start, published as (1, 10); see `GatedResidual`.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.1. The released code, followed here, has one dense
    layer in the gate where the paper's equation has two.
    """

    def __init__(self, width=512, mix=(1.0, 10.0), **kwargs):
        super().__init__(width, mix, **kwargs)
        self.gate_norm = BatchNorm(name="gate_norm")
        self.gate = TorchDense(width, name="gate")
        self.residual_norm = BatchNorm(name="residual_norm")
        self.residual_1 = TorchDense(2 * width, name="residual_1")
        self.residual_2 = TorchDense(width, name="residual_2")

    def fuse(self, image_BD, text_BD, training=False):
        u_BU = ops.concatenate([image_BD, text_BD], axis=-1)
        gate_BD = self.gate(ops.relu(self.gate_norm(u_BU, training=training)))
        residual_BU = self.residual_1(ops.relu(self.residual_norm(u_BU, training=training)))
        return self.gated_residual(image_BD, gate_BD, self.residual_2(ops.relu(residual_BU)))


build = TIRG
