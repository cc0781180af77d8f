"""The objective, abstract, and the scaled pairs that TIRG's two losses share.

Dimension key: B batch, D shared embedding.
"""

import keras

from cir_tf.layers import l2_normalize


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


class ScaledPairs(Objective):
    """Vectors of one learned length s, for query and target alike; the loss is the sum over the names.

    v -> s v / |v|, s trainable from 4. It acts in the loss only, never in retrieval.

    Reference: Vo et al., CVPR 2019, released code.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        start = keras.initializers.Constant(4.0)
        self.scale = self.add_weight(name="scale", shape=(), initializer=start, autocast=False)

    def views(self, query, target, target_class_B, training=True):
        views = {"target_class": target_class_B}
        for name in query:
            views[f"query/{name}"] = self.scale * l2_normalize(query[name])
            views[f"target/{name}"] = self.scale * l2_normalize(target[name])
        return views

    def loss(self, views, seed):
        names = sorted(key.removeprefix("query/") for key in views if key.startswith("query/"))
        pairs = [(views[f"query/{name}"], views[f"target/{name}"]) for name in names]
        return sum(self.pair_loss(query_BD, target_BD, views["target_class"], seed) for query_BD, target_BD in pairs)

    def pair_loss(self, query_BD, target_BD, target_class_B, seed):
        """The loss of one name's scaled vectors."""
        raise NotImplementedError
