"""Where a run computes: a `tf.distribute` strategy by name."""

import tensorflow as tf

from cir_tf.errors import UserError


def _tpu():
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


STRATEGIES = {
    "default": tf.distribute.get_strategy,
    "mirrored": lambda: tf.distribute.MirroredStrategy(
        tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    ),
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
    "tpu": _tpu,
}


def make_strategy(name):
    """The strategy `name`, one of `STRATEGIES`; `mirrored` uses every GPU, or every logical CPU where there is none.

    Raises:
        UserError: no such name, or the hardware is not there.
    """
    if name not in STRATEGIES:
        raise UserError(f"there is no strategy {name!r}; choose from {', '.join(STRATEGIES)}")
    try:
        return STRATEGIES[name]()
    except (ValueError, IndexError, tf.errors.OpError) as error:
        raise UserError(f"strategy {name!r} cannot start here: {error}") from error


def is_chief(strategy):
    """True in the one process that writes files: the only one there is, or the first of several workers."""
    resolver = strategy.cluster_resolver
    return resolver is None or (resolver.task_type, resolver.task_id) in ((None, None), ("chief", 0), ("worker", 0))
