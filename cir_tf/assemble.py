"""A config's names become parts: the only caller of `registry.create`."""

import hashlib
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cir_tf import config as configs
from cir_tf import registry, weights
from cir_tf.data import augment, source, triplets
from cir_tf.errors import UserError, first_of
from cir_tf.layers import BatchNorm
from cir_tf.models.retriever import Retriever
from cir_tf.training import optimizers, schedules
from cir_tf.training.checkpoints import Checkpoints
from cir_tf.training.task import RetrievalTask, values

KINDS = {  # of the config's groups, in the registry
    "image_encoder": "encoders",
    "text_encoder": "encoders",
    "compositor": "compositors",
    "objective": "objectives",
    "sampler": "samplers",
    "index": "retrieval",
}
PRECISIONS = "float32", "mixed_bfloat16", "mixed_float16"
AVERAGES_START = "restored", "initial"  # from the weights that training starts with, or from those drawn before


def arguments_of(group, name):
    """What the part of that name can be given in a group of the config: a set of names; None: there is no such part."""
    named = {"optimizer": optimizers.OPTIMIZERS, "schedule": schedules.SCHEDULES}
    try:
        made = named[group][name] if group in named else registry.part(KINDS[group], name)
    except (KeyError, ValueError):
        return None
    found = set()
    for each in inspect.getmro(made) if inspect.isclass(made) else (made,):
        if each is made or "__init__" in vars(each):
            parameters = inspect.signature(each).parameters.values()
            found |= {parameter.name for parameter in parameters}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                break
    return found


def part(kind, arguments, **more):
    """The encoder or compositor of a config's group; a file of weights is loaded later, once it is built.

    Args:
        kind: of the registry.
        arguments: {"name": …, "weights": a file; a preset, which the part loads itself; or "", …}.
        **more: further arguments of its constructor.

    Raises:
        UserError: a part that does not exist, or does not take these arguments.
    """
    arguments = {**arguments, **more}
    first = arguments.pop("weights", "")
    is_preset = first and not weights.is_file_name(first)
    if is_preset:
        arguments["preset"] = first
    try:
        return registry.create(kind, **arguments)
    except ValueError as error:
        about = f"weights={first!r} is a preset, as it does not end in {' or '.join(weights.FILES)}. "
        raise UserError(f"{about if is_preset else ''}{error}") from error


def retriever(config, assets, load_weights=True):
    """The built retriever of a config.

    Args:
        config: a run's `ConfigDict`.
        assets: the text encoder's files, {name: content}.
        load_weights: whether its parts start from the files their `weights` name.

    Raises:
        UserError: a name that does not exist, parts that do not fit each other, or weights of another part.
    """
    if config.precision not in PRECISIONS:
        raise UserError(f"precision is one of {', '.join(PRECISIONS)}, not {config.precision!r}")
    keras.config.set_dtype_policy(config.precision)
    image_encoder = part("encoders", config.image_encoder)
    text_encoder = part("encoders", config.text_encoder, assets=assets)
    compositor = part("compositors", config.compositor, width=config.width)
    model = Retriever(image_encoder, text_encoder, compositor, name="retriever")
    size = image_encoder.image_size
    image = np.zeros([2, size, size, 3], np.float32)
    _check_needs(model, image)
    model({"reference_image": image, "text_ids": np.zeros([2, 3], np.int32), "target_image": image})
    _freeze(model, config)
    if load_weights:
        text_encoder.start()
        start(model, config)
    return model


def start(model, config):
    """Set the weights of the parts whose `weights` name a file.

    Raises:
        UserError: there is no such file, or it is of another part.
    """
    for name in ("image_encoder", "text_encoder", "compositor"):
        file = config[name].get("weights", "")
        try:
            if weights.is_file_name(file):
                weights.load(getattr(model, name), file)
        except weights.ShapeError as error:
            if name != "text_encoder":
                raise
            raise UserError(
                f"{error}. A table of words has a row for each id of the tokenizer: "
                f"does tokenizer_file={config.tokenizer_file!r} name what came with the weights?"
            ) from error


def _freeze(model, config):
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, BatchNorm)]
    for key, parts, attribute, value in (
        ("frozen", model.trainable_variables, "trainable", False),
        ("fixed_statistics", norms, "fixed", True),
    ):
        for pattern in config[key]:
            fitting = [part for part in parts if re.search(pattern, part.path)]
            if not fitting:
                raise UserError(f"{key}: no path fits {pattern!r}; there is {first_of(part.path for part in parts)}")
            for part in fitting:
                setattr(part, attribute, value)


def _check_needs(model, image):
    compositor = model.compositor
    towers = {"image": model.image_encoder, "text": model.text_encoder}
    features = {"image": towers["image"](image), "text": towers["text"](np.zeros([2, 3], np.int32))}
    fields = {"pooled": "pooled_BE", "tokens": "tokens_BLE", "maps": "maps", "ids": "ids_BL"}
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
    try:
        compositor.check(features["image"], features["text"])
    except ValueError as error:
        raise UserError(str(error)) from error


def make_assets(config, texts):
    """What the text encoder's tokenizer needs: of `tokenizer_file`, the run to start from, or made of training texts.

    Raises:
        UserError: a file that is not there, or is none of such a tokenizer.
    """
    kind = registry.part("encoders", config.text_encoder.name)
    if config.tokenizer_file:
        assets = kind.read_assets(config.tokenizer_file)
    elif config.init_from and configs.read(config.init_from).text_encoder.name == config.text_encoder.name:
        assets = load_assets(config.init_from)
    else:
        assets = kind.make_assets(texts)
    part("encoders", config.text_encoder, assets=assets)  # refuses what does not fit, before the run keeps it
    return assets


def load_assets(workdir):
    """The text encoder's files of a run: {name: content}."""
    folder = Path(workdir) / "assets"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def task(config, assets, strategy, fresh=True):
    """The `RetrievalTask` of a config, made in the scope of a strategy.

    Where its weights start, the later the stronger: drawn, or word vectors; the files that `weights` name; the run
    `init_from`. What the loop finds in the run's own folder replaces all of it: where it is not `fresh`, nothing is
    read.
    """
    if config.averaging.start not in AVERAGES_START:
        raise UserError(f"averaging.start is one of {', '.join(AVERAGES_START)}, not {config.averaging.start!r}")
    donor = _named_values(config.init_from) if config.init_from and fresh else {}
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = retriever(config, assets, load_weights=False)
        if fresh:
            model.text_encoder.start()
        initial = config.averaging.decay and config.averaging.start == "initial"
        drawn = [variable.numpy() for variable in model.trainable_variables] if initial else None
        if fresh:
            start(model, config)
        if donor:
            taken = _take_over(model, donor, config.init_from)
            if drawn:  # the averages, too, are those of the other run
                pairs = zip(model.trainable_variables, drawn, strict=True)
                drawn = [variable.numpy() if variable.path in taken else start for variable, start in pairs]
        try:
            objective = registry.create("objectives", **config.objective)
        except ValueError as error:
            raise UserError(str(error)) from error
        return RetrievalTask(model, objective, optimizer(config), strategy, config.seed, drawn)


def _named_values(workdir):
    _, model = trained(workdir)
    return {name: variable.numpy() for name, variable in weights.named(model).items()}


def _take_over(model, donor, workdir):
    """Set every weight that the donor has under the same name and in the same shape; their paths."""
    mine = weights.named(model)
    fitting = [name for name in mine if name in donor and donor[name].shape == tuple(mine[name].shape)]
    if not fitting:
        raise UserError(f"init_from: the run in {workdir} has no weight of a name and a shape of this one's")
    for name in fitting:
        mine[name].assign(donor[name])
    others = sorted(mine.keys() - set(fitting))
    print(f"{len(fitting)} of {len(mine)} weights start from {workdir}; not {first_of(others) or 'one is left'}")
    return {mine[name].path for name in fitting}


def optimizer(config):
    """The Keras optimizer of a config, with its schedule and learning-rate groups.

    Raises:
        UserError: an optimizer or a schedule of that name or with these arguments does not exist.
    """
    arguments, schedule = dict(config.optimizer), dict(config.schedule)
    kind, shape = arguments.pop("name"), schedule.pop("name")
    refused = sorted(arguments.keys() & {"use_ema", "gradient_accumulation_steps"})
    if refused:
        raise UserError(f"optimizer.{refused[0]} has no effect here; for averages there is config.averaging")
    try:
        rate = schedules.SCHEDULES[shape](arguments.pop("learning_rate"), config.total_steps, **schedule)
        groups = config.learning_rate_groups, config.coupled_decay_groups, config.averaging.decay
        made = optimizers.grouped(optimizers.OPTIMIZERS[kind], *groups)(rate, **arguments)
    except KeyError as error:
        raise UserError(f"{error} is none of {', '.join([*optimizers.OPTIMIZERS, *schedules.SCHEDULES])}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer {kind!r} or schedule {shape!r} does not take these arguments: {error}") from error
    if config.precision == "mixed_float16":
        made = optimizers.LossScale(made)
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
        UserError: a batch that cannot be filled or shared, or a `fit` or an augmentation that does not exist.
    """
    try:
        for side in ("reference", "target"):
            augment.named(config.augment[side])
        pictures = model.image_encoder.image_size, config.fit, config.picture_store
        made = triplets.make_triplets(*data, model.text_encoder.tokenizer, *pictures)
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
    path = Checkpoints(checkpoint, Path(workdir) / "checkpoints").restore(partial=True)
    if not path:
        raise UserError(f"{workdir} has no checkpoint yet; go on with python -m cir_tf.train --workdir={workdir}")
    if config.averaging.decay:
        averages = tf.train.Checkpoint(averages=values(model.trainable_variables))
        averages.restore(path).assert_existing_objects_matched().expect_partial()
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
