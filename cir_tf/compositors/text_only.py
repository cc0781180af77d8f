"""The baseline that does not see the reference image."""

from cir_tf.compositors.base import VectorCompositor


class TextOnly(VectorCompositor):
    """psi = phi_t.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 4, baseline "text only".
    """

    needs_equal_width = True
    uses = ("text",)

    def fuse(self, image_BD, text_BD, training=False):
        return text_BD


build = TextOnly
