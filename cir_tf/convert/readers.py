"""Published files as {name: array}: safetensors, PyTorch, TorchScript, TensorFlow 1; read lazily, never run.

What a file nests is told apart by keys: a state is {source name: something with `shape`, `dtype` and `np.asarray`}.
"""

import json
import math
import mmap
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open

from cir_tf.convert import torch_files
from cir_tf.errors import UserError

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")
TABLE_END = bytes.fromhex("57fb808b247547db")  # of TensorFlow's oldest checkpoints, which are one file
SAFE_KINDS = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": ml_dtypes.bfloat16, "I64": "i8", "I32": "i4", "U8": "u1"}
SAFE_KINDS |= {"I16": "i2", "I8": "i1", "BOOL": "?"}


class Lazy:
    """An array that is read when `np.asarray` asks for it."""

    def __init__(self, shape, dtype, read):
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read

    def __array__(self, dtype=None, copy=None):
        return np.array(self._read(), dtype=dtype, copy=copy)


def read(source):
    """The states in a file or folder: {key: {source name: array}}; the key is "" or where the state is nested.

    Args:
        source: a safetensors or PyTorch file, a Hugging Face folder of them, or the prefix of a TensorFlow checkpoint.

    Raises:
        UserError: no such file, or a kind that is not read, or a broken one; one line that says what to do.
    """
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.with_name(f"{path.name}.index").is_file():
        return {"": _tensorflow(path)}
    if not path.is_file():
        raise UserError(f"there is no file or folder {path}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(512)
        file.seek(max(0, size - 8))
        end = file.read()
    if start[:4] == b"PK\3\4":
        return _states(torch_files.read(path), path)
    if end == TABLE_END:
        return {"": _tensorflow(path)}
    if start[8:9] == b"{":  # after the length of the header
        return {"": _safetensors(path)}
    raise UserError(f"{path} holds no weights that can be read: {_guess(start)}")


def settings(source):
    """The content of a Hugging Face folder's `config.json`; of any other source, {}.

    Raises:
        UserError: the file is none of JSON's objects.
    """
    path = Path(source) / "config.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _guess(start):
    text = start.lstrip().lower()
    if not start:
        return "it is empty; fetch it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page; the download went wrong"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
    if start[:1] == b"\x80":
        return (
            "it is of PyTorch's format before 1.6; save it anew with PyTorch: "
            "torch.save(torch.load(OLD, weights_only=True), NEW)"
        )
    return "it is neither safetensors, nor a zip of PyTorch, nor a checkpoint of TensorFlow, or it is cut off"


def _folder(folder):
    for name in INDEXES:
        if (folder / name).is_file():
            return {"": _shards(folder, folder / name)}
    for name in SINGLES:
        if (folder / name).is_file():
            return read(folder / name)
    raise UserError(f"the folder {folder} holds none of {', '.join([*SINGLES, *INDEXES])}; name a file")


def _shards(folder, index):
    try:
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{index} is no index of shards: {error}") from error
    state = {}
    for name in files:
        if Path(name).name != name or not (folder / name).is_file():
            raise UserError(f"{index} names the shard {name}, which is not in {folder}")
        for part in read(folder / name).values():
            twice = sorted(state.keys() & part.keys())
            if twice:
                raise UserError(f"{twice[0]} is in several shards of {folder}")
            state |= part
    return state


def _safetensors(path):
    """The library checks the whole header; it has no NumPy kind for bfloat16, hence our own view of the numbers."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no safetensors file, or cut off: {error}") from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    state = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in SAFE_KINDS:
            raise UserError(f"{name} in {path} is of kind {entry['dtype']}, which is not read")
        place = data, np.dtype(SAFE_KINDS[entry["dtype"]]), tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
        state[name] = Lazy(place[2], place[1], lambda place=place: _view(*place))
    return state


def _view(data, dtype, shape, offset):
    return np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape)


def _tensorflow(path):
    def whole(call, *arguments):
        try:
            return call(*arguments)
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise UserError(f"{path} is no checkpoint of TensorFlow, or cut off: {type(error).__name__}") from error

    reader = whole(tf.train.load_checkpoint, str(path))
    kinds, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    return {
        name: Lazy(shapes[name], kinds[name].as_numpy_dtype, lambda name=name: whole(reader.get_tensor, name))
        for name in sorted(shapes)
        if kinds[name] != tf.string
    }


def _states(nest, path):
    """Each dictionary of tensors in what a PyTorch file nests, by where it is; a TorchScript module is one of them."""
    found, seen, queue = {}, set(), [("", nest)]
    while queue:
        key, value = queue.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch_files.Module):
            found[key] = _members(value, path)
        elif isinstance(value, dict):
            items = [(str(name), each) for name, each in dict.items(value)]
            state = {name: each for name, each in items if isinstance(each, torch_files.Tensor)}
            if state:
                found[key] = state
            queue += [(f"{key}.{name}".lstrip("."), each) for name, each in items if name not in state]
    if not found:
        raise UserError(f"{path} holds no tensors")
    return found


def _members(module, path):
    """{"block.0.weight": tensor} of a tree of TorchScript modules."""
    state, seen, queue = {}, set(), [("", module)]
    while queue:
        prefix, module = queue.pop(0)
        if id(module) in seen:
            raise UserError(f"{path} is damaged: a module that holds itself, or is held twice, at {prefix}")
        seen.add(id(module))
        for name, value in module.members.items():
            if isinstance(value, torch_files.Tensor):
                state[f"{prefix}{name}"] = value
            elif isinstance(value, torch_files.Module):
                queue.append((f"{prefix}{name}.", value))
    return state
