"""Batch-based classification: every target of the batch is a class, and a query's own one is right.

Dimension key: B batch, D shared embedding.
"""

from keras import ops

from cir_tf.objectives.base import PairObjective, other_right_answers


def batch_classification_loss(query_BD, target_BD, ignore_BB=None):
    """-mean_i log softmax_j(q_i . t_j) at j = i.

    Args:
        query_BD: float [B, D], scaled.
        target_BD: float [B, D], scaled.
        ignore_BB: bool [B, B], the targets that are no negatives of a query; None ignores none.
    """
    logits_BB = ops.matmul(query_BD, ops.transpose(target_BD))
    own_B = ops.sum(query_BD * target_BD, axis=-1)
    if ignore_BB is not None:
        logits_BB = ops.where(ignore_BB, ops.cast(-1e9, logits_BB.dtype), logits_BB)
    return ops.mean(ops.logsumexp(logits_BB, axis=-1) - own_B)


class BatchClassification(PairObjective):
    """-mean_i log softmax_j(s^2 cos(q_i, t_j)) at j = i, from query to target only.

    Args:
        mask_duplicates: leave out of a query's negatives what is as right as its own target. False as published.
        length: as in `PairObjective`; with another than "learned", the logits are the products of what comes.

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.2 with K = B.
    """

    def __init__(self, mask_duplicates=True, **kwargs):
        super().__init__(**kwargs)
        self.mask_duplicates = mask_duplicates

    def pair_loss(self, query_BD, target_BD, target_class_B, seed):
        ignore_BB = other_right_answers(target_class_B) if self.mask_duplicates else None
        return batch_classification_loss(query_BD, target_BD, ignore_BB)


build = BatchClassification
