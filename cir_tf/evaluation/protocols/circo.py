"""CIRCO: the validation split, scored here, without and with the shared concept in the text.

R@k counts the one hard target, mAP@k all accepted images; the reference stays in the gallery and is never correct.
"""

from cir_tf.evaluation.protocol import Protocol


def _protocol(suffix, captions):
    return Protocol(
        name=f"circo_validation{suffix}",
        dataset="circo",
        subsets=("coco2017_unlabeled",),
        split="validation",
        gallery="test",
        captions=captions,
        exclude_reference=False,
        hit="target",
        metrics=("mAP@5", "mAP@10", "mAP@25", "mAP@50", "R@5", "R@10", "R@25", "R@50"),
        groups="semantic_aspects",
    )


PROTOCOLS = (
    _protocol("", "stored"),
    _protocol("_concept", "shared_concept"),
    _protocol("_concept_sentence", "shared_concept_sentence"),
)
