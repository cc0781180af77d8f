"""FiLM on the last convolution map, in several layers: its original form.

Dimension key: B batch, D shared embedding, E tower width, H W C map, J blocks.
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import BatchNorm, TorchConv2D, TorchDense


class FiLMLastConv(VectorCompositor):
    """psi = dense(mean of the map after all blocks), where a block makes of a map x

    r = relu(conv1x1(x)),  out = r + relu(gamma * BN(conv3x3(r)) + beta),  BN without gain and shift of its own.

    One dense layer of the text gives gamma - 1 and beta of every block and channel. Targets take the same last dense
    layer without the blocks. The convolution before BN has no bias, which BN would take away.

    Args:
        width: D.
        blocks: J. Vo et al. say that FiLM has to be put into several layers, where TIRG needs one, not into how many.

    Raises:
        ValueError: fewer than one block.

    Reference: Perez et al., AAAI 2018 (arXiv 1709.07871), sections 2 and 3, without its maps of coordinates. A
    baseline of Vo et al., CVPR 2019 (arXiv 1812.07119), section 4. `film` is the same on the vector, in one layer.
    """

    needs_image = ("pooled", "maps")

    def __init__(self, width=512, blocks=2, **kwargs):
        super().__init__(width, **kwargs)
        if blocks < 1:
            raise ValueError(f"FiLM has at least one block. Received: blocks={blocks}. Use 2, 3 or 4.")
        self.modulated = _Modulated(blocks, name="modulated")

    def compose(self, reference, text, training=False):
        map_BHWC = self.modulated(reference.maps[-1], text.pooled_BE, training=training)
        return {"main": self.image_dense(ops.mean(map_BHWC, axis=(1, 2)))}


class _Modulated(keras.layers.Layer):
    """The map after all blocks."""

    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [_Block(name=f"block_{number}") for number in range(1, blocks + 1)]

    def build(self, x_shape, text_shape):
        self.generator = TorchDense(2 * x_shape[-1] * len(self.blocks), dtype=self.dtype_policy, name="generator")
        self.generator.build(text_shape)
        for block in self.blocks:
            block.build(x_shape)

    def call(self, x, text, training=False):
        modulation_BJ2C = ops.reshape(self.generator(text), (-1, len(self.blocks), 2, x.shape[-1]))
        for number, block in enumerate(self.blocks):
            gamma_BC, beta_BC = 1 + modulation_BJ2C[:, number, 0], modulation_BJ2C[:, number, 1]
            x = block(x, gamma_BC[:, None, None], beta_BC[:, None, None], training=training)
        return x


class _Block(keras.layers.Layer):
    """relu(conv1x1(x)) =: r;  r + relu(gamma * BN(conv3x3(r)) + beta)."""

    def build(self, x_shape, *_):
        self.conv_1 = TorchConv2D(x_shape[-1], 1, dtype=self.dtype_policy, name="conv_1")
        self.conv_2 = TorchConv2D(x_shape[-1], 3, use_bias=False, dtype=self.dtype_policy, name="conv_2")
        self.norm = BatchNorm(affine=False, dtype=self.dtype_policy, name="norm")
        for layer in (self.conv_1, self.conv_2, self.norm):
            layer.build(x_shape)

    def call(self, x, gamma, beta, training=False):
        r_BHWC = ops.relu(self.conv_1(x))
        return r_BHWC + ops.relu(gamma * self.norm(self.conv_2(r_BHWC), training=training) + beta)


build = FiLMLastConv
