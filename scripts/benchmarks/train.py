"""A training step with each compositor, against its matrix products and convolutions."""

import contextlib
import math
from unittest import mock

import keras
import tensorflow as tf

from cir_tf import assemble, registry
from cir_tf import config as configs
from cir_tf.data import triplets
from scripts.benchmarks.base import WORDS, compare, generated_triplets


def rows(sizes, repeat):
    """A `Row` for each compositor."""
    return (row(sizes, name, repeat) for name in registry.available("compositors"))


def row(sizes, name, repeat):
    """A training step of the default recipe with one compositor, against the products of both towers and itself."""
    return step_row(f"train {name}", configs.load(sizes.recipe, [f"compositor.name={name}"]), sizes, repeat)


def step_row(label, config, sizes, repeat, warm=lambda: None):
    """A training step of a config, against its bare products.

    Args:
        label: the row's name begins so.
        config: `ConfigDict`.
        sizes, repeat: as for every benchmark.
        warm: called after the first steps, before anything bare has run; what it returns stands in the row's name.
    """
    task = assemble.task(config, assemble.make_assets(config, WORDS), tf.distribute.get_strategy())
    model = task.retriever
    data = generated_triplets(sizes, model.text_encoder.tokenizer, model.image_encoder.image_size)
    batch = next(iter(triplets.batches(data, config.batch_size, config.seed, 0, config.augment)))
    task.build({key: value[:2] for key, value in batch.items()})
    iterator, steps = iter(tf.data.Dataset.from_tensors(batch).repeat()), tf.constant(sizes.steps)

    def ours():
        return len(task.train_steps(iterator, steps).numpy())

    ours()
    noted = warm()
    calls = products(model, batch)
    label = f"{label}, {sum(map(operations, calls)) / 1e9:.1f} GFLOP{noted or ''}"
    return compare(label, "ms", ours, bare_products(calls, sizes.steps), repeat)


def products(model, batch):
    """Every call of a dense or convolution layer in a forward pass.

    Returns:
        [(input's shape, kernel's, output's, how)]; how: (strides, padding) of a convolution, else ().
    """
    calls = []  # one step too many of a recurrent layer: Keras takes the first twice, to learn the shapes

    def recorded(call):
        def record(layer, inputs, *args, **kwargs):
            output = call(layer, inputs, *args, **kwargs)
            how = (layer.strides, layer.padding.upper()) if isinstance(layer, keras.layers.Conv2D) else ()
            calls.append((inputs.shape, layer.kernel.shape, output.shape, how))
            return output

        return record

    with contextlib.ExitStack() as stack:
        for kind in (keras.layers.Dense, keras.layers.Conv2D):
            stack.enter_context(mock.patch.object(kind, "call", recorded(kind.call)))
        model({key: batch[key] for key in ("reference_image", "text_ids", "target_image")}, training=True)
    return calls


def operations(call):
    """Floating-point operations of a call, forward and backward; nobody asks for the gradient of pictures."""
    input_shape, kernel_shape, output_shape, _ = call
    return (4 if input_shape[-1] == 3 else 6) * math.prod(output_shape[:-1]) * math.prod(kernel_shape)


def bare_products(calls, steps):
    """A function that does the products of `steps` steps, forward and backward, and nothing else."""
    operands = [(tf.random.normal(x), 0.1 * tf.random.normal(kernel), how) for x, kernel, _, how in calls]

    def gradients(x, kernel, how):
        wanted = [kernel] if x.shape[-1] == 3 else [x, kernel]
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            y = tf.nn.conv2d(x, kernel, *how) if how else tf.reshape(x, [-1, x.shape[-1]]) @ kernel
        return tape.gradient(y, wanted, output_gradients=y)

    step = tf.function(lambda: [gradients(*each) for each in operands])
    return lambda: len([step() for _ in range(steps)])
