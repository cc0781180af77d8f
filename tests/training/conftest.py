import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def two_replicas():
    """One for all tests: the CPU's collective operations remember the shapes of an earlier strategy."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
