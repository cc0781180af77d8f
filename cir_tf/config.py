"""Experiments as locked `ConfigDict`s: read a file, change keys from the command line, compare with a run's own."""

import ast
import importlib.util
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import ml_collections

import cir_tf
from cir_tf.errors import UserError

DEFAULT = "emoji_edits/sum_tiny.py"
PLACES = ("data_dir", "picture_store")  # keys that say where things lie on a machine, and change no figure


def base(**changes):
    """The keys every experiment has, with their plain values.

    Args:
        **changes: top-level keys to replace; of a group without a name only what is given.
    """
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "dataset": "",  # name of the TFDS builder
            "subset": "",  # its subset: rows from `<subset>_index`, pictures from `<subset>_gallery`
            "train_split": "train",
            "train_gallery": "train",  # split of the gallery view with the target pictures
            "train_reference_gallery": "",  # the same for the references; empty: as train_gallery
            "sampler": {"name": "stored"},  # what an epoch is: the stored rows, or rows drawn at run time
            "fit": "squash",  # how a picture becomes the encoder's square, of data/fits.py
            "data_dir": "",  # where prepared datasets lie; empty: the default of TFDS
            "picture_store": "",  # a folder on a fast disk for resized pictures; empty: in memory as far as they fit
            "evals": ("",),  # names of protocols; the first is the headline
            "batch_size": 64,  # over all replicas
            "total_steps": 1500,
            "width": 256,  # D of the shared embedding
            "image_encoder": {"name": "image_tiny"},
            "text_encoder": {"name": "text_lstm"},
            "tokenizer_file": "",  # that came with the text encoder's weights; empty: made from the training texts
            "compositor": {"name": "sum"},
            "objective": {"name": "batch_classification"},
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            # (regular expression on the variable's path, number), first match counts:
            "learning_rate_groups": (),  # multiplies the learning rate
            "coupled_decay_groups": (),  # L2 penalty, number / 2 times the sum of squares, in the gradient
            "frozen": (),  # regular expressions on paths: variables that are not trained
            "fixed_statistics": (),  # … on paths of batch normalisations: the moving statistics in training, too
            "averaging": {"decay": 0.0, "start": "restored"},  # moving averages, for evaluation
            "init_from": "",  # work folder of a run to start from: every variable of equal name and shape
            "schedule": {"name": "cosine", "warmup_percent": 3.0},
            # of data/augment.py, or "": then shifted by up to so many pixels
            "augment": {"reference": "", "target": "", "shift_pixels": 0, "unknown_word_share": 0.0},
            "precision": "float32",  # a Keras dtype policy: mixed_bfloat16, mixed_float16
            "strategy": "default",  # default, mirrored, multi_worker, tpu
            "index": {"name": "scann"},
            "eval_batch_size": 256,
            "eval_shuffled": True,  # score also with other queries' texts and references: a third more to encode
            "steps_per_call": 10,  # steps in one call into the graph
            "log_steps": 50,
            "checkpoint_steps": 250,
        }
    )
    for key, value in changes.items():
        if isinstance(value, dict) and "name" not in config[key]:
            config[key].update(value)
        else:
            config[key] = ml_collections.ConfigDict(value) if isinstance(value, dict) else value
    return config


def small(config, arg, **changes):
    """`config`, shrunk where `arg` is "runlocal" so that a test can run it: a few steps, narrow layers.

    Args:
        config: `ConfigDict`.
        arg: what stood behind the colon of `--config=FILE:arg`, or None.
        **changes: what this experiment must change besides.

    Raises:
        UserError: any other `arg`.
    """
    if arg == "runlocal":
        config.update({"batch_size": 8, "total_steps": 4, "width": 16, "checkpoint_steps": 2, "steps_per_call": 2})
        config.update({"log_steps": 2, **changes})
    elif arg:
        raise UserError(f"a config can be followed by ':runlocal' only, not by {':' + arg!r}")
    return config


def folder():
    """The folder of configs: beside the package in a checkout, within it once installed."""
    package = Path(cir_tf.__file__).parent
    beside = package.parent / "configs"
    return beside if beside.is_dir() else package / "configs"


def load(path="", overrides=(), arguments_of=None):
    """The locked config of a file, with keys changed.

    Where a group's `name` is changed, the file's other keys of the group stay as far as the new part knows them.

    Args:
        path: `FILE` or `FILE:arg`; a relative file is looked up from here, then in `folder()`. Empty: the default.
        overrides: strings `key.sub=value`.
        arguments_of: function (group, name of a part) -> names of its arguments, or None where it does not exist.
            None: all keys stay.

    Raises:
        UserError: no such file, a key that is not in the config, a value of another type.
    """
    name, _, arg = (path or DEFAULT).partition(":")
    found = [place for place in (Path(name), folder() / name) if place.is_file()]
    if not found:
        choices = ", ".join(sorted(str(file.relative_to(folder())) for file in folder().glob("*/*.py")))
        raise UserError(f"there is no config {name}; there are {choices}")
    spec = importlib.util.spec_from_file_location("cir_tf_config", found[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(arg or None)
    config.lock()
    before = {group: value.name for group, value in config.items() if "name" in _keys(value)}
    for override in overrides:
        _apply(config, override)
    for group, name in before.items():
        if arguments_of and config[group].name != name:
            given = {override.partition("=")[0] for override in overrides}
            _forget(config[group], group, arguments_of(group, config[group].name), given)
    return config


def check(config):
    """Raise `UserError` for a number or a regular expression that could not work, before anything is made."""
    counts = ("batch_size", "width", "eval_batch_size", "steps_per_call", "log_steps", "checkpoint_steps")
    for key in counts:
        if config[key] < 1:
            raise UserError(f"{key} must be at least 1, not {config[key]}")
    if not 0 <= config.seed < 2**32:
        raise UserError(f"seed must be from 0 to {2**32 - 1}, not {config.seed}")
    for key in ("learning_rate_groups", "coupled_decay_groups", "frozen", "fixed_statistics"):
        wants_number = key.endswith("groups")
        for row in config[key]:
            try:
                pattern, number = row if wants_number else (row, 0)
                re.compile(pattern)
                float(number)
            except (TypeError, ValueError, re.error) as error:
                form = '(("regular expression", number),)' if wants_number else '("regular expression",)'
                raise UserError(f"{key} must be like {form}, not {config[key]!r}: {error}") from error


def run_name(path=""):
    """`<dataset>_<recipe>`, the name of a config's default work folder."""
    file = Path((path or DEFAULT).partition(":")[0])
    return f"{file.parent.name}/{file.stem}"


def _apply(config, override):
    key, equals, text = override.partition("=")
    *parents, last = key.split(".")
    place = config
    for parent in parents:
        place = place.get(parent) if isinstance(place, ml_collections.ConfigDict) else None
    if not isinstance(place, ml_collections.ConfigDict) or (last not in place and "name" not in place):
        keys = ", ".join(sorted(_flat(config)))
        raise UserError(f"the config has no key {key!r}; its keys are {keys}")
    if not equals:
        raise UserError(f"write --config.{key}=VALUE")
    if last not in place:  # an argument of a part that is chosen by name; the part itself refuses what it does not know
        with place.unlocked():
            place[last] = _literal(text)
        return
    old = place[last]
    if isinstance(old, ml_collections.ConfigDict):
        raise UserError(f"{key!r} is a group of keys: set one of {', '.join(f'{key}.{name}' for name in old)}")
    try:
        place[last] = text if isinstance(old, str) else _literal(text)
    except TypeError as error:
        raise UserError(f"{key} wants a value of type {type(old).__name__}, like {old!r}, not {text!r}") from error


def _keys(value):
    return value.keys() if isinstance(value, ml_collections.ConfigDict) else ()


def _forget(place, group, known, given):
    """Remove what the file said of another part, but for what the new one knows and what was given besides."""
    lost = [key for key in place if known and key not in {"name", *known} and f"{group}.{key}" not in given]
    with place.unlocked():
        for key in lost:
            del place[key]
    if lost:
        print(f"{group}: {place.name} does not know the recipe's {', '.join(lost)}, left out")


def _literal(text):
    """A number, tuple, True or False as Python writes it (or true, false); anything else is a string."""
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def _flat(config, prefix=""):
    """{"key.sub": value} of nested dicts."""
    found = {}
    for key, value in config.items():
        nested = isinstance(value, dict | ml_collections.ConfigDict)
        found |= _flat(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return found


def write_json(path, value):
    """Write a value as JSON: to a temporary file, then renamed, so that no half file is ever seen."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path, text):
    """Write a text file: to a temporary file, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def put_in_place(unfinished, folder):
    """Rename a finished folder; one cannot be renamed over a full one, so what is there steps aside first."""
    if not folder.exists():
        unfinished.replace(folder)
        return
    old = unfinished.with_suffix(".old")
    folder.replace(old)
    try:
        unfinished.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def save(config, workdir):
    """Keep the config in its work folder; a folder that holds another one is refused.

    Raises:
        UserError: the folder belongs to another config, or cannot be written.
    """
    path = Path(workdir) / "config.json"
    mine = json.loads(config.to_json())
    if path.is_file():
        kept = _flat(read(workdir))
        wanted = _flat(_tuples(mine))
        differing = sorted(key for key in kept.keys() | wanted.keys() if kept.get(key) != wanted.get(key))
        # A mistake that was refused before the first step leaves nothing behind that is worth keeping.
        if differing and any((path.parent / name).exists() for name in ("metrics.jsonl", "tensorboard", "checkpoints")):
            shown = ", ".join(f"{key} ({kept.get(key)!r} there, {wanted.get(key)!r} now)" for key in differing[:3])
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise UserError(f"{workdir} holds a run of another config: {shown}{more}; choose another --workdir")
        if not differing:
            return
        shutil.rmtree(path.parent / "assets", ignore_errors=True)
    try:
        write_json(path, mine)
    except OSError as error:
        raise UserError(f"cannot write to {workdir}: {error.strerror}") from error


def read(workdir):
    """The config a work folder was made with.

    Raises:
        UserError: the folder holds none, or a broken one.
    """
    path = Path(workdir) / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{workdir} holds no run (no config.json); train one with python -m cir_tf.train") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    config = base()  # a run of an earlier version lacks the keys that came later
    for key, value in _tuples(values).items():
        grouped = isinstance(value, dict) and key in config and "name" not in value
        config[key] = {**config[key], **value} if grouped else value
    config.lock()
    return config


def _tuples(value):
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
