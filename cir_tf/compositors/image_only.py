"""The baseline that does not read the text."""

from cir_tf.compositors.base import VectorCompositor


class ImageOnly(VectorCompositor):
    """psi = phi_x.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 4, baseline "image only".
    """

    uses = ("image",)

    def fuse(self, image_BD, text_BD, training=False):
        return image_BD


build = ImageOnly
