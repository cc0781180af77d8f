"""PyTorch's LSTM: one step of it, and the state after a step.

Dimension key: B batch, L steps, E width of the state, G the four gates (4 E).
"""

import keras
from keras import ops

from cir_tf.layers import TorchDense


class LSTMCell(keras.layers.Layer):
    """One LSTM step whose input is the input's share of the gates, computed for all steps at once before.

    i, f, g, o = split(gates + W_hh h + b_hh);  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c).

    With the bias of the input's share there are two, both variables, as in PyTorch: with one, their sum would learn at
    half the speed.

    Args:
        width: E.

    Reference: torch.nn.LSTM.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [width, width]
        self.output_size = width
        self.state_gates = TorchDense(4 * width, name="state_gates")

    def build(self, input_shape):
        self.state_gates.build((None, self.output_size))

    def call(self, gates_BG, states):
        state_BE, cell_BE = states
        i, f, g, o = ops.split(gates_BG + self.state_gates(state_BE), 4, axis=-1)
        cell_BE = ops.sigmoid(f) * cell_BE + ops.sigmoid(i) * ops.tanh(g)
        state_BE = ops.sigmoid(o) * ops.tanh(cell_BE)
        return state_BE, [state_BE, cell_BE]


def state_at(state_BLE, step_B):
    """The state after step `step_B` of each row, from 0: [B, E]; zero where there is no such step.

    Args:
        state_BLE: float [B, L, E].
        step_B: int32 [B].
    """
    is_step_BL = ops.arange(ops.shape(state_BLE)[1], dtype="int32") == step_B[:, None]
    return ops.sum(state_BLE * ops.cast(is_step_BL, state_BLE.dtype)[:, :, None], axis=1)
