"""Published weights into our files: `python -m cir_tf.convert SOURCE … --to FILE.safetensors` (or a folder)."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cir_tf import weights
from cir_tf.convert import base, families, readers, shapes, sources
from cir_tf.errors import UserError, first_of, run_command


class Job(NamedTuple):
    """One part to make: the state, where it was nested in the source, and its family."""

    key: str
    state: dict
    family: base.Family


def jobs(states, known, names=""):
    """What to make of a source.

    Args:
        states: {key: state}, as of `sources.read`.
        known: {name: `Family`}.
        names: of families, with commas between them, which may share tensors; "": every family that fits.

    Raises:
        UserError: nothing fits, or one family fits in several places, or several fit the same tensors.
    """
    chosen = names.split(",") if names else known
    for name in chosen:
        if name not in known:
            raise UserError(f"there is no family {name!r}; there are {', '.join(known)}")
    found = [Job(key, state, known[name]) for key, state in states.items() for name in chosen]
    found = [job._replace(state=job.family.prepare(job.state)) for job in found if job.family.fits(job.state)]
    missing = [name for name in names.split(",") if not any(job.family.name == name for job in found)]
    if not found or (names and missing):
        raise UserError(f"{_nothing_fits(missing)}; it has {first_of(sources.flat(states))}")
    for i, job in enumerate(found):
        for other in found[:i]:
            if other.family is job.family:
                places = ", ".join(each.key or "(top)" for each in found if each.family is job.family)
                raise UserError(f"family {job.family.name} fits {places}: choose one with --part")
            if not names and other.key == job.key and _common(job, other):
                fitting = ", ".join(each.family.name for each in found if each.key == job.key)
                raise UserError(f"{fitting} all fit: choose with --family")
    return found


def _nothing_fits(names):
    return (
        f"the source is not of family {first_of(names)}"
        if any(names)
        else "no family fits the source (--list shows them)"
    )


def _common(job, other):
    return base.plan(job.family, job.state).uses.keys() & base.plan(other.family, other.state).uses.keys()


def convert(job, settings=None):
    """(arrays, how a config makes the part) of a job, checked against the part.

    Args:
        job: `Job`.
        settings: content of the source's `config.json`, where it has one.

    Raises:
        UserError: a tensor too many, too few, or of another shape.
    """
    arrays = base.apply(job.family, job.state)
    arguments = job.family.part(job.state)
    if settings and job.family.settings:
        arguments |= job.family.settings(settings)
    features = job.family.features(job.state) if job.family.features else ()
    wanted = shapes.wanted(job.family.kind, arguments, features)
    arrays |= base.constants(job.family, wanted)
    weights.match(wanted, weights.shapes(arrays), f"the source, of family {job.family.name},")
    return arrays, {key: value for key, value in arguments.items() if key != "assets"}


def report(job, arrays, arguments, target, differing=(), has_settings=False):
    """What was done, in a few lines."""
    plan = base.plan(job.family, job.state)
    kinds = sorted({str(job.state[name].dtype) for name in plan.uses})
    largest = sorted(arrays.items(), key=lambda item: -item[1].size)[:3]
    place = f" under {job.key}" if job.key else ""
    yield f"{target}"
    yield f"  family      {job.family.name}: {job.family.about}{place}"
    yield f"  tensors     {len(plan.uses)} used, {len(plan.unused)} known and unused, {len(arrays)} written"
    yield f"  unused      {first_of(plan.unused) or 'none'}"
    others = [f"{name} of {differing[name]}" for name in plan.uses if name in differing]
    if others:
        yield f"  other values, not taken: {first_of(others)}"
    yield f"  values      {sum(array.size for array in arrays.values()):,}, from {', '.join(kinds)}"
    yield f"  largest     {', '.join(f'{name} {list(array.shape)}' for name, array in largest)}"
    if job.family.assumed and not has_settings:
        yield f"  assumed     {job.family.assumed}"
    yield from _in_a_config(job.family, arguments, target)


def _in_a_config(family, arguments, target):
    kind = f"{arguments['name'].partition('_')[0]}_encoder" if family.kind == "encoders" else "compositor"
    shared = {"width": arguments["width"]} if family.kind == "compositors" and "width" in arguments else {}
    own = {key: value for key, value in arguments.items() if key not in shared}
    yield f"  in a config {kind} = { {**own, 'weights': str(target)} }"
    for key, value in shared.items():
        yield f"              {key} = {value}"
    if family.tokenizer:
        yield f"              tokenizer_file = {family.tokenizer}"


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cir_tf.convert", description=__doc__)
    more = "; each further one fills what those before it lack"
    parser.add_argument(
        "source", nargs="*", help=f"safetensors or PyTorch file, Hugging Face folder, TF checkpoint{more}"
    )
    parser.add_argument("--to", help=f"FILE{weights.OURS}, or a folder where the source holds several parts")
    parser.add_argument(
        "--family", default="", help="what the source is, NAME[,NAME]; found from its names unless told"
    )
    parser.add_argument("--part", default="", help="only the tensors whose names begin so, or nested under this key")
    parser.add_argument("--list", action="store_true", help="show the families")
    args = parser.parse_args(argv)
    known = families.everything()
    if args.list:
        print("\n".join(f"{name:24}{family.about}" for name, family in known.items()))
        return 0
    if not (args.source and args.to):
        parser.error("SOURCE and --to are needed (or --list)")
    states, differing = sources.read(args.source, args.part)
    settings = readers.settings(args.source[0])
    found = jobs(states, known, args.family)
    done = []
    for job, target in zip(found, _targets(args.to, found), strict=True):
        done.append((job, *convert(job, settings), target))
    for job, arrays, arguments, target in done:  # nothing is written unless all is well
        names = ", ".join(Path(source).name for source in args.source)
        weights.write(target, arrays, {"family": job.family.name, "variant": arguments, "source": names})
        print("\n".join(report(job, arrays, arguments, target, differing, bool(settings))))
    return 0


def _targets(to, found):
    """One file if that is named, else a file in the folder for each part."""
    to = Path(to)
    names = ", ".join(job.family.name for job in found)
    if to.suffix != weights.OURS:
        files = [to / f"{_file_name(job)}{weights.OURS}" for job in found]
        if len(set(files)) < len(files):
            raise UserError(f"{names} would share a file's name: choose one with --family")
        return files
    if len(found) > 1:
        raise UserError(f"the source holds several parts ({names}): name a folder, or one with --family")
    return [to]


def _file_name(job):
    name = job.family.part(job.state)["name"]
    return f"compositor_{name}" if job.family.kind == "compositors" else name


if __name__ == "__main__":
    run_command(main)
