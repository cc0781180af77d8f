"""FiLM on the pooled vector.

Dimension key: B batch, D shared embedding.
"""

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import TorchDense


def modulate(x_BD, gamma_BD, beta_BD):
    """gamma * x + beta."""
    return gamma_BD * x_BD + beta_BD


class FiLM(VectorCompositor):
    """psi = (1 + dense(phi_t)) * phi_x + dense(phi_t).

    Args:
        width: D.

    Reference: Perez et al., AAAI 2018 (arXiv 1709.07871), section 2, which also predicts gamma - 1, so that a new
    layer lets the image through. A baseline of Vo et al., CVPR 2019, who put it into several convolution layers;
    here it acts once, on the vector.
    """

    def __init__(self, width=512, **kwargs):
        super().__init__(width, **kwargs)
        self.gamma_dense = TorchDense(width, name="gamma")
        self.beta_dense = TorchDense(width, name="beta")

    def fuse(self, image_BD, text_BD, training=False):
        return modulate(image_BD, 1 + self.gamma_dense(text_BD), self.beta_dense(text_BD))


build = FiLM
