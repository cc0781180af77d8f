"""A config's names become parts: the only caller of `registry.create`."""

import hashlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cir_tf import config as configs
from cir_tf import registry, weights
from cir_tf.data import source, triplets
from cir_tf.errors import UserError
from cir_tf.models.retriever import Retriever
from cir_tf.training import optimizers, schedules
from cir_tf.training.checkpoints import Checkpoints
from cir_tf.training.task import RetrievalTask, values


def encoder(arguments, **more):
    """(encoder, the file its weights are to be loaded from once it is built, or "") of a config's group.

    Args:
        arguments: {"name": …, "weights": a file; a preset, which the encoder loads itself; or "", …}.
        **more: further arguments of its constructor.

    Raises:
        UserError: an encoder that does not exist, or does not take these arguments.
    """
    arguments = {**arguments, **more}
    start = arguments.pop("weights", "")
    file = start if weights.is_file_name(start) else ""
    if start and not file:
        arguments["preset"] = start
    try:
        return registry.create("encoders", **arguments), file
    except ValueError as error:
        about = f"weights={start!r} is a preset, as it does not end in {' or '.join(weights.FILES)}. "
        raise UserError(f"{about if start and not file else ''}{error}") from error


def retriever(config, assets, load_weights=True):
    """The built retriever of a config.

    Args:
        config: a run's `ConfigDict`.
        assets: the text encoder's files, {name: content}.
        load_weights: whether the encoders start from the files their `weights` name.

    Raises:
        UserError: a name that does not exist, parts that do not fit each other, or weights of another encoder.
    """
    keras.config.set_dtype_policy(config.precision)
    image_encoder, image_file = encoder(config.image_encoder)
    text_encoder, text_file = encoder(config.text_encoder, assets=assets)
    try:
        compositor = registry.create("compositors", width=config.width, **config.compositor)
    except ValueError as error:
        raise UserError(str(error)) from error
    model = Retriever(image_encoder, text_encoder, compositor, name="retriever")
    size = image_encoder.image_size
    image = np.zeros([2, size, size, 3], np.float32)
    _check_needs(model, image)
    model({"reference_image": image, "text_ids": np.zeros([2, 3], np.int32), "target_image": image})
    for layer, file in ((image_encoder, image_file), (text_encoder, text_file)):
        if file and load_weights:
            weights.load(layer, file)
    return model


def _check_needs(model, image):
    compositor = model.compositor
    towers = {"image": model.image_encoder, "text": model.text_encoder}
    features = {"image": towers["image"](image), "text": towers["text"](np.zeros([2, 3], np.int32))}
    fields = {"pooled": "pooled_BE", "tokens": "tokens_BLE", "maps": "maps"}
    for tower, needs in (("image", compositor.needs_image), ("text", compositor.needs_text)):
        missing = [need for need in needs if getattr(features[tower], fields[need]) in (None, ())]
        if missing:
            raise UserError(
                f"the compositor {type(compositor).__name__} needs {', '.join(missing)} of the {tower} encoder, "
                f"and {type(towers[tower]).__name__} has none; choose another encoder"
            )
    if compositor.needs_equal_width and towers["text"].width != compositor.width:
        raise UserError(
            f"the compositor {type(compositor).__name__} needs texts as wide as the shared embedding: "
            f"text_encoder.width is {towers['text'].width}, width is {compositor.width}; make them equal"
        )


def make_assets(config, texts):
    """The files the text encoder's tokenizer needs, made from the training texts."""
    return registry.part("encoders", config.text_encoder.name).make_assets(texts)


def load_assets(workdir):
    """The text encoder's files of a run: {name: content}."""
    folder = Path(workdir) / "assets"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def task(config, assets, strategy):
    """The `RetrievalTask` of a config, made in the scope of a strategy."""
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = retriever(config, assets)
        try:
            objective = registry.create("objectives", **config.objective)
        except ValueError as error:
            raise UserError(str(error)) from error
        return RetrievalTask(model, objective, optimizer(config), strategy, config.seed)


def optimizer(config):
    """The Keras optimizer of a config, with its schedule and learning-rate groups.

    Raises:
        UserError: an optimizer or a schedule of that name or with these arguments does not exist.
    """
    arguments, schedule = dict(config.optimizer), dict(config.schedule)
    kind, shape = arguments.pop("name"), schedule.pop("name")
    try:
        rate = schedules.SCHEDULES[shape](arguments.pop("learning_rate"), config.total_steps, **schedule)
        made = optimizers.grouped(optimizers.OPTIMIZERS[kind], config.learning_rate_groups)(rate, **arguments)
    except KeyError as error:
        raise UserError(f"{error} is none of {', '.join([*optimizers.OPTIMIZERS, *schedules.SCHEDULES])}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer {kind!r} or schedule {shape!r} does not take these arguments: {error}") from error
    if config.precision == "mixed_float16":
        made = keras.optimizers.LossScaleOptimizer(made)
    return made


def training_data(config):
    """What training draws from: (sampler, reference gallery, target gallery).

    Raises:
        UserError: a dataset, a split or a sampler that does not exist, or rows that do not fit their pictures.
    """
    try:
        rows = None
        if registry.part("samplers", config.sampler.name).needs_rows:
            index = source.open_builder(config.dataset, f"{config.subset}_index", config.data_dir)
            rows = source.read_rows(index, config.train_split)
        pictures = source.open_builder(config.dataset, f"{config.subset}_gallery", config.data_dir)
        targets = source.read_gallery(pictures, config.train_gallery)
        other = config.train_reference_gallery
        references = source.read_gallery(pictures, other) if other not in ("", config.train_gallery) else targets
        sampler = registry.create("samplers", rows=rows, references=references, targets=targets, **config.sampler)
    except ValueError as error:
        raise UserError(f"no training on {config.dataset}/{config.subset}: {error}") from error
    return sampler, references, targets


def training_triplets(config, data, model, strategy):
    """The `Triplets` of `training_data`, as a model's tokenizer and picture size want them.

    Raises:
        UserError: a batch that cannot be filled or shared, or a `fit` that does not exist.
    """
    try:
        made = triplets.make_triplets(*data, model.text_encoder.tokenizer, model.image_encoder.image_size, config.fit)
        triplets.check_batch(len(made), config.batch_size, strategy.num_replicas_in_sync)
    except ValueError as error:
        raise UserError(str(error)) from error
    return made


def trained(workdir):
    """(config, retriever) of a work folder, with the weights of its newest readable checkpoint.

    Raises:
        UserError: the folder holds no trained run.
    """
    config = configs.read(workdir)
    model = retriever(config, load_assets(workdir), load_weights=False)
    checkpoint = tf.train.Checkpoint(retriever=values(model.variables), step=tf.Variable(0, dtype=tf.int64))
    if not Checkpoints(checkpoint, Path(workdir) / "checkpoints").restore(partial=True):
        raise UserError(f"{workdir} has no checkpoint yet; go on with python -m cir_tf.train --workdir={workdir}")
    return config, model


def weights_hash(model):
    """12 digits of SHA-256 over the model's weights: which model made these vectors."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()[:12]


def index(config):
    """An empty index of the config's kind."""
    try:
        return registry.create("retrieval", **config.index)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from error
