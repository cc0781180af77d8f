"""Layers that several parts share: PyTorch's defaults in Keras, and one way to normalise.

The published systems were written for PyTorch. Its initial values and its batch normalisation differ from
those of Keras, and both decide results.
"""

import math

import keras
import numpy as np
from keras import ops


def at_least_float32(x):
    """`x` as a float tensor of at least 32 bits: norms, logits and losses are computed in it."""
    x = ops.convert_to_tensor(x)
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def l2_normalize(x, axis=-1, epsilon=1e-12):
    """Unit vectors: x / sqrt(max(sum x^2, epsilon)), in float32 (float64 stays).

    Args:
        x: float array; a zero vector stays zero.
        axis: the axis of the vectors.
        epsilon: the smallest squared norm that is divided by.
    """
    x = at_least_float32(x)
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def _torch_uniform(fan_in):
    limit = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-limit, limit)


def truncated_normal(stddev=None):
    """Start of kernels before a normalisation, cut at two standard deviations; None: with variance 2 / fan_in.

    Reference: He et al., ICCV 2015, as TensorFlow 1's published models have it.
    """
    if stddev is None:
        return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal")
    return keras.initializers.TruncatedNormal(stddev=stddev)


class TorchDense(keras.layers.Dense):
    """A dense layer whose weights and biases start as U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    Reference: the default of torch.nn.Linear.
    """

    def build(self, input_shape):
        self.kernel_initializer = _torch_uniform(input_shape[-1])
        self.bias_initializer = _torch_uniform(input_shape[-1])
        super().build(input_shape)


class TorchConv2D(keras.layers.Conv2D):
    """A square convolution with symmetric zero padding of kernel_size // 2, started like `TorchDense`.

    Keras' "same" pads asymmetrically where the stride is 2; published weights expect the symmetric form.

    Args:
        filters: number of output channels.
        kernel_size: odd int.
        strides: int.

    Reference: the default of torch.nn.Conv2d with padding=kernel_size // 2.
    """

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        if kernel_size % 2 == 0:
            raise ValueError(f"The kernel must be odd. Received: kernel_size={kernel_size}. Use 1, 3, 5 or 7.")
        super().__init__(filters, kernel_size, strides=strides, padding="valid", **kwargs)
        self.pad = kernel_size // 2

    def build(self, input_shape):
        fan_in = input_shape[-1] * self.kernel_size[0] * self.kernel_size[1]
        self.kernel_initializer = _torch_uniform(fan_in)
        self.bias_initializer = _torch_uniform(fan_in)
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        grow = 2 * self.pad
        padded = (batch, height and height + grow, width and width + grow, channels)
        return super().compute_output_shape(padded)

    def call(self, inputs):
        margin = (self.pad, self.pad)
        return super().call(ops.pad(inputs, ((0, 0), margin, margin, (0, 0))))


class BatchNorm(keras.layers.Layer):
    """Batch normalisation over all axes but the last, with PyTorch's statistics.

    y = gamma (x - mean) / sqrt(var + epsilon) + beta. In training, mean and biased variance are the batch's, and
    moving = momentum * moving + (1 - momentum) * batch, where the *unbiased* variance goes into the moving one.
    Statistics are float32 under mixed precision.

    Args:
        epsilon: added to the variance.
        momentum: share of the old moving statistics that is kept (0.9 is PyTorch's 0.1).
        affine: False leaves out gamma and beta.

    Attributes:
        replicas: int; above 1, the moments are taken over the batches of all replicas.
        fixed: True where training, too, uses the moving statistics and leaves them as they are.
        fused: None, or a backend's kernel for training on maps with one replica, some four times as fast:
            (x [B, H, W, C], gamma, beta, epsilon) -> (y, batch mean, unbiased batch variance).

    Reference: torch.nn.BatchNorm1d and BatchNorm2d.
    """

    def __init__(self, epsilon=1e-5, momentum=0.9, affine=True, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.momentum = momentum
        self.affine = affine
        self.replicas = 1
        self.fixed = False
        self.fused = None

    def build(self, input_shape):
        def add(name, initializer, **kwargs):
            return self.add_weight(shape=input_shape[-1:], name=name, initializer=initializer, autocast=False, **kwargs)

        if self.affine:
            self.gamma, self.beta = add("gamma", "ones"), add("beta", "zeros")
        else:
            self.gamma, self.beta = (np.full(input_shape[-1:], value, self.variable_dtype) for value in (1, 0))
        self.moving_mean = add("moving_mean", "zeros", trainable=False, aggregation="mean")
        self.moving_variance = add("moving_variance", "ones", trainable=False, aggregation="mean")

    def call(self, inputs, training=False):
        x = ops.cast(inputs, self.variable_dtype)
        training = training and not self.fixed
        if training and self.fused and len(x.shape) == 4:
            y, mean, unbiased = self.fused(x, self.gamma, self.beta, self.epsilon)
            self._remember(mean, unbiased)
            return ops.cast(y, self.compute_dtype)
        if training:
            mean, variance = self._batch_statistics(x)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = ops.rsqrt(variance + self.epsilon) * self.gamma
        return ops.cast(x * factor + (self.beta - mean * factor), self.compute_dtype)

    def _batch_statistics(self, x):
        axes = list(range(len(x.shape) - 1))
        mean, variance = ops.moments(x, axes, synchronized=self.replicas > 1)
        if self.replicas > 1:  # where Keras has mean(x^2) - mean^2, which loses digits
            variance, _ = ops.moments(ops.square(x - mean), axes, synchronized=True)
        count = ops.cast(self.replicas * math.prod(ops.shape(x)[:-1]), x.dtype)
        self._remember(mean, variance * count / ops.maximum(count - 1, 1))
        return mean, variance

    def _remember(self, mean, unbiased):
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * batch)
