"""The two towers, abstract.

Dimension key: B batch, E tower width, L text tokens, S pseudo-words, H W C image.
"""

from pathlib import Path

import keras

from cir_tf.errors import UserError


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


def refuse_pseudo_words(insert_BSE):
    """For text encoders without a placeholder.

    Raises:
        ValueError: there are pseudo-words.
    """
    if insert_BSE is not None:
        raise ValueError(
            "This encoder has no placeholder for pseudo-words. Received: insert_BSE. "
            "Use text_clip or text_bert with a compositor that fuses tokens."
        )


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

    @classmethod
    def read_assets(cls, path):
        """The same from a published file, or from a folder that holds it.

        Raises:
            UserError: no such file, or an encoder whose tokenizer is always made from the training texts.
        """
        raise UserError(f"{cls.__name__} makes its tokenizer from the training texts: leave tokenizer_file empty")

    def start(self):
        """What a run does once, when it starts: read word vectors, say. The encoder is built then."""

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


def read_text(path, *names):
    """The text of a tokenizer's file.

    Args:
        path: the file, or a folder that holds it.
        names: what it may be called there.

    Raises:
        UserError: no such file, or no text in it.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the tokenizer's file {path}: {error}") from error
