"""The retriever: two towers and a compositor.

Dimension key: B batch, D shared embedding, L text tokens, H W C image.
"""

import keras
from keras import ops

from cir_tf.layers import l2_normalize


class Retriever(keras.Model):
    """Query = compose(image encoder(reference), text encoder(text)); target = project(image encoder(target)).

    Reference and target are two passes, so that in training each has its own batch statistics.

    Args:
        image_encoder: an `ImageEncoder`.
        text_encoder: a `TextEncoder`.
        compositor: a `Compositor`.
    """

    def __init__(self, image_encoder, text_encoder, compositor, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.compositor = compositor

    def call(self, inputs, training=False):
        """Queries and their targets.

        Args:
            inputs: {"reference_image": float [B, H, W, 3] in 0..255, "text_ids": int32 [B, L], "target_image":
                float [B, H, W, 3] in 0..255}.
            training: whether batch statistics and dropout are those of training.

        Returns:
            (query, target), each {name: float [B, D]}, not normalised.
        """
        query = self.encode_query(inputs["reference_image"], inputs["text_ids"], training=training)
        return query, self.encode_target(inputs["target_image"], training=training)

    def encode_query(self, image_BHWC, ids_BL, training=False):
        """The composed query: {name: float [B, D]}."""
        reference = self.image_encoder(image_BHWC, training=training)
        insert_BSE = None
        if self.compositor.fuses == "tokens":
            with keras.name_scope("compositor"):
                insert_BSE = self.compositor.pseudo_words(reference)
        text = self.text_encoder(ids_BL, insert_BSE=insert_BSE, training=training)
        with keras.name_scope("compositor"):
            return self.compositor.compose(reference, text, training=training)

    def encode_target(self, image_BHWC, training=False):
        """The target's vectors: {name: float [B, D]}."""
        target = self.image_encoder(image_BHWC, training=training)
        with keras.name_scope("compositor"):
            return self.compositor.project_target(target, training=training)

    def query_vectors(self, image_BHWC, ids_BL):
        """The query as retrieval uses it: float32 [B, D of all names], of unit length unless the compositor says so."""
        return self._vectors(self.encode_query(image_BHWC, ids_BL))

    def gallery_vectors(self, image_BHWC):
        """A gallery image as retrieval uses it, like `query_vectors`."""
        return self._vectors(self.encode_target(image_BHWC))

    def baselines(self, image_BHWC, ids_BL):
        """What the trained parts give without composing: {name: unit vectors, float32 [B, D of all names]}.

        "image only" is the reference as if it were a target, "text only" the text's vector, and "sum of features"
        the sum of the two. Where the text's width is not D, the image stands alone.
        """
        image_BD = l2_normalize(self.gallery_vectors(image_BHWC))
        text_BD = l2_normalize(self.text_encoder(ids_BL).pooled_BE)
        found = {"image only": image_BD}
        if text_BD.shape[-1] == image_BD.shape[-1]:
            found |= {"text only": text_BD, "sum of features": l2_normalize(image_BD + text_BD)}
        return found

    def _vectors(self, named):
        vectors_BD = ops.concatenate([ops.cast(named[name], "float32") for name in sorted(named)], axis=-1)
        return vectors_BD if self.compositor.normalized else l2_normalize(vectors_BD)
