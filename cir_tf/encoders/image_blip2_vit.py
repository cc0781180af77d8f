"""BLIP-2's vision towers: CLIP's ViT-L/14 without its last block, and EVA's ViT-g/14.

Dimension key: B batch, M tokens (the class token, then the patches row by row), E tower width, H W C image.
"""

import keras
from keras import ops

from cir_tf.encoders._clip import clip_pixels
from cir_tf.encoders._images import fields
from cir_tf.encoders.base import ImageEncoder
from cir_tf.transformer import PreNormBlock, gelu, quick_gelu
from cir_tf.types import Features

VARIANTS = {
    "vit_l": {
        "width": 1024,
        "heads": 16,
        "layers": 23,
        "mlp_width": 4096,
        "patch": 14,
        "clip": True,  # CLIP's form: a norm before the blocks, quick GELU, biased keys; else EVA's: a biased patch conv
    },
    "eva_g": {"width": 1408, "heads": 16, "layers": 39, "mlp_width": 6144, "patch": 14, "clip": False},
}


class ImageBlip2ViT(ImageEncoder):
    """All tokens of a vision transformer after BLIP-2's normalisation; pooled is the class token.

    tokens = norm(blocks([class; patches] + positions)).

    Args:
        variant: a key of `VARIANTS`.
        image_size: side of the square input, in pixels.
        sizes: other values for the fields of the variant.

    Raises:
        ValueError: no such variant or field, or patches that do not tile the image.

    Reference: Li et al., ICML 2023 (arXiv 2301.12597), section 3.1; Fang et al., CVPR 2023 (EVA).
    """

    def __init__(self, variant="vit_l", image_size=224, name="image_encoder", **sizes):
        super().__init__(name=name)
        size = fields(VARIANTS, variant, **sizes)
        if image_size % size["patch"]:
            raise ValueError(
                f"Patches tile the image. Received: image_size={image_size}, patch={size['patch']}. "
                "Use a multiple of the patch."
            )
        self.image_size, self.width, self.map_widths = image_size, size["width"], ()
        clip, patch = size["clip"], size["patch"]
        epsilon, activation = (1e-5, quick_gelu) if clip else (1e-6, gelu)
        self.tokens = 1 + (image_size // patch) ** 2
        self.patches = keras.layers.Conv2D(self.width, patch, strides=patch, use_bias=not clip, name="patches")
        self.norm_in = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_in") if clip else None
        block = (self.width, size["heads"], size["mlp_width"], activation, epsilon, clip)
        self.blocks = [PreNormBlock(*block, name=f"block_{i}") for i in range(size["layers"])]
        self.norm_out = keras.layers.LayerNormalization(epsilon=1e-5, name="norm_out")

    def build(self, image_shape):
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.class_token = self.add_weight(name="class_token", shape=(self.width,), initializer=start)
        self.positions = self.add_weight(name="positions", shape=(self.tokens, self.width), initializer=start)
        self.patches.build((None, self.image_size, self.image_size, 3))
        for layer in filter(None, (self.norm_in, *self.blocks, self.norm_out)):
            layer.build((None, self.tokens, self.width))

    def call(self, image_BHWC, training=False):
        return self.features(clip_pixels(image_BHWC, self.variable_dtype))

    def features(self, pixels_BHWC):
        """`call` for pixels that are normalised already."""
        patch_BHWE = self.patches(pixels_BHWC)
        batch, width, dtype = ops.shape(patch_BHWE)[0], self.width, patch_BHWE.dtype
        patch_BME = ops.reshape(patch_BHWE, (batch, -1, width))
        class_B1E = ops.broadcast_to(ops.cast(self.class_token, dtype), (batch, 1, width))
        x_BME = ops.concatenate([class_B1E, patch_BME], axis=1) + ops.cast(self.positions, dtype)
        if self.norm_in:
            x_BME = self.norm_in(x_BME)
        for block in self.blocks:
            x_BME = block(x_BME)
        x_BME = self.norm_out(x_BME)
        return Features(pooled_BE=x_BME[:, 0], tokens_BLE=x_BME)


build = ImageBlip2ViT
