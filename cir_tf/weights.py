"""Weights files: a built layer's variables by name, in safetensors; nothing in them can run.

    weights.save(encoder, "tower.safetensors", family="clip_vit")
    weights.load(encoder, "tower.safetensors")

A name is the variable's path relative to the layer: "block_0/attention/query/kernel". Loading is strict: every
variable is set, nothing is left over, shapes are equal. Keras' `.weights.h5` files are read as well.
"""

import concurrent.futures
import json
import os
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import safetensors
import safetensors.numpy

import cir_tf
from cir_tf.errors import UserError, first_of

FILES = OURS, KERAS = ".safetensors", ".weights.h5"
NOTE = "cir_tf"  # the entry of a file's metadata that tells, as JSON, where its weights are from


class ShapeError(UserError):
    """The right names, and arrays of other shapes."""


def is_file_name(text):
    """Whether a config's `weights` names a file; if not, it is a preset, which the encoder loads itself."""
    return text.endswith(FILES)


def named(layer):
    """The weights of a built layer, {name: variable}, without the states of random seeds.

    Raises:
        ValueError: the layer is not built, or two of its variables have the same name.
    """
    if not layer.built:
        raise ValueError(f"Only a built layer has weights. Received: layer={layer.name}. Call it on zeros first.")
    found = {}
    for variable in layer.weights:
        name = _relative(variable.path, layer)
        if name in found:
            raise ValueError(f"Names are unique. Received: {name!r} twice in {layer.name}. Rename a sublayer.")
        found[name] = variable
    return found


def _relative(path, layer):
    """What is made in the layer's constructor lacks its parents' names, or even the layer's own.

    A layer that is never called itself, as a compositor, has no path; its name stands in those of its sublayers.
    """
    for prefix in (layer.path, layer.name):
        if path.startswith(f"{prefix}/"):
            return path.removeprefix(f"{prefix}/")
    return path.rpartition(f"/{layer.name}/")[2] if layer.path is None else path


def assign(layer, arrays):
    """Set all weights of a built layer.

    Args:
        layer: built Keras layer.
        arrays: {name: array}, of any float type; the variables keep theirs.

    Raises:
        UserError: a weight without an array, an array without a weight, or another shape; nothing is set then.
    """
    match(shapes(named(layer)), shapes(arrays), "the state")
    for name, variable in named(layer).items():
        _set(variable, np.asarray(arrays[name]))


def _set(variable, array):
    variable.assign(array.astype(keras.backend.standardize_dtype(variable.dtype)))


def shapes(arrays):
    """{name: shape} of {name: array or variable}."""
    return {name: tuple(array.shape) for name, array in arrays.items()}


def planned(make):
    """{name: shape} of the weights of the layer that a function makes and builds; no weight gets a value or memory.

    Keras gives values to such layers later, whenever it likes, unless the thread that made them is gone.
    """

    def shapes_of():
        with keras.StatelessScope(initialize_variables=False):
            return shapes(named(make()))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(shapes_of).result()


def match(wanted, given, what):
    """Check that two {name: shape} are equal.

    Args:
        wanted: the layer's.
        given: the file's.
        what: what to call `given`.

    Raises:
        UserError: they differ.
    """
    missing, extra = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or extra:
        faults = (f"{kind} {first_of(names)}" for kind, names in (("lacks", missing), ("has also", extra)) if names)
        raise UserError(f"{what} {' and '.join(faults)}: not the weights of this part")
    differing = [
        f"{name} is {list(given[name])}, not {list(wanted[name])}" for name in wanted if given[name] != wanted[name]
    ]
    if differing:
        raise ShapeError(f"{what} has other shapes: {first_of(differing)}")


def save(layer, path, **metadata):
    """Write the weights of a built layer.

    Args:
        layer: built Keras layer.
        path: ends in ".safetensors".
        **metadata: strings that tell where the weights are from: family, variant, source.
    """
    write(path, {name: keras.ops.convert_to_numpy(variable) for name, variable in named(layer).items()}, metadata)


def write(path, arrays, metadata):
    """Write {name: array} to a temporary file, then rename it, so that no half file is ever seen."""
    path = Path(path)
    if path.suffix != OURS:
        raise UserError(f"a weights file ends in {OURS}, {path} does not")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        plain = {name: np.asarray(_plain(array), order="C") for name, array in arrays.items()}
        note = json.dumps({"version": cir_tf.__version__, **metadata})  # one entry: several have no order of their own
        safetensors.numpy.save_file(plain, temporary, {NOTE: note})
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(array):
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def load(layer, path):
    """Set all weights of a built layer from a file.

    Args:
        layer: built Keras layer.
        path: a file of `save` or of `python -m cir_tf.convert`, or Keras' `.weights.h5` of such a layer.

    Raises:
        UserError: no such file, a broken one, or one of another part.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    if path.name.endswith(KERAS):
        return _load_keras(layer, path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            if NOTE not in (file.metadata() or {}):
                raise UserError(f"{path} is not of this library: python -m cir_tf.convert {path} --to FILE makes one")
            given = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            match(shapes(named(layer)), given, str(path))
            for name, variable in named(layer).items():
                _set(variable, file.get_tensor(name))
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is no safetensors file, or cut off: {error}") from error


def _load_keras(layer, path):
    """Keras passes over what it does not find in a file, with a warning or without: neither is allowed here."""
    held = []
    try:
        with h5py.File(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            file.visititems(lambda name, item: held.append(name) if isinstance(item, h5py.Dataset) else None)
            if len(held) != len(layer.weights):
                raise UserError(f"{path} holds {len(held)} arrays, {layer.name} has {len(layer.weights)} weights")
            keras.saving.load_weights(layer, path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise UserError(f"{path} does not fit {layer.name}: {str(error).splitlines()[0]}") from error
