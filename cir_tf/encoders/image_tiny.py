"""A small convolutional network for pictures of 64 to 72 pixels.

Dimension key: B batch, E tower width, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders.base import ImageEncoder
from cir_tf.layers import BatchNorm, TorchConv2D
from cir_tf.types import Features


class ImageTiny(ImageEncoder):
    """Blocks of 3x3 convolution with stride 2, batch normalisation and ReLU; then the mean over the last map.

    Args:
        image_size: side of the square input, in pixels.
        widths: channels of each block; every block halves the side.

    Raises:
        ValueError: no block, or more blocks than the side can be halved.
    """

    def __init__(self, image_size=72, widths=(32, 64, 128, 256), **kwargs):
        super().__init__(**kwargs)
        if not widths or 2 ** len(widths) > image_size:
            raise ValueError(
                f"Each of one or more blocks halves the side. Received: image_size={image_size}, widths={widths}. "
                "Use larger images or fewer widths."
            )
        self.image_size = image_size
        self.map_widths = tuple(widths)
        self.width = self.map_widths[-1]
        self.blocks = [
            (TorchConv2D(width, 3, strides=2, use_bias=False, name=f"conv_{i}"), BatchNorm(name=f"norm_{i}"))
            for i, width in enumerate(self.map_widths)
        ]

    def call(self, image_BHWC, training=False):
        x = ops.cast(image_BHWC, self.variable_dtype) / 127.5 - 1
        maps = []
        for conv, norm in self.blocks:
            x = keras.activations.relu(norm(conv(x), training=training))
            maps.append(x)
        return Features(pooled_BE=ops.mean(x, axis=(1, 2)), maps=tuple(maps))


build = ImageTiny
