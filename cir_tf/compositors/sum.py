"""Composition by addition."""

from cir_tf.compositors.base import VectorCompositor


class Sum(VectorCompositor):
    """psi = phi_x + phi_t.

    Adding fits edits that move every image by the same vector; it has no weights of its own but the image's dense
    layer.
    """

    needs_equal_width = True

    def fuse(self, image_BD, text_BD, training=False):
        return image_BD + text_BD


build = Sum
