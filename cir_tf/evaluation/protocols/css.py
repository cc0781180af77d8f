"""CSS: add, remove or change an object of a scene, as in TIRG (Vo et al., CVPR 2019, section 4.2).

All pictures of the test are the gallery, in 3-D; the reference is the 3-D picture or the flat drawing of its scene.
`_generated` is data made here from a seed: its numbers do not compare with the paper's. Its test has combinations of
shape and colour that training never saw; its validation has new scenes of the combinations of training.
"""

from cir_tf.evaluation.protocol import Protocol


def _protocol(subset, split="test", references=""):
    return Protocol(
        name=f"{subset}_{split}",
        dataset="css",
        subsets=(subset,),
        split=split,
        gallery=split,
        reference_gallery=split + references,
        exclude_reference=True,
        hit="class",
        groups="category",
    )


PROTOCOLS = (
    _protocol("css3d_generated"),
    _protocol("css3d_generated", split="validation"),
    _protocol("css3d_generated", split="train"),
    _protocol("css2d_generated", references="_2d"),
    _protocol("css3d_tiny"),
    _protocol("css3d"),
    _protocol("css2d", references="_2d"),
)
