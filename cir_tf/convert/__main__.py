"""Published weights into our files: `python -m cir_tf.convert SOURCE --to FILE.safetensors` (or a folder)."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from cir_tf import assemble, weights
from cir_tf.convert import base, families, readers
from cir_tf.errors import UserError, first_of, run_command


class Job(NamedTuple):
    """One encoder to make: the state, where it was nested in the source, and its family."""

    key: str
    state: dict
    family: base.Family


def jobs(states, known, name="", part=""):
    """What to make of a source.

    Args:
        states: {key: state}, as of `readers.read`.
        known: {name: `Family`}.
        name: of the family; "": every family that fits.
        part: only tensors whose place begins so; "": all.

    Raises:
        UserError: nothing fits, or one family fits in several places, or several fit the same tensors.
    """
    if name and name not in known:
        raise UserError(f"there is no family {name!r}; there are {', '.join(known)}")
    if part:
        states = {part: _cut(states, part)}
    chosen = [known[name]] if name else known.values()
    states = {key: _without("module.", state) for key, state in states.items()}
    found = [Job(key, state, family) for key, state in states.items() for family in chosen if family.fits(state)]
    if not found:
        raise UserError(f"{_nothing_fits(name)}; it has {_summary(states)}")
    for i, job in enumerate(found):
        for other in found[:i]:
            if other.family is job.family:
                places = ", ".join(each.key or "(top)" for each in found if each.family is job.family)
                raise UserError(f"family {job.family.name} fits {places}: choose one with --part")
            if other.key == job.key and _common(job, other):
                names = ", ".join(each.family.name for each in found if each.key == job.key)
                raise UserError(f"{names} all fit: choose one with --family")
    return found


def _nothing_fits(name):
    return f"the source is not of family {name}" if name else "no family fits the source (--list shows them)"


def _summary(states):
    names = [f"{key}.{name}".lstrip(".") for key, state in states.items() for name in state]
    return first_of(names)


def _common(job, other):
    return base.plan(job.family, job.state).uses.keys() & base.plan(other.family, other.state).uses.keys()


def _cut(states, part):
    prefix = f"{part.rstrip('.')}."
    flat = {f"{key}.{name}".lstrip("."): array for key, state in states.items() for name, array in state.items()}
    found = {name.removeprefix(prefix): array for name, array in flat.items() if name.startswith(prefix)}
    if not found:
        raise UserError(f"nothing in the source begins with {prefix}; it has {_summary(states)}")
    return found


def _without(prefix, state):
    """DataParallel puts a prefix before every name."""
    if all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): array for name, array in state.items()}
    return state


class _Pooled(keras.layers.Layer):
    """Calls an encoder; what Keras traces without numbers has to return tensors only."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def call(self, inputs):
        return self.encoder(inputs).pooled_BE


def wanted_shapes(arguments):
    """{name: shape} of an encoder's weights; none of them gets a value, so that this costs no memory.

    Args:
        arguments: as `Family.encoder` gives.

    Raises:
        UserError: no encoder of that name, or arguments it does not take.
    """

    def make():
        encoder, _ = assemble.encoder(arguments)
        if hasattr(encoder, "tokenizer"):
            example = keras.KerasTensor(encoder.tokenizer.tokenize(["a"]).shape, "int32")
        else:
            example = keras.KerasTensor((1, encoder.image_size, encoder.image_size, 3))
        _Pooled(encoder)(example)
        return encoder

    return weights.planned(make)


def convert(job):
    """(arrays, how a config makes the encoder) of a job, checked against the encoder.

    Raises:
        UserError: a tensor too many, too few, or of another shape.
    """
    arrays = base.apply(job.family, job.state)
    arguments = job.family.encoder(job.state)
    wanted = wanted_shapes(arguments)
    arrays |= base.constants(job.family, wanted)
    weights.match(wanted, weights.shapes(arrays), f"the source, of family {job.family.name},")
    return arrays, {key: value for key, value in arguments.items() if key != "assets"}


def report(job, arrays, arguments, target):
    """What was done, in a few lines."""
    plan = base.plan(job.family, job.state)
    kinds = sorted({str(job.state[name].dtype) for name in plan.uses})
    largest = sorted(arrays.items(), key=lambda item: -item[1].size)[:3]
    place = f" under {job.key}" if job.key else ""
    yield f"{target}"
    yield f"  family      {job.family.name}: {job.family.about}{place}"
    yield f"  tensors     {len(plan.uses)} used, {len(plan.unused)} known and unused, {len(arrays)} written"
    yield f"  unused      {first_of(plan.unused) or 'none'}"
    yield f"  values      {sum(array.size for array in arrays.values()):,}, from {', '.join(kinds)}"
    yield f"  largest     {', '.join(f'{name} {list(array.shape)}' for name, array in largest)}"
    kind = arguments["name"].partition("_")[0]
    yield f"  in a config {kind}_encoder = { {**arguments, 'weights': str(target)} }"


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.convert", description=__doc__)
    parser.add_argument("source", nargs="?", help="safetensors or PyTorch file, Hugging Face folder, TF checkpoint")
    parser.add_argument("--to", help=f"FILE{weights.OURS}, or a folder where the source holds several encoders")
    parser.add_argument("--family", default="", help="what the source is; found from its names unless told")
    parser.add_argument("--part", default="", help="only the tensors whose names begin so, or nested under this key")
    parser.add_argument("--list", action="store_true", help="show the families")
    args = parser.parse_args(argv)
    known = families.everything()
    if args.list:
        print("\n".join(f"{name:24}{family.about}" for name, family in known.items()))
        return 0
    if not (args.source and args.to):
        parser.error("SOURCE and --to are needed (or --list)")
    found = jobs(readers.read(args.source), known, args.family, args.part)
    done = []
    for job, target in zip(found, _targets(args.to, found), strict=True):
        done.append((job, *convert(job), target))
    for job, arrays, arguments, target in done:  # nothing is written unless all is well
        metadata = {"family": job.family.name, "variant": arguments, "source": Path(args.source).name}
        weights.write(target, arrays, metadata)
        print("\n".join(report(job, arrays, arguments, target)))
    return 0


def _targets(to, found):
    """One file if that is named, else a file in the folder for each encoder."""
    to = Path(to)
    names = ", ".join(job.family.name for job in found)
    if to.suffix != weights.OURS:
        files = [to / f"{job.family.encoder(job.state)['name']}{weights.OURS}" for job in found]
        if len(set(files)) < len(files):
            raise UserError(f"{names} would share a file's name: choose one with --family")
        return files
    if len(found) > 1:
        raise UserError(f"the source holds several encoders ({names}): name a folder, or one with --family")
    return [to]


if __name__ == "__main__":
    run_command(main)
