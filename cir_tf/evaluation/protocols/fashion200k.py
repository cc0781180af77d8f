"""Fashion200k: any picture with the target's caption is right (Vo et al., CVPR 2019, section 4.1)."""

from cir_tf.evaluation.protocol import Protocol

PROTOCOLS = (
    Protocol(
        name="fashion200k_test",
        dataset="fashion200k",
        subsets=("tirg",),
        split="test",
        gallery="test",
        hit="class",
        metrics=("R@1", "R@5", "R@10", "R@50", "R@100"),
        mean_of=("R@1", "R@10", "R@50"),
    ),
)
