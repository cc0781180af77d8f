"""Submissions by name. Each module here, besides `base`, holds a tuple `SUBMISSIONS` of values."""

import importlib
import pkgutil


def _all():
    names = (module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return {submission.name: submission for module in modules for submission in module.SUBMISSIONS}


def available():
    """The names of all submissions, sorted."""
    return sorted(_all())


def get(name):
    """The submission of that name.

    Raises:
        ValueError: there is none.
    """
    try:
        return _all()[name]
    except KeyError:
        raise ValueError(f"There is no submission {name!r}. Choose from: {', '.join(available())}.") from None
