"""The compositor, abstract: a reference image and a text become one query vector.

Dimension key: B batch, D shared embedding, E tower width.
"""

import keras
from keras import ops

from cir_tf.layers import TorchDense


class Compositor(keras.layers.Layer):
    """Joins the features of reference and text, and projects targets into the same space.

    Args:
        width: D, the width of the shared embedding.

    Attributes:
        needs_image, needs_text: the fields of `Features` that it reads ("pooled", "tokens", "maps", "ids").
        needs_equal_width: True where the text encoder's width must be D.
        uses: what the query depends on.
        fuses: "features", or "tokens" where `pseudo_words(reference) -> insert_BSE` feeds the text encoder.
        scoring: "inner_product", or "pairwise" where a score is no inner product.
        normalized: True where its vectors must not be brought to unit length for retrieval.
        own_widths: True where its vectors are as wide as it makes them, not D.
    """

    needs_image = ("pooled",)
    needs_text = ("pooled",)
    needs_equal_width = False
    uses = ("image", "text")
    fuses = "features"
    scoring = "inner_product"
    normalized = False
    own_widths = False

    def __init__(self, width=512, name="compositor", **kwargs):
        super().__init__(name=name, **kwargs)
        self.width = width
        self.built = True  # its layers build themselves; it is not called as one layer, so Keras would wait in vain

    def check(self, reference, text):
        """Raise ValueError where these `Features` do not fit, beyond what `needs_image` and `needs_text` say."""

    def compose(self, reference, text, training=False):
        """The query.

        Args:
            reference: `Features` of the reference image.
            text: `Features` of the text.
            training: whether batch statistics and dropout are those of training.

        Returns:
            {name: float [B, D]}, with the names of `project_target`.
        """
        raise NotImplementedError

    def project_target(self, target, training=False):
        """The target's vectors: {name: float [B, D]}.

        Args:
            target: `Features` of the target image.
            training: as in `compose`.
        """
        raise NotImplementedError


class VectorCompositor(Compositor):
    """One vector a side, "main"; the image path ends in a dense layer that reference and target share.

    Args:
        width: D.

    Attributes:
        image_dense: that layer, E -> D.
    """

    def __init__(self, width=512, **kwargs):
        super().__init__(width, **kwargs)
        self.image_dense = TorchDense(width, name="image_dense")

    def compose(self, reference, text, training=False):
        image_BD = self.image_dense(reference.pooled_BE)
        return {"main": self.fuse(image_BD, text.pooled_BE, training=training)}

    def fuse(self, image_BD, text_BD, training=False):
        """The query vector [B, D] of two vectors; for compositors that join after the last dense layer."""
        raise NotImplementedError

    def project_target(self, target, training=False):
        return {"main": self.image_dense(target.pooled_BE)}


class GatedResidual(VectorCompositor):
    """What both forms of TIRG share: a_0 sigmoid(gate) * x + a_1 residual, a trainable.

    Args:
        width: D.
        mix: a at the start. With the published (1, 10), what the residual path says drowns the image at first.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.1. The released code's vector a has two further
    entries that nothing reads.
    """

    def __init__(self, width=512, mix=(1.0, 10.0), **kwargs):
        super().__init__(width, **kwargs)
        start = keras.initializers.Constant(mix)
        self.mix = self.add_weight(name="mix", shape=(2,), initializer=start, autocast=False)

    def gated_residual(self, x, gate, residual):
        """a_0 sigmoid(gate) * x + a_1 residual, in the dtype of the variables."""
        x, gate, residual = (ops.cast(value, self.variable_dtype) for value in (x, gate, residual))
        return self.mix[0] * ops.sigmoid(gate) * x + self.mix[1] * residual
