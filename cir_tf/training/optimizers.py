"""PyTorch's SGD, learning rates and weight decay by group, moving averages, and TIRG's step decay."""

import re

import keras
import tensorflow as tf
from keras import ops


class TorchSGD(keras.optimizers.Optimizer):
    """SGD with momentum and coupled weight decay: v <- m v + (g + wd w);  w <- w - lr v, on every parameter.

    Keras' own SGD has the learning rate inside v, which differs for about ten steps after each drop of the rate.

    Args:
        learning_rate: float or schedule.
        momentum: m.
        weight_decay: wd.

    Reference: torch.optim.SGD.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, weight_decay=0.0, name="torch_sgd", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)  # its own weight decay is decoupled
        self.momentum = momentum
        self.coupled_decay = weight_decay

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.velocities[self._get_variable_index(variable)]
        decayed = ops.add(gradient, self.coupled_decay * ops.convert_to_tensor(variable))
        self.assign(velocity, self.momentum * ops.convert_to_tensor(velocity) + decayed)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * ops.convert_to_tensor(velocity))


def grouped(optimizer_class, multipliers=(), coupled_decays=(), averaging=0.0):
    """A subclass of a Keras optimizer that treats groups of variables in their own ways, and may average them.

    A variable is of the first group whose regular expression is found in its path.

    Args:
        optimizer_class: a class of Keras optimizers.
        multipliers: sequence of (regular expression, number) by which the learning rate is multiplied; 1 in no group.
            Decoupled weight decay, as AdamW has it, follows it too.
        coupled_decays: sequence of (regular expression, wd) for g <- g + wd w before anything else is done with the
            gradient, the gradient of a penalty wd / 2 sum w^2; 0 in no group.
        averaging: d of the moving averages a <- d a + (1 - d) w, kept as `averages`; 0: none. They are taken before
            the step, so that they lag by one, as published by VAL. Whoever builds the optimizer sets their start.
    """

    class Grouped(optimizer_class):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.grouped_decay, self.weight_decay = self.weight_decay, None
            self.averages = []

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.multipliers = [_of_group(multipliers, variable, 1.0) for variable in variables]
            self.decays = [_of_group(coupled_decays, variable, 0.0) for variable in variables]
            if averaging:
                self.averages = self.add_optimizer_variables(variables, "average")

        def _clip_gradients(self, gradients):
            """Of the sum over the replicas, of which every one then has its share."""
            if not (self.clipnorm or self.clipvalue or self.global_clipnorm):
                return gradients
            context = tf.distribute.get_replica_context()
            summed = context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.convert_to_tensor(each) for each in gradients])
            return [each / context.num_replicas_in_sync for each in super()._clip_gradients(summed)]

        def update_step(self, gradient, variable, learning_rate):
            # A word that a batch has several times has their sum for gradient: Keras' Adam would square each by itself.
            gradient = tf.convert_to_tensor(gradient)
            place = self._get_variable_index(variable)
            learning_rate = learning_rate * self.multipliers[place]
            if averaging:
                average = self.averages[place]
                self.assign(average, averaging * ops.convert_to_tensor(average) + (1 - averaging) * variable)
            if self.decays[place]:
                gradient = ops.add(gradient, self.decays[place] * ops.convert_to_tensor(variable))
            if self.grouped_decay and self._use_weight_decay(variable):
                factor = ops.cast(learning_rate * self.grouped_decay, variable.dtype)
                self.assign_sub(variable, factor * ops.convert_to_tensor(variable))
            super().update_step(gradient, variable, learning_rate)

    Grouped.__name__ = f"Grouped{optimizer_class.__name__}"
    return Grouped


class LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras' own, but all replicas skip a step where the gradients of one of them are not finite."""

    def check_finite(self, gradients):
        finite, context = super().check_finite(gradients), tf.distribute.get_replica_context()
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(finite, tf.float32))
        return count == float(context.num_replicas_in_sync)


def _of_group(groups, variable, otherwise):
    return next((number for pattern, number in groups if re.search(pattern, variable.path)), otherwise)


class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """learning_rate * 0.1 ^ floor(step / every): a tenth after each `every` steps.

    Args:
        learning_rate: float, at the start.
        every: steps between two drops.

    Reference: Vo et al., CVPR 2019, released code.
    """

    def __init__(self, learning_rate, every):
        self.learning_rate = learning_rate
        self.every = every

    def __call__(self, step):
        drops = ops.floor(ops.cast(step, "float32") / self.every)
        return self.learning_rate * ops.power(0.1, drops)

    def get_config(self):
        return {"learning_rate": self.learning_rate, "every": self.every}


OPTIMIZERS = {
    "torch_sgd": TorchSGD,
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}
