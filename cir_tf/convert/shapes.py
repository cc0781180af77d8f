"""The shapes of a part's weights, from how a config makes it."""

import keras

from cir_tf import assemble, weights
from cir_tf.types import Features


def wanted(kind, arguments, features=()):
    """{name: shape} of a part's weights; none of them gets a value, so that this costs no memory.

    Args:
        kind: "encoders" or "compositors".
        arguments: as `Family.part` gives.
        features: of a compositor: (reference, text), `Features` of shapes.

    Raises:
        UserError: no part of that name, or arguments it does not take.
    """

    def make():
        part = assemble.part(kind, arguments)
        if features:
            _Composed(part)(*map(_examples, features))
        elif hasattr(part, "tokenizer"):
            _Pooled(part)(keras.KerasTensor(part.tokenizer.tokenize(["a"]).shape, "int32"))
        else:
            _Pooled(part)(keras.KerasTensor((1, part.image_size, part.image_size, 3)))
        return part

    return weights.planned(make)


class _Pooled(keras.layers.Layer):
    """Calls an encoder; what Keras traces without numbers has to return tensors only."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def call(self, inputs):
        return self.encoder(inputs).pooled_BE


class _Composed(keras.layers.Layer):
    """Calls a compositor's two sides, as `Retriever` does."""

    def __init__(self, compositor):
        super().__init__()
        self.compositor = compositor

    def call(self, reference, text):
        reference, text = Features(**reference), Features(**text)
        with keras.name_scope("compositor"):
            query = self.compositor.compose(reference, text)
            return query, self.compositor.project_target(reference)


def _examples(features):
    """{field: tensor without numbers} of the fields that have shapes."""
    found = {"pooled_BE": keras.KerasTensor(features.pooled_BE)}
    if features.tokens_BLE:
        found["tokens_BLE"] = keras.KerasTensor(features.tokens_BLE)
        found["mask_BL"] = keras.KerasTensor(features.tokens_BLE[:2], "bool")
    return found | {"maps": tuple(map(keras.KerasTensor, features.maps))}
