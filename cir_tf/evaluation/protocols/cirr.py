"""CIRR: the validation split, scored here; `python -m cir_tf.submit` writes what the server wants of the test split."""

from cir_tf.evaluation.protocol import Protocol

PROTOCOLS = (
    Protocol(
        name="cirr_validation",
        dataset="cirr",
        subsets=("rc2",),
        split="validation",
        gallery="validation",
        hit="target",
        metrics=("R@1", "R@5", "R@10", "R@50", "R_subset@1", "R_subset@2", "R_subset@3"),
        mean_of=("R@5", "R_subset@1"),
    ),
)
