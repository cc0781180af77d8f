"""PyTorch's zip files, put together by hand: the opcodes of their pickles, and the storages.

Opcodes: c a name, ( a mark, t a tuple, } a dict, u its items, R a call, b a state, Q a storage's key, . the end.
"""

import pickle
import struct
import zipfile

import numpy as np

STORAGES = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "float64": "Double", "int64": "Long"}
CONSTANTS = {None: b"N", True: b"\x88", False: b"\x89"}


class Raw(bytes):
    """Opcodes that leave one value on the stack."""


def opcodes(value):
    if isinstance(value, Raw):
        return value
    if value is None or isinstance(value, bool):
        return CONSTANTS[value]
    if isinstance(value, int):
        return b"\x8a\x08" + struct.pack("<q", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    return b"}(" + b"".join(opcodes(each) for item in value.items() for each in item) + b"u"


def named(module, name):
    return Raw(f"c{module}\n{name}\n".encode())


def call(function, *arguments):
    return Raw(function + opcodes(arguments) + b"R")


def module(members, name="Linear"):
    """A TorchScript object with its attributes."""
    return Raw(named(f"__torch__.torch.nn.{name.lower()}", name) + b")\x81" + opcodes(members) + b"b")


def storage(key, kind, size):
    return Raw(opcodes(("storage", named("torch", f"{kind}Storage"), key, "cpu", size)) + b"Q")


def view(held, shape, strides, offset=0):
    hooks = call(named("collections", "OrderedDict"))
    return call(named("torch._utils", "_rebuild_tensor_v2"), held, offset, tuple(shape), tuple(strides), False, hooks)


class File:
    """Collects tensors, then writes the nesting that holds them."""

    def __init__(self):
        self.storages = {}

    def tensor(self, array):
        array = np.asarray(array)
        key = str(len(self.storages))
        self.storages[key] = array.tobytes()
        strides = [step // array.itemsize for step in np.asarray(array, order="C").strides]
        return view(storage(key, STORAGES[array.dtype.name], array.size), array.shape, strides)

    def state(self, arrays):
        return {name: self.tensor(array) for name, array in arrays.items()}

    def write(self, path, nest, packing=zipfile.ZIP_STORED, **more):
        members = {"data.pkl": b"\x80\x02" + opcodes(nest) + b".", "byteorder": b"little"}
        members |= {f"data/{key}": data for key, data in self.storages.items()} | more
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, data in members.items():
                archive.writestr(f"archive/{name}", data)
        return path


def save(path, arrays):
    """What `torch.save(state_dict, path)` makes."""
    file = File()
    return file.write(path, file.state(arrays))


class Evil:
    """Unpickled by the usual means, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.marker}",)


def evil(marker):
    return Raw(pickle.dumps(Evil(marker), 2)[2:-1])
