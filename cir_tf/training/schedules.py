"""Learning rates over a run, by name."""

import math

import keras
from keras import ops

from cir_tf.training.optimizers import StepDecay


class Cosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then learning_rate * (1 + cos(pi step / total)) / 2.

    Args:
        learning_rate: the highest.
        total: steps of the run.
        warmup: steps of the warm-up.
    """

    def __init__(self, learning_rate, total, warmup):
        self.learning_rate, self.total, self.warmup = learning_rate, total, warmup

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1) / max(self.warmup, 1))
        return self.learning_rate * rise * (1 + ops.cos(math.pi * ops.minimum(step / self.total, 1.0))) / 2

    def get_config(self):
        return {"learning_rate": self.learning_rate, "total": self.total, "warmup": self.warmup}


class Linear(keras.optimizers.schedules.LearningRateSchedule):
    """learning_rate * step / warmup, then learning_rate * (total - step) / (total - warmup): the first step has 0.

    Args:
        learning_rate: the highest.
        total: steps of the run.
        warmup: steps of the warm-up.

    Reference: transformers, get_linear_schedule_with_warmup, as ComqueryFormer's released code uses it.
    """

    def __init__(self, learning_rate, total, warmup):
        self.learning_rate, self.total, self.warmup = learning_rate, total, warmup

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise, fall = step / max(self.warmup, 1), (self.total - step) / max(self.total - self.warmup, 1)
        return self.learning_rate * ops.maximum(ops.where(step < self.warmup, rise, fall), 0.0)

    def get_config(self):
        return {"learning_rate": self.learning_rate, "total": self.total, "warmup": self.warmup}


SCHEDULES = {
    "constant": lambda learning_rate, total: learning_rate,
    "cosine": lambda learning_rate, total, warmup_percent: Cosine(
        learning_rate, total, round(total * warmup_percent / 100)
    ),
    "linear": lambda learning_rate, total, warmup_percent: Linear(
        learning_rate, total, round(total * warmup_percent / 100)
    ),
    "step_decay": lambda learning_rate, total, every: StepDecay(learning_rate, every),
}
