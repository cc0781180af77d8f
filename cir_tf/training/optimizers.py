"""PyTorch's SGD, learning rates by group, and TIRG's step decay."""

import re

import keras
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


def grouped(optimizer_class, multipliers):
    """A subclass of a Keras optimizer whose learning rate for a variable is multiplied by its group's number.

    Decoupled weight decay, as AdamW has it, follows the group's learning rate too; 0 freezes a variable.

    Args:
        optimizer_class: a class of Keras optimizers.
        multipliers: sequence of (regular expression, number); the first expression found in `variable.path` counts,
            and a variable that none fits has 1.
    """

    class Grouped(optimizer_class):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.grouped_decay, self.weight_decay = self.weight_decay, None

        def build(self, variables):
            super().build(variables)
            self.multipliers = [_multiplier(multipliers, variable.path) for variable in variables]

        def update_step(self, gradient, variable, learning_rate):
            learning_rate = learning_rate * self.multipliers[self._get_variable_index(variable)]
            if self.grouped_decay and self._use_weight_decay(variable):
                factor = ops.cast(learning_rate * self.grouped_decay, variable.dtype)
                self.assign_sub(variable, factor * ops.convert_to_tensor(variable))
            super().update_step(gradient, variable, learning_rate)

    Grouped.__name__ = f"Grouped{optimizer_class.__name__}"
    return Grouped


def _multiplier(multipliers, path):
    return next((number for pattern, number in multipliers if re.search(pattern, path)), 1.0)


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
