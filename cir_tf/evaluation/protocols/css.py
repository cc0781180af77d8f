"""CSS: add, remove or change an object of a scene, as in TIRG (Vo et al., CVPR 2019, section 4.2).

All pictures of the test are the gallery, in 3-D; the reference is the 3-D picture or the flat drawing of its scene.
`_generated` is data made here from a seed: its numbers do not compare with the paper's.
"""

from cir_tf.evaluation.protocol import Protocol


def _protocol(subset, reference_gallery="test"):
    return Protocol(
        name=f"{subset}_test",
        dataset="css",
        subset=subset,
        split="test",
        gallery="test",
        reference_gallery=reference_gallery,
        exclude_reference=True,
        hit="class",
        groups="category",
    )


PROTOCOLS = (
    _protocol("css3d_generated"),
    _protocol("css2d_generated", reference_gallery="test_2d"),
    _protocol("css3d"),
    _protocol("css2d", reference_gallery="test_2d"),
)
