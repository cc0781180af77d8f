r"""What a table of names is, and how it turns a published file's tensors into ours.

How to write a family (a file in `families/`; every `Family` in it is found by itself):

    FAMILY = Family(
        name="clip_vit",
        about="OpenAI CLIP, vision transformer",
        detect=(r"visual.class_embedding", r"visual.proj"),  # full-match expressions; each must find a tensor
        part=lambda state: {"name": "image_clip_vit", "layers": count(state, r"visual\.blocks\.(\d+)\..*")},
        rules=(  # (full-match expression on the source's name, our name, transform); the first that fits counts
            (r"visual\.conv1\.weight", r"patches/kernel", "conv"),
            (r"visual\.blocks\.(\d+)\.fc\.weight", r"block_\1/mlp_in/kernel", "linear"),
            (r"visual\.blocks\.(\d+)\.in_proj_weight", r"block_\1/attention/{query,key,value}/kernel", "linear"),
            (r"visual\.blocks\.(\d+)\.ln_([12])\.weight", r"block_\1/norm_\2/gamma", "same"),
        ),
        unused=(r"token_embedding\..*",),  # every other tensor must be named here, also those of another encoder
    )

One family is one encoder or compositor, its names those of `weights.named` of it. Braces cut the source into equal
parts along its first axis, before the transform. A transform is a name in `TRANSFORMS` or a function array -> array, or
with braces array -> the parts. A source with several parts simply has several families: the command writes a file for
each one that it detects.
`part(state)` says how a config would make the part (sizes from shapes: `state[name].shape`); text encoders that cannot
do with `make_assets(())` give "assets" as well. In a test: `weights.assign(encoder, apply(FAMILY, state))`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cir_tf.errors import UserError, first_of


def _of_rank(rank, change):
    def checked(array):
        if array.ndim != rank:
            raise ValueError(f"it must have {rank} axes")
        return change(array)

    return checked


TRANSFORMS = {
    "same": lambda array: array,
    "linear": _of_rank(2, lambda array: array.T),  # [out, in] -> [in, out]
    "conv": _of_rank(4, lambda array: array.transpose(2, 3, 1, 0)),  # [out, in, H, W] -> [H, W, in, out]
    "depthwise": _of_rank(4, lambda array: array.transpose(2, 3, 0, 1)),  # [in, 1, H, W] -> [H, W, in, 1]
    "conv_linear": _of_rank(4, lambda array: array[:, :, 0, 0].T),  # [out, in, 1, 1] -> [in, out]
    "squeeze": np.squeeze,  # without the axes of length one: [1, 1, W] -> [W]
    "scalar": lambda array: array.reshape(()),  # [], [1] or [1, 1] -> []
}


# What PyTorch calls a layer's tensors: {its name: (our name, transform)}.
DENSE = {"weight": ("kernel", "linear"), "bias": ("bias", "same")}
CONV = {"weight": ("kernel", "conv"), "bias": ("bias", "same")}


def layer_rules(members, layers):
    """The rules of layers of one kind.

    Args:
        members: {the end of a source name: (the end of ours, transform)}.
        layers: {our name: expression on the source's}.
    """
    return [
        (rf"{source}\.{theirs}", f"{ours}/{name}", transform)
        for ours, source in layers.items()
        for theirs, (name, transform) in members.items()
    ]


@dataclass(frozen=True)
class Family:
    """The table of one kind of published file and one of our encoders or compositors.

    Args:
        name: what `--family` calls it.
        about: whose files these are, in a few words.
        detect: regular expressions; a source is of this family if each of them matches some name fully.
        part: state -> {"name": …, arguments}, as in a config.
        rules: (expression on the whole source name, our name with groups and braces, transform).
        unused: expressions on the whole names of tensors that are left out on purpose.
        constants: (expression on our whole name, number) for weights that are in no published file, as the norms a
            later work put into a tower; only the command fills them in.
        without: regular expressions; a source in which one of them matches some name fully is of another family.
        prepare: state -> state, before anything else: what no rule can say, as a weight that the source holds in two.
        kind: of the registry, "encoders" or "compositors".
        features: of compositors: state -> (reference, text), the `Features` they are built with, as shapes.
        tokenizer: of text encoders: what a config's `tokenizer_file` has to name.
        settings: content of the `config.json` beside the tensors -> further arguments, which no tensor tells.
        assumed: what is taken for granted in the place of these, in a few words.
    """

    name: str
    about: str
    detect: tuple
    part: Callable
    rules: tuple
    unused: tuple = ()
    constants: tuple = ()
    without: tuple = ()
    prepare: Callable = dict
    kind: str = "encoders"
    features: Callable | None = None
    tokenizer: str = ""
    settings: Callable | None = None
    assumed: str = ""

    def fits(self, names):
        """Whether a source with these names of tensors is of this family."""

        def found(expression):
            return any(re.fullmatch(expression, name) for name in names)

        return all(map(found, self.detect)) and not any(map(found, self.without))


class Plan(NamedTuple):
    """What becomes of each tensor of a source."""

    uses: dict  # source name -> (our names, transform)
    unused: tuple  # source names


def plan(family, names):
    """The `Plan` of a family for these source names.

    Raises:
        UserError: a tensor the family does not know, or two that become the same one of ours.
    """
    uses, unused, unknown, origin = {}, [], [], {}
    for name in names:
        found = _first_rule(family, name)
        if found:
            uses[name] = found
        elif any(re.fullmatch(expression, name) for expression in family.unused):
            unused.append(name)
        else:
            unknown.append(name)
        for target in found[0] if found else ():
            if origin.setdefault(target, name) != name:
                raise UserError(f"{origin[target]} and {name} both become {target} of family {family.name}")
    if unknown:
        raise UserError(f"not known to family {family.name}: {first_of(unknown)}")
    return Plan(uses, tuple(unused))


def _first_rule(family, name):
    for expression, template, transform in family.rules:
        match = re.fullmatch(expression, name)
        if match:
            return _expand(match.expand(template)), transform
    return None


def _expand(template):
    """("a/q/b", "a/k/b") of "a/{q,k}/b"."""
    head, brace, rest = template.partition("{")
    choices, _, tail = rest.partition("}")
    return tuple(f"{head}{choice}{tail}" for choice in choices.split(",")) if brace else (template,)


def apply(family, state):
    """The arrays of the family's part, {our name: array}: every tensor of the source is used or known to be unused.

    Half precision becomes float32, which is exact; other kinds stay.

    Args:
        family: `Family`.
        state: {source name: array in the source's layout}.

    Raises:
        UserError: as of `plan`; a tensor of another rank than the family's; values that are not finite.
    """
    arrays = {}
    for name, (targets, transform) in plan(family, state).uses.items():
        array = _widened(np.asarray(state[name]))
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{name} holds values that are not finite")
        try:
            parts = _parts(array, len(targets), transform)
            arrays |= {target: np.asarray(part, order="C") for target, part in zip(targets, parts, strict=True)}
        except (ValueError, IndexError) as error:
            shape = list(array.shape)
            raise UserError(f"{name} {shape} cannot become {targets[0]} of family {family.name}: {error}") from error
    return arrays


def _parts(array, count, transform):
    if callable(transform):
        return [transform(array)] if count == 1 else transform(array)
    return map(TRANSFORMS[transform], np.split(array, count))


def constants(family, wanted):
    """{our name: array} of the family's constants.

    Args:
        family: `Family`.
        wanted: {our name: shape} of all the part's weights.
    """
    return {
        name: np.full(shape, value, np.float32)
        for name, shape in wanted.items()
        for expression, value in family.constants
        if re.fullmatch(expression, name)
    }


def _widened(array):
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def count(state, expression):
    """How many different values the expression's first group takes over the names: the number of blocks, say."""
    return len({match[1] for match in (re.fullmatch(expression, name) for name in state) if match})
