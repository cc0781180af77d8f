"""PyTorch's zip files and TorchScript archives as arrays, without PyTorch and without running anything in them.

Such a file is a zip: `NAME/data.pkl`, a pickle of the nesting, and `NAME/data/0`, `NAME/data/1`, … the raw numbers.
A pickle can name any function and have it called. This reader knows the few names that state dicts need, and puts
stand-ins of its own in their place; every other name is refused. Numbers are read only when an array is asked for.
"""

import collections
import io
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np

from cir_tf.errors import UserError

PICKLE_LIMIT = 64 << 20  # bytes; the largest published ones are below one MiB
KINDS = {
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "DoubleStorage": np.float64,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Tensor:
    """A view of a storage: knows its shape, reads its numbers in `np.asarray(tensor)`."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, tuple(shape), tuple(strides)
        self.dtype = storage.dtype
        whole = (offset, *self.shape, *self.strides)
        if not all(type(number) is int and number >= 0 for number in whole) or len(self.shape) != len(self.strides):
            raise pickle.UnpicklingError("a tensor whose shape makes no sense")
        last = sum((side - 1) * step for side, step in zip(self.shape, self.strides, strict=True))
        size = int(np.prod(self.shape, dtype=object))
        if size and (size > storage.size or offset + last >= storage.size):
            raise pickle.UnpicklingError(f"a tensor {list(self.shape)} larger than its storage of {storage.size}")

    def __setstate__(self, _):
        raise pickle.UnpicklingError("a tensor that is changed after it was made")

    def __array__(self, dtype=None, copy=None):
        width = self.dtype.itemsize
        strides = tuple(step * width for step in self.strides)
        array = np.ndarray(self.shape, self.dtype, self.storage.read(), self.offset * width, strides)
        return array.astype(dtype or self.dtype, copy=bool(copy))


class Storage:
    """The raw numbers of one or several tensors, a member of the zip."""

    def __init__(self, archive, name, dtype, size):
        self.dtype, self.size = np.dtype(dtype), size
        self._archive, self._name = archive, name

    def __setstate__(self, _):
        raise pickle.UnpicklingError("a storage that is changed after it was made")

    def read(self):
        try:
            return self._archive.read(self._name)  # checks its sum
        except Exception as error:  # a broken archive can fail in any way
            raise UserError(f"{self._archive.filename} is damaged ({error}); fetch it again") from error


class Module:
    """Stands in for a TorchScript class: its attributes, and none of its code."""

    def __setstate__(self, state):
        self.members = dict(state)


class Inert:
    """Stands in for what is no tensor: numbers of NumPy, options of a command line, kinds, devices."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, _):
        pass


def _tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return Tensor(storage, offset, shape, strides)


def _first(value, *_):
    return value


def _mapping(*_):
    """A counter, or a dictionary with a default; its items follow."""
    return {}


NAMES = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    **{("torch", name): name for name in KINDS},
    **{("torch", name): Inert for name in ("Size", "device", "float16", "bfloat16", "float32", "float64")},
    **{("torch", name): Inert for name in ("bool", "uint8", "int8", "int16", "int32", "int64")},
    **{("torch.jit._pickle", f"build_{kind}list"): _first for kind in ("int", "double", "bool", "tensor")},
    ("torch.jit._pickle", "restore_type_tag"): _first,
    ("argparse", "Namespace"): Inert,
    ("_codecs", "encode"): Inert,
    ("numpy", "dtype"): Inert,
    **{(f"numpy.{core}.multiarray", "scalar"): Inert for core in ("core", "_core")},
    **{
        (module, name): Inert
        for module in ("builtins", "__builtin__")
        for name in ("dict", "list", "set", "frozenset", "slice", "int", "float")
    },
}


class _Unpickler(pickle.Unpickler):
    """Opens containers, numbers and `NAMES`; nothing it can call does more than make one of the classes above."""

    def __init__(self, data, archive, root):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._archive, self._root = archive, root
        self._sizes = {info.filename: info.file_size for info in archive.infolist()}

    def find_class(self, module, name):
        if (module, name) in NAMES:
            return NAMES[module, name]
        if module.split(".")[0] == "__torch__":
            return Module
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no plain state dict needs")

    def persistent_load(self, key):
        match key:
            case ("storage", str() as kind, str() as number, str(), int() as size) if kind in KINDS:
                name = f"{self._root}data/{number}"
                if 0 <= size * np.dtype(KINDS[kind]).itemsize <= self._sizes.get(name, -1):
                    return Storage(self._archive, name, KINDS[kind], size)
        raise pickle.UnpicklingError("a storage that is not in the file, or shorter than it says")


def read(path):
    """The nesting of a file: dicts, lists, `Module`s and `Tensor`s. The file stays open as long as they live.

    Raises:
        UserError: not such a file, a damaged one, or one that asks for anything but plain data.
    """
    try:
        archive = zipfile.ZipFile(path)
        root, data = _pickle_of(archive, Path(path).stat().st_size)
        _check_opcodes(data)
        return _Unpickler(data, archive, root).load()
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is damaged or cut off ({error}); fetch it again") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused, and nothing of it was run: {error}; "
            "if you trust it, save its state dict alone with PyTorch: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # a broken pickle can fail in any way
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}; fetch it again") from error


def _pickle_of(archive, file_size):
    """("NAME/", the bytes of its data.pkl); what will be read must be stored as it is, and fit into the file."""
    found = [info for info in archive.infolist() if re.fullmatch(r"([^/]+/)?data\.pkl", info.filename)]
    if len(found) != 1:
        raise zipfile.BadZipFile("a zip, but not one of torch.save: it has no data.pkl")
    root = found[0].filename.removesuffix("data.pkl")
    members = [*found, *(info for info in archive.infolist() if info.filename.startswith(f"{root}data/"))]
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in members):
        raise zipfile.BadZipFile("its members are compressed, as PyTorch never does")
    if sum(info.file_size for info in members) > file_size or found[0].file_size > PICKLE_LIMIT:
        raise zipfile.BadZipFile("its members claim to be larger than they are")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder")[:6] != b"little":
        raise zipfile.BadZipFile("written on a big-endian machine")
    return root, archive.read(found[0])


def _check_opcodes(data):
    """Go through the pickle once without following it: lengths are true, and the memo is no larger than the text."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument) > len(data):
            raise ValueError("a memo larger than the pickle")
