"""One training step, on however many replicas.

Dimension key: B global batch, b batch of one replica.
"""

import tensorflow as tf

from cir_tf.layers import BatchNorm


class RetrievalTask:
    """A retriever with the objective and the optimizer that train it.

    Args:
        retriever: a built `Retriever`.
        objective: an `Objective`, not yet built.
        optimizer: a Keras optimizer.
        strategy: the `tf.distribute` strategy in whose scope all three were made.
        seed: of whatever the objective draws.
        averages_start: what the moving averages of the retriever's trainable variables start from, where the
            optimizer keeps such; None: the variables' own values.
    """

    def __init__(self, retriever, objective, optimizer, strategy, seed, averages_start=None):
        self.retriever = retriever
        self.objective = objective
        self.optimizer = optimizer
        self.strategy = strategy
        self.seed = seed
        self.averages_start = averages_start
        for layer in retriever._flatten_layers():
            if isinstance(layer, BatchNorm):
                layer.replicas = strategy.num_replicas_in_sync
                layer.fused = fused_batch_norm if layer.replicas == 1 else None
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.variables = None

    def build(self, batch):
        """Make every variable, from one batch of one replica."""
        with self.strategy.scope():
            query, target = self.retriever(_inputs(batch))
            self.objective.views(query, target, batch["target_class"], training=False)
            self.variables = self.retriever.trainable_variables + self.objective.trainable_variables
            self.optimizer.build(self.variables)
            for place, average in enumerate(self._averages):
                given = self.averages_start and place < len(self.averages_start)
                average.assign(self.averages_start[place] if given else self.variables[place])

    @property
    def _averages(self):
        """The moving averages of `variables`: those of the retriever first; none where the optimizer keeps none."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer).averages

    def use_averages(self):
        """Give the retriever its moving averages, where there are any; training is over then."""
        for variable, average in zip(self.retriever.trainable_variables, self._averages, strict=False):
            variable.assign(average)

    def checkpoint(self):
        """Everything that must be saved together for a killed run to go on exactly."""
        parts = {"retriever": self.retriever, "objective": self.objective, "optimizer": self.optimizer}
        parts = {name: values(part.variables) for name, part in parts.items()}
        if self._averages:  # once more under a name: who wants the retriever alone finds them
            parts["averages"] = values(self._averages[: len(self.retriever.trainable_variables)])
        return tf.train.Checkpoint(step=self.step, **parts)

    @tf.function
    def train_steps(self, iterator, count):
        """Take `count` steps; the loss of each, float32 [count].

        Args:
            iterator: of `triplets.batches`, distributed.
            count: int32 scalar tensor.
        """
        losses = tf.TensorArray(tf.float32, size=count)
        for i in tf.range(count):
            per_replica = self.strategy.run(self._replica_step, args=(next(iterator),))
            # Every replica computes the loss of the global batch.
            losses = losses.write(i, self.strategy.experimental_local_results(per_replica)[0])
            self.step.assign_add(1)
        return losses.stack()

    def _replica_step(self, batch):
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            query, target = self.retriever(_inputs(batch), training=True)
            views_b = self.objective.views(query, target, batch["target_class"], training=True)
            # Several workers gather by device, and what comes straight from the input has none.
            views_B = {name: context.all_gather(tf.identity(view), axis=0) for name, view in views_b.items()}
            loss = self.objective.loss(views_B, seed=tf.stack([self.seed, tf.cast(self.step, tf.int32)]))
            # Gradients flow back through the gather from every replica's copy of the loss, and the optimizer sums
            # them once more: a copy each counts for its share.
            share = self.optimizer.scale_loss(loss / context.num_replicas_in_sync)
        self.optimizer.apply(tape.gradient(share, self.variables), self.variables)
        return tf.cast(loss, tf.float32)


def fused_batch_norm(x, gamma, beta, epsilon):
    """TensorFlow's own kernel, for `BatchNorm.fused`; its variance is the unbiased one."""
    normal = tf.raw_ops.FusedBatchNormV3(x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon)
    return normal.y, normal.batch_mean, normal.batch_variance


def values(variables):
    """The TensorFlow variables behind Keras' own, in their order.

    A checkpoint is given this list rather than the model: TensorFlow's tracking sees neither layers that are kept in
    a Python list nor the state of seed generators.
    """
    return [variable.value for variable in variables]


def _inputs(batch):
    return {key: batch[key] for key in ("reference_image", "text_ids", "target_image")}
