"""Layers in NumPy, float64, in the layouts of the published files: the oracles of the image towers' tests."""

import math

import numpy as np

from tests.golden import S

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])


def images(count, side):
    """Unequal RGB pictures, 0..255."""
    return (127.5 + 127.5 * S((count, side, side, 3), 0.37, 0.2)).astype("float32")


def fill(shapes):
    """Values for tensors {name: shape}: kernels that keep the scale of what they multiply, statistics of their kind."""
    state = {}
    for k, (name, shape) in enumerate(sorted(shapes.items())):
        random = np.random.default_rng(k)
        last = name.replace("/", ".").rsplit(".", 1)[-1]
        if last in ("running_var", "moving_variance"):
            state[name] = random.uniform(0.5, 1.5, shape)
        elif last == "gamma" or (last == "weight" and len(shape) == 1):
            state[name] = 1 + 0.2 * random.standard_normal(shape)
        elif len(shape) < 2:
            state[name] = 0.2 * random.standard_normal(shape)
        else:
            fan_in = math.prod(shape[1:] if last == "weight" else shape[:-1])
            state[name] = random.standard_normal(shape) * (2 / fan_in) ** 0.5
    return state


def relu(x):
    return np.maximum(x, 0)


def windows_nchw(x, size, stride):
    """[B, C, h, w, size, size]"""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


def conv_oihw(x, kernel, stride=1):
    """PyTorch's convolution with padding = kernel // 2, NCHW."""
    pad = kernel.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return np.einsum("bchwij,ocij->bohw", windows_nchw(padded, kernel.shape[-1], stride), kernel, optimize=True)


def same_nhwc(x, size, stride, value=0.0):
    """TensorFlow's "SAME" padding: what is needed, the larger half behind; then windows [B, h, w, C, size, size]."""
    need = max((-(-x.shape[1] // stride) - 1) * stride + size - x.shape[1], 0)
    margin = (need // 2, need - need // 2)
    return valid_nhwc(np.pad(x, ((0, 0), margin, margin, (0, 0)), constant_values=value), size, stride)


def valid_nhwc(x, size, stride):
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def symmetric_nhwc(x, size, stride):
    """slim's explicit padding: size // 2 on each side."""
    pad = size // 2
    return valid_nhwc(np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), size, stride)


def conv_hwio(windows, kernel):
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True)


def normalize(x, gamma, beta, mean, variance, axis, epsilon):
    shape = [1] * x.ndim
    shape[axis] = -1
    gamma, beta, mean, variance = (each.reshape(shape) for each in (gamma, beta, mean, variance))
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def layer_norm(x, gamma, beta, epsilon=1e-5):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + epsilon) * gamma + beta


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)
