"""Soft triplet loss over compositions and targets together.

Dimension key: B batch, D shared embedding, N the 2 B rows [queries; targets], M negatives per anchor.
"""

import keras
from keras import ops

from cir_tf.objectives.base import PairObjective


def soft_triplet_loss(rows_ND, positive_N, negative_NM, weight_NM=None, half_gradient=False):
    """Weighted mean over triplets (i, j, k) of log(1 + exp(|x_i - x_j|^2 - |x_i - x_k|^2)); 0 without triplets.

    Args:
        rows_ND: float [N, D]; every row is an anchor i.
        positive_N: int [N], the row j of each anchor.
        negative_NM: int [N, M], the rows k of each anchor.
        weight_NM: float [N, M], 0 where there is no such negative; None weighs all 1.
        half_gradient: half the true gradient, as published (the released backward pass forgets a factor 2).

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.2 with K = 2, and the released code.
    """
    square_N = ops.sum(ops.square(rows_ND), axis=-1)
    inner_NN = ops.matmul(rows_ND, ops.transpose(rows_ND))
    distance_NN = ops.maximum(square_N[:, None] + square_N[None, :] - 2 * inner_NN, 0)
    near_N1 = ops.take_along_axis(distance_NN, positive_N[:, None], axis=1)
    triplet_NM = ops.softplus(near_N1 - ops.take_along_axis(distance_NN, negative_NM, axis=1))
    weight_NM = ops.ones_like(triplet_NM) if weight_NM is None else ops.cast(weight_NM, triplet_NM.dtype)
    loss = ops.sum(triplet_NM * weight_NM) / ops.maximum(ops.sum(weight_NM), 1)
    return 0.5 * (loss + ops.stop_gradient(loss)) if half_gradient else loss


class SoftTriplet(PairObjective):
    """Soft triplets: anchors are queries and targets, the positive is the counterpart, the negatives are drawn.

    Args:
        negatives: negatives per anchor, drawn without replacement, or "all".
        half_gradient: True as published, see `soft_triplet_loss`.
        negatives_by_position: False: rows of the same class are never negatives. True, as published: only the
            counterpart is excluded.
        length: as in `PairObjective`.

    Raises:
        ValueError: `negatives` is neither positive nor "all".

    Reference: Vo et al., CVPR 2019 (arXiv 1812.07119), section 3.2 with K = 2, and the released code.
    """

    def __init__(self, negatives=3, half_gradient=False, negatives_by_position=False, **kwargs):
        super().__init__(**kwargs)
        if negatives != "all" and not (isinstance(negatives, int) and negatives > 0):
            raise ValueError(
                f"The number of negatives is positive. Received: negatives={negatives!r}. Use 3, or 'all'."
            )
        self.negatives = negatives
        self.half_gradient = half_gradient
        self.negatives_by_position = negatives_by_position

    def pair_loss(self, query_BD, target_BD, target_class_B, seed):
        rows_ND = ops.concatenate([query_BD, target_BD], axis=0)
        batch = ops.shape(query_BD)[0]
        row_N = ops.arange(2 * batch)
        label_B = ops.arange(batch) if self.negatives_by_position else target_class_B
        label_N = ops.concatenate([label_B, label_B], axis=0)
        valid_NN = label_N[:, None] != label_N[None, :]
        if self.negatives == "all":
            negative_NM, weight_NM = ops.broadcast_to(row_N, ops.shape(valid_NN)), valid_NN
        else:
            negative_NM, weight_NM = draw_negatives(valid_NN, self.negatives, seed)
        positive_N = (row_N + batch) % (2 * batch)
        return soft_triplet_loss(rows_ND, positive_N, negative_NM, weight_NM, self.half_gradient)


def draw_negatives(valid_NN, count, seed):
    """Up to `count` of each row's valid columns, uniformly and without replacement.

    Args:
        valid_NN: bool [N, N].
        count: M, at most.
        seed: int32 [2]; equal seeds draw equally.

    Returns:
        The columns, int32 [N, M], and whether each is valid, bool [N, M].
    """
    score_NN = keras.random.uniform(ops.shape(valid_NN), seed=_GivenSeed(seed))
    score_NN = ops.where(valid_NN, score_NN, -1.0)
    columns = score_NN.shape[1]
    score_NM, column_NM = ops.top_k(score_NN, count if columns is None else min(count, columns))
    return column_NM, score_NM >= 0


class _GivenSeed(keras.random.SeedGenerator):
    """A seed that a caller gives, where Keras only takes an int or a generator (whose state is a variable)."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return ops.cast(self.seed, "uint32" if keras.config.backend() == "jax" else "int32")


build = SoftTriplet
