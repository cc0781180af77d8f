"""Turns the pickled dictionary of the original CSS archive into `css.json` beside it, once.

python -m datasets_tfds.css.convert_original --allow_pickle /path/to/css_toy_dataset_novel2_small.dup.npy

A pickle can run code when it is opened. This reader lets in plain containers and numbers only: NumPy's own
unpickling is not called, small stand-ins collect what it would have been given. Anything else is refused.
"""

import argparse
import collections
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np

from datasets_tfds.css import original

_CONTAINERS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (dict, list, set, tuple)},
}
_NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class _Kind:
    """Stands in for numpy.dtype: a kind of number or string, or Python objects ("O8")."""

    def __init__(self, name, *_):
        self.name, self.order = str(name), "="
        if self.name[:1] not in "ObiufSU" or not self.name[1:].isdigit():
            raise pickle.UnpicklingError(f"an array of kind {self.name!r}")

    def __setstate__(self, state):
        self.order = state[1]

    def values(self, data, shape):
        """The nested lists of an array, or one value where the shape is ()."""
        if self.name[0] == "O":
            if shape not in ((), (len(data),)):
                raise pickle.UnpicklingError("an array of objects with several axes")
            return data[0] if shape == () else list(data)
        data = data if isinstance(data, bytes) else data.encode("latin1")
        kind = np.dtype(self.name).newbyteorder(self.order.replace("|", "="))
        array = np.frombuffer(data, kind).reshape(shape)
        return (array.astype("U") if array.dtype.kind == "S" else array).tolist()


class _Array(list):
    """Stands in for numpy.ndarray: the nested lists of its values. One value without axes is a list of that one."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        _, shape, kind, is_fortran, data = state
        if is_fortran and len(shape) > 1:
            raise pickle.UnpicklingError("an array in column order")
        values = kind.values(data, shape)
        self[:] = values if shape else [values]


def _make_array(*_):
    return _Array()


def _make_scalar(kind, data):
    return kind.values(data, ())


_NUMPY = {"_reconstruct": _make_array, "ndarray": _Array, "dtype": _Kind, "scalar": _make_scalar}


class PlainUnpickler(pickle.Unpickler):
    """Opens containers, strings, numbers and NumPy arrays and numbers; refuses every other name."""

    def find_class(self, module, name):
        if (module, name) in _CONTAINERS:
            return _CONTAINERS[module, name]
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not plain data")


def read(path):
    """The dictionary in a `.npy` file.

    Raises:
        ValueError: not such a file, or it holds something other than plain data.
    """
    with Path(path).open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = header(file)
        if shape != () or not kind.hasobject:
            raise ValueError("it holds an array of numbers, not a pickled dictionary")
        try:
            return PlainUnpickler(file, encoding="latin1").load()[0]
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"refused while unpickling, and nothing of it was run: {error}") from error


def convert(path):
    """Writes `css.json` beside the archive's dictionary and returns its path.

    Raises:
        ValueError: as of `read` and `original.plain`.
    """
    target = Path(path).with_name(original.JSON_NAME)
    text = json.dumps(original.plain(read(path)))
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def main(argv=None):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m datasets_tfds.css.convert_original", description=__doc__)
    parser.add_argument("path", type=Path, help=f"the archive's {original.NPY_NAME}")
    parser.add_argument("--allow_pickle", action="store_true", help="yes, open this pickled file (plain data only)")
    args = parser.parse_args(argv)
    if not args.allow_pickle:
        print(f"error: {args.path} is a pickle; if you trust where it is from, add --allow_pickle.", file=sys.stderr)
        return 2
    try:
        target = convert(args.path)
    except (OSError, ValueError) as error:
        print(f"error: cannot convert {args.path}: {error}", file=sys.stderr)
        return 2
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
