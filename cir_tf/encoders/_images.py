"""What the published image towers share.

Dimension key: B batch, H W C image.
"""

import keras
import numpy as np
from keras import ops

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def fields(variants, variant, **overrides):
    """The sizes of a variant, with those that are given in place of its own.

    Args:
        variants: {name: {field: value}}.
        variant: a name of it.
        overrides: other values of the same fields.

    Raises:
        ValueError: no such variant, or a field that it does not have.
    """
    if variant not in variants:
        raise ValueError(f"There is no such size. Received: variant={variant!r}. Choose from: {', '.join(variants)}.")
    unknown = set(overrides) - set(variants[variant])
    if unknown:
        known = ", ".join(variants[variant])
        raise ValueError(f"A size has the fields {known}. Received: {', '.join(sorted(unknown))}. Use one of them.")
    return {**variants[variant], **overrides}


def imagenet_pixels(image_BHWC, dtype):
    """Pixels of 0..255 less ImageNet's mean, in units of its standard deviation.

    Args:
        image_BHWC: RGB, float or uint8.
        dtype: of the result.
    """
    mean, deviation = (255 * np.array(each, dtype) for each in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (ops.cast(image_BHWC, dtype) - mean) / deviation


class Conv(keras.layers.Conv2D):
    """A square convolution with symmetric zero padding of kernel_size // 2.

    Keras' "same" is that where the stride is 1, and asymmetric where it is 2.

    Args:
        filters: number of output channels.
        kernel_size: odd int.
        strides: int.
    """

    def __init__(self, filters, kernel_size, strides=1, use_bias=False, **kwargs):
        self.pad = kernel_size // 2 if strides > 1 else 0
        padding = "valid" if strides > 1 else "same"
        super().__init__(filters, kernel_size, strides, padding, use_bias=use_bias, **kwargs)

    def call(self, inputs):
        return super().call(pad(inputs, self.pad))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        grow = 2 * self.pad
        return super().compute_output_shape((batch, height and height + grow, width and width + grow, channels))


def pad(x_BHWC, margin):
    """`margin` zeros on each side of a map."""
    return ops.pad(x_BHWC, ((0, 0), (margin, margin), (margin, margin), (0, 0))) if margin else x_BHWC
