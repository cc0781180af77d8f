"""What one or several files hold, as states."""

from pathlib import Path

import numpy as np

from cir_tf.convert import readers
from cir_tf.errors import UserError, first_of


def read(sources, part=""):
    """({key: state}, {name: the source it was not taken from}): the second of what two sources hold differently.

    Of several sources each later one fills what the earlier ones lack; they become one state under the key "".

    Args:
        sources: as in `readers.read`, in this order.
        part: only tensors whose place begins so, of the sources that have such; "": all.

    Raises:
        UserError: a source that cannot be read; the part is in none; of several sources, one that holds several states.
    """
    read_in = {str(source): readers.read(source) for source in sources}
    if part:
        cut = {source: _cut(states, part) for source, states in read_in.items()}
        if not any(cut.values()):
            names = (name for states in read_in.values() for name in flat(states))
            raise UserError(f"nothing in the source begins with {part.rstrip('.')}.; it has {first_of(names)}")
        read_in = {source: {part: cut[source]} if cut[source] else states for source, states in read_in.items()}
    read_in = {
        source: {key: _without("module.", state) for key, state in states.items()} for source, states in read_in.items()
    }
    if len(read_in) == 1:
        return next(iter(read_in.values())), {}
    merged, differing = {}, {}
    for source, states in read_in.items():
        if len(states) > 1:
            raise UserError(f"{source} holds {first_of(key or '(top)' for key in states)}: choose one with --part")
        (state,) = states.values()
        twice = merged.keys() & state.keys()
        differing |= {name: Path(source).name for name in twice if not np.array_equal(merged[name], state[name])}
        merged = {**state, **merged}
    return {"": merged}, differing


def flat(states):
    """{the full name: array} of states."""
    return {f"{key}.{name}".lstrip("."): array for key, state in states.items() for name, array in state.items()}


def _cut(states, part):
    prefix = f"{part.rstrip('.')}."
    return {name.removeprefix(prefix): array for name, array in flat(states).items() if name.startswith(prefix)}


def _without(prefix, state):
    """DataParallel puts a prefix before every name."""
    if all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): array for name, array in state.items()}
    return state
