"""Anybody's own pictures and triplets: the other pictures of the folder are the gallery, the reference is removed."""

from cir_tf.evaluation.protocol import Protocol

PROTOCOLS = tuple(
    Protocol(
        name=f"own_images_{split}",
        dataset="own_images",
        subsets=("own",),
        split=split,
        gallery="pictures",
        groups="category",
    )
    for split in ("test", "validation")
)
