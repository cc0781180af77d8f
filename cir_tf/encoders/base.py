"""The two towers, abstract.

Dimension key: B batch, E tower width, L text tokens, S pseudo-words, H W C image.
"""

import keras


class ImageEncoder(keras.layers.Layer):
    """Pixels to features.

    Attributes:
        image_size: side of the square input, in pixels.
        width: E, the width of the pooled vector.
        map_widths: channels of each feature map, from shallow to deep.
    """

    def __init__(self, name="image_encoder", **kwargs):
        super().__init__(name=name, autocast=False, **kwargs)  # pixels stay exact until they are normalised

    def call(self, image_BHWC, training=False):
        """The features of images.

        Args:
            image_BHWC: RGB, 0..255, float or uint8 [B, H, W, 3]; each encoder normalises its pixels itself.
            training: whether batch statistics and dropout are those of training.

        Returns:
            `Features`.
        """
        raise NotImplementedError


class TextEncoder(keras.layers.Layer):
    """Token ids to features.

    Attributes:
        width: E, the width of the pooled vector.
        tokenizer: has `tokenize(texts) -> ids_BL` and `in_graph(text_B) -> ids_BL`.
    """

    def __init__(self, name="text_encoder", **kwargs):
        super().__init__(name=name, **kwargs)

    @classmethod
    def make_assets(cls, texts):
        """The files the tokenizer needs, made from the training texts: {file name: content}."""
        raise NotImplementedError

    def call(self, ids_BL, insert_BSE=None, training=False):
        """The features of texts.

        Args:
            ids_BL: int32 [B, L], of this encoder's tokenizer.
            insert_BSE: pseudo-words [B, S, E] that stand in for the placeholder's tokens, or None.
            training: whether dropout is on.

        Returns:
            `Features`.
        """
        raise NotImplementedError
