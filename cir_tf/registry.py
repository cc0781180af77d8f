"""Parts by name: a part's name is the name of the file that holds it."""

import importlib
import pkgutil

KINDS = ("encoders", "compositors", "objectives", "retrieval", "samplers")


def available(kind):
    """The names of the parts of a kind, sorted.

    Args:
        kind: one of `KINDS`.
    """
    package = importlib.import_module(f"cir_tf.{kind}")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in names if name != "base" and not name.startswith("_"))


def part(kind, name):
    """The class behind a name; every part's module ends in `build = TheClass`.

    Raises:
        ValueError: no part of that name.
    """
    if name not in available(kind):
        choices = ", ".join(available(kind))
        raise ValueError(f"There is no {name!r} among the {kind}. Choose from: {choices}.")
    return importlib.import_module(f"cir_tf.{kind}.{name}").build


def create(kind, name, **arguments):
    """Make the part `name` of a kind from its constructor arguments.

    Raises:
        ValueError: no part of that name, or arguments that its constructor does not know.
    """
    made = part(kind, name)
    try:
        return made(**arguments)
    except TypeError as error:
        raise ValueError(f"{kind}/{name} does not take these arguments: {error}") from error
