"""Show and Tell: one LSTM reads the image and then the words.

Dimension key: B batch, D shared embedding, E tower width, L text tokens, W width of a word, G the four gates (4 D).
"""

import keras
from keras import ops

from cir_tf.compositors.base import VectorCompositor
from cir_tf.layers import TorchDense
from cir_tf.recurrent import LSTMCell, state_at


class ShowAndTell(VectorCompositor):
    """psi = the state of an LSTM after [dense(phi'_x), w_1, ..., w_L] at the last true word.

    The image, before its last dense layer, is made as wide as a word and is the first step; a text without words
    leaves its state. The words are the text's tokens: take a text encoder whose tokens are plain word embeddings
    (`text_words`); behind another one, this LSTM reads what that one has read already.

    Args:
        width: D.

    Reference: Vinyals et al., CVPR 2015 (arXiv 1411.4555), section 3. A baseline of Vo et al., CVPR 2019 (arXiv
    1812.07119), section 4: its encoder's final state.
    """

    needs_text = ("tokens",)

    def __init__(self, width=512, **kwargs):
        super().__init__(width, **kwargs)
        self.reader = _Reader(width, name="reader")

    def compose(self, reference, text, training=False):
        state_BLD = self.reader(reference.pooled_BE, text.tokens_BLE)
        words_B = ops.sum(ops.cast(text.mask_BL, "int32"), axis=1)
        return {"main": state_at(state_BLD, words_B)}  # step 0 is the image


class _Reader(keras.layers.Layer):
    """The states after the image and after each word, [B, 1 + L, D]."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.input_gates = TorchDense(4 * width, name="input_gates")
        self.recurrence = keras.layers.RNN(LSTMCell(width, name="cell"), return_sequences=True, name="lstm")

    def build(self, image_shape, words_shape):
        self.first_word = TorchDense(words_shape[-1], dtype=self.dtype_policy, name="first_word")
        self.first_word.build(image_shape)
        self.input_gates.build(words_shape)
        self.recurrence.build((*words_shape[:-1], self.input_gates.units))

    def call(self, image, words):
        steps_BLW = ops.concatenate([self.first_word(image)[:, None], words], axis=1)
        return self.recurrence(self.input_gates(steps_BLW))


build = ShowAndTell
