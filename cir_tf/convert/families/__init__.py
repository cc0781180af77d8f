"""Families by name: every `Family` that stands in a module of this folder."""

import importlib
import pkgutil

from cir_tf.convert.base import Family


def everything():
    """{name: `Family`}, sorted by name.

    Raises:
        ValueError: two families of the same name.
    """
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = {}
    for family in (value for module in modules for value in vars(module).values() if isinstance(value, Family)):
        if found.setdefault(family.name, family) is not family:
            raise ValueError(f"A family's name is its own. Received: two families {family.name!r}. Rename one.")
    return dict(sorted(found.items()))
