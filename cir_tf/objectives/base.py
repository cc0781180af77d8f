"""The objective, abstract, and that on pairs of vectors.

Dimension key: B batch, D shared embedding.
"""

import keras
from keras import ops

from cir_tf.layers import at_least_float32, l2_normalize


class Objective(keras.layers.Layer):
    """A loss in two steps, so that a global batch means the same on one replica and on many."""

    def __init__(self, name="objective", **kwargs):
        super().__init__(name=name, **kwargs)

    def views(self, query, target, target_class_B, training=True):
        """What the loss needs of one replica's batch; the loop gathers it over all replicas.

        Args:
            query: {name: float [B, D]}.
            target: the same names; row i belongs to row i of the query.
            target_class_B: int32 [B]; equal numbers are equally right answers.
            training: whether dropout is on.

        Returns:
            {name: array [B, ...]}.
        """
        raise NotImplementedError

    def loss(self, views, seed):
        """The loss of the global batch, a float32 scalar; pure.

        Args:
            views: what `views` gave, gathered over the replicas.
            seed: int32 [2], for whatever is drawn.
        """
        raise NotImplementedError


LENGTHS = ("learned", "unit", "own")


class PairObjective(Objective):
    """A loss on pairs of vectors; the whole is the sum over the names.

    Args:
        length: of query and target alike. "learned": s v / |v| with s trainable from 4, which acts in the loss only,
            never in retrieval (Vo et al., CVPR 2019, released code). "unit": v / |v|. "own": v as it comes, for
            compositors whose vectors have lengths that they learn.

    Raises:
        ValueError: no such length.
    """

    def __init__(self, length="learned", **kwargs):
        super().__init__(**kwargs)
        if length not in LENGTHS:
            raise ValueError(f"Vectors have one of {', '.join(LENGTHS)} as length. Received: length={length!r}.")
        self.length = length
        if length == "learned":
            start = keras.initializers.Constant(4.0)
            self.scale = self.add_weight(name="scale", shape=(), initializer=start, autocast=False)

    def views(self, query, target, target_class_B, training=True):
        views = {"target_class": target_class_B}
        for name in query:
            views[f"query/{name}"] = self._of_length(query[name])
            views[f"target/{name}"] = self._of_length(target[name])
        return views

    def _of_length(self, vector_BD):
        if self.length == "own":
            return at_least_float32(vector_BD)
        unit_BD = l2_normalize(vector_BD)
        return self.scale * unit_BD if self.length == "learned" else unit_BD

    def loss(self, views, seed):
        names = sorted(key.removeprefix("query/") for key in views if key.startswith("query/"))
        pairs = [(views[f"query/{name}"], views[f"target/{name}"]) for name in names]
        return sum(self.pair_loss(query_BD, target_BD, views["target_class"], seed) for query_BD, target_BD in pairs)

    def pair_loss(self, query_BD, target_BD, target_class_B, seed):
        """The loss of one name's vectors."""
        raise NotImplementedError


def other_right_answers(target_class_B):
    """Which targets of a batch are as right as a query's own one, without that one: bool [B, B]."""
    same_BB = target_class_B[:, None] == target_class_B[None, :]
    row_B = ops.arange(ops.shape(target_class_B)[0])
    return ops.logical_and(same_BB, row_B[:, None] != row_B[None, :])
