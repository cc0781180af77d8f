"""Triplets of the nearest negative in both directions, and VAL's rule of which negatives count.

Dimension key: B batch, D shared embedding.
"""

from keras import ops

from cir_tf.objectives.base import PairObjective, other_right_answers

MASKS = ("row", "column", "none")
FAR = 1e8  # the distance of a negative that does not count


def semi_hard_loss(query_BD, target_BD, margin=0.2, mask="row", ignore_BB=None):
    """mean_i max(0, p_i - n_i + margin) from query to target, and the same from target to query: two scalars.

    With D_ij = |q_i - t_j|^2, p_i = D_ii; n_i is the smallest D_ij of the negatives j that count, 1e8 if none does.
    From target to query D is transposed.

    Args:
        query_BD, target_BD: float [B, D]; all [B, B, D] differences are taken at once.
        margin: number.
        mask: which negatives do not count. "row": those nearer than the anchor's own positive, D_ij < p_i. "column", as
            published: D_ij < p_j, the positive distance of the negative's own pair. "none": all count.
        ignore_BB: bool [B, B], targets (columns) that are no negatives of a query; symmetric. None ignores none.

    Reference: Chen et al., CVPR 2020, equation 7; "column" is how the released code broadcasts.
    """
    distance_BB = ops.sum(ops.square(query_BD[:, None] - target_BD[None]), axis=-1)
    row_B = ops.arange(ops.shape(distance_BB)[0])
    own_BB = row_B[:, None] == row_B[None, :]
    ignore_BB = own_BB if ignore_BB is None else ops.logical_or(own_BB, ignore_BB)

    def one_way(distance_BB):
        positive_B = ops.diagonal(distance_BB)
        limit = {"row": positive_B[:, None], "column": positive_B[None, :], "none": 0.0}[mask]
        left_out_BB = ops.logical_or(ignore_BB, distance_BB < limit)
        nearest_B = ops.min(ops.where(left_out_BB, FAR, distance_BB), axis=1)
        return ops.mean(ops.maximum(positive_B - nearest_B + margin, 0))

    return one_way(distance_BB), one_way(ops.transpose(distance_BB))


class SemiHard(PairObjective):
    """The sum of both directions of `semi_hard_loss`.

    Args:
        margin: number.
        mask: "row", "column" or "none", as in `semi_hard_loss`. "column" as published.
        mask_duplicates: leave out of the negatives what is as right as one's own target. False as published.
        length: as in `PairObjective`.

    Raises:
        ValueError: no such mask or length.

    Reference: Chen et al., CVPR 2020 (VAL), section 3.4, and the released code.
    """

    def __init__(self, margin=0.2, mask="row", mask_duplicates=True, length="unit", **kwargs):
        super().__init__(length=length, **kwargs)
        if mask not in MASKS:
            raise ValueError(f"Masks are {', '.join(MASKS)}. Received: mask={mask!r}.")
        self.margin, self.mask, self.mask_duplicates = margin, mask, mask_duplicates

    def pair_loss(self, query_BD, target_BD, target_class_B, seed):
        ignore_BB = other_right_answers(target_class_B) if self.mask_duplicates else None
        return sum(semi_hard_loss(query_BD, target_BD, self.margin, self.mask, ignore_BB))


build = SemiHard
