import numpy as np
import pytest

from cir_tf import weights
from cir_tf.compositors.film_lastconv import FiLMLastConv
from cir_tf.types import Features
from tests.golden import S, close, policy

MAP, TEXT = S((2, 3, 4, 3), 1.3, 0.1), S((2, 5), 0.7, 0.2)


def make(blocks=2):
    with policy("float64"):
        compositor = FiLMLastConv(width=4, blocks=blocks)
        compositor.compose(Features(None, maps=(MAP,)), Features(TEXT))
    for number, variable in enumerate(compositor.trainable_variables):
        variable.assign(0.6 * S(variable.shape, 0.37 + 0.05 * number, 0.3))
    return compositor


def relu(x):
    return np.maximum(x, 0)


def conv_3x3(x_BHWC, kernel):
    padded = np.pad(x_BHWC, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x_BHWC.shape[1:3]
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def test_modulated_map_as_written():
    compositor = make()
    kernel, bias = (weight.numpy() for weight in compositor.modulated.generator.weights)
    modulation = TEXT @ kernel + bias  # delta and beta of block 1, then those of block 2
    x = MAP
    for number, block in enumerate(compositor.modulated.blocks):
        delta, beta = np.split(modulation[:, None, None, 6 * number : 6 * number + 6], 2, axis=-1)
        kernel, bias = (weight.numpy() for weight in block.conv_1.weights)
        r = relu(x @ kernel[0, 0] + bias)
        y = conv_3x3(r, block.conv_2.kernel.numpy())
        y = (y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-5)
        x = r + relu((1 + delta) * y + beta)
    close(compositor.modulated(MAP, TEXT, training=True), x, atol=1e-12)


def test_normalisation_has_no_gain_and_no_shift_of_its_own():
    names = [name for name in weights.named(make().modulated) if name.startswith("block_2/")]
    assert names == [
        *("block_2/conv_1/kernel", "block_2/conv_1/bias", "block_2/conv_2/kernel"),
        *("block_2/norm/moving_mean", "block_2/norm/moving_variance"),
    ]


def test_query_and_target_share_the_last_dense_layer():
    compositor = make(blocks=1)
    block = compositor.modulated.blocks[0]
    block.conv_1.set_weights([np.eye(3)[None, None], np.zeros(3)])
    generator = compositor.modulated.generator
    generator.set_weights([np.zeros((5, 6)), np.repeat([-1.0, -0.5], 3)])  # gamma 0, beta below 0: only r is left
    maps = (MAP[:, ::-1, :, :2], relu(MAP))
    query = compositor.compose(Features(None, maps=maps), Features(TEXT))["main"]
    target = compositor.project_target(Features(relu(MAP).mean((1, 2))))["main"]
    np.testing.assert_allclose(query, target, atol=1e-12)


def test_without_a_block_there_is_no_model():
    with pytest.raises(ValueError, match="Received: blocks=0"):
        FiLMLastConv(blocks=0)
