"""Protocols by name. Each module here holds a tuple `PROTOCOLS` of values."""

import importlib
import pkgutil


def _all():
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return [protocol for module in modules for protocol in module.PROTOCOLS]


def available():
    """The names of all protocols, sorted."""
    return sorted(protocol.name for protocol in _all())


def get(name):
    """The protocol of that name.

    Raises:
        ValueError: there is none.
    """
    for protocol in _all():
        if protocol.name == name:
            return protocol
    raise ValueError(f"There is no protocol {name!r}. Choose from: {', '.join(available())}.")
