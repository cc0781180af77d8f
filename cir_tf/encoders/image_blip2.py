"""BLIP-2's image features: the vision tower, then the Q-Former's queries.

Dimension key: B batch, Q queries, E width of the Q-Former, H W C image.
"""

from cir_tf.encoders.base import ImageEncoder
from cir_tf.encoders.image_blip2_vit import ImageBlip2ViT
from cir_tf.qformer import QFormer
from cir_tf.types import Features


class ImageBlip2(ImageEncoder):
    """The queries of a Q-Former that has read an image; pooled is the first, as CaLa uses it.

    It holds no text branch: what only texts need would be dead weight here.

    Args:
        variant: of `ImageBlip2ViT`.
        image_size: side of the square input, in pixels.
        tower: other values for the fields of the vision tower.
        qformer: other values for the fields of `qformer.SIZES`.

    Reference: Li et al., ICML 2023 (arXiv 2301.12597), section 3.1; CaLa, SIGIR 2024.
    """

    def __init__(self, variant="vit_l", image_size=224, tower=(), qformer=(), name="image_encoder"):
        super().__init__(name=name)
        self.image_size, self.map_widths = image_size, ()
        self.tower = ImageBlip2ViT(variant, image_size, name="tower", **dict(tower))
        self.qformer = QFormer(self.tower.width, **{**dict(qformer), "vocabulary_size": 0})
        self.width = self.qformer.width

    def build(self, image_shape):
        self.tower.build(image_shape)
        self.qformer.build()

    def call(self, image_BHWC, training=False):
        query_BQE, _ = self.qformer(self.tower(image_BHWC).tokens_BLE, training=training)
        return Features(pooled_BE=query_BQE[:, 0], tokens_BLE=query_BQE)


build = ImageBlip2
