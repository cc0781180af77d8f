"""CLIP's vision transformer.

Dimension key: B batch, E width of the tokens, D of the shared embedding, L class token and patches, H W C image,
h w patches.
"""

import keras
from keras import ops

from cir_tf.encoders._clip import activation as activation_of
from cir_tf.encoders._clip import clip_pixels
from cir_tf.encoders._images import fields
from cir_tf.encoders.base import ImageEncoder
from cir_tf.transformer import PreNormBlock
from cir_tf.types import Features

VARIANTS = {
    "ViT-B/32": {"image_size": 224, "patch": 32, "token_width": 768, "heads": 12, "layers": 12, "width": 512},
    "ViT-B/16": {"image_size": 224, "patch": 16, "token_width": 768, "heads": 12, "layers": 12, "width": 512},
    "ViT-L/14": {"image_size": 224, "patch": 14, "token_width": 1024, "heads": 16, "layers": 24, "width": 768},
}


class ImageCLIPViT(ImageEncoder):
    """Patches and a class token, L pre-norm blocks, the normalised and projected class token.

    `pooled_BE` is [B, D] and not of unit length; `tokens_BLE` [B, 1 + h w, E] are all tokens after the last block, the
    class token first, *before* the last layer normalisation; there are no maps.

    Args:
        variant: a name of `VARIANTS`.
        activation: "quick_gelu", as in OpenAI's models, or "gelu".
        sizes: other values for the fields of the variant: image_size and patch (sides in pixels), token_width (E),
            heads, layers, width (D).

    Raises:
        ValueError: no such variant, size or activation, or an image that its patches do not fill.

    Reference: Radford et al., ICML 2021, and the released code.
    """

    map_widths = ()

    def __init__(self, variant="ViT-B/32", activation="quick_gelu", name="image_encoder", **sizes):
        super().__init__(name=name)
        sizes = fields(VARIANTS, variant, **sizes)
        self.image_size, self.patch = sizes["image_size"], sizes["patch"]
        self.token_width, self.width = sizes["token_width"], sizes["width"]
        if self.image_size % self.patch:
            raise ValueError(
                f"Patches fill the image. Received: image_size={self.image_size}, patch={self.patch}. "
                "Use a multiple of the patch."
            )
        self.patches = keras.layers.Conv2D(
            self.token_width,
            self.patch,
            strides=self.patch,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            name="patches",
        )
        self.norm_pre = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_pre")
        self.blocks = [
            PreNormBlock(
                self.token_width, sizes["heads"], 4 * self.token_width, activation_of(activation), name=f"block_{i}"
            )
            for i in range(sizes["layers"])
        ]
        self.norm_post = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_post")
        normal = keras.initializers.RandomNormal(stddev=self.token_width**-0.5)
        self.projection = keras.layers.Dense(self.width, use_bias=False, kernel_initializer=normal, name="projection")

    def build(self, image_shape):
        tokens = 1 + (self.image_size // self.patch) ** 2

        def add(name, shape):
            normal = keras.initializers.RandomNormal(stddev=self.token_width**-0.5)
            return self.add_weight(shape=shape, initializer=normal, name=name)

        self.class_embedding = add("class_embedding", (self.token_width,))
        self.positional_embedding = add("positional_embedding", (tokens, self.token_width))
        self.patches.build((None, self.image_size, self.image_size, 3))
        for layer in (self.norm_pre, *self.blocks, self.norm_post, self.projection):
            layer.build((None, tokens, self.token_width))

    def call(self, image_BHWC, training=False):
        return self.features(clip_pixels(image_BHWC, self.variable_dtype))

    def features(self, pixels_BHWC):
        """The `Features` of normalised pixels, float [B, H, W, 3]."""
        patches_BhwE = self.patches(pixels_BHWC)
        batch, dtype = ops.shape(patches_BhwE)[0], patches_BhwE.dtype
        patches_BLE = ops.reshape(patches_BhwE, (batch, -1, self.token_width))
        class_BLE = ops.broadcast_to(ops.cast(self.class_embedding, dtype), (batch, 1, self.token_width))
        tokens_BLE = ops.concatenate([class_BLE, patches_BLE], axis=1) + ops.cast(self.positional_embedding, dtype)
        tokens_BLE = self.norm_pre(tokens_BLE)
        for block in self.blocks:
            tokens_BLE = block(tokens_BLE)
        pooled_BD = self.projection(self.norm_post(tokens_BLE[:, 0]))
        return Features(pooled_BE=pooled_BD, tokens_BLE=tokens_BLE)


build = ImageCLIPViT
