"""Scenes on a 3x3 grid, and sentences that change one object of a scene, made from a seed.

A *family* is 16 scenes: four cells in which two choices are open, and up to three objects common to all.
Two scenes of a family that differ in one of the four cells are one edit apart, so every reference has four
one-edit neighbours in the gallery and ten more scenes that are nearly right; the picture alone cannot tell
which of them is meant, and neither can the sentence.

Dimension key: F families, S the four open cells, N scenes, P the nine cells, Q queries, A attributes, U subsets.
"""

import itertools
from typing import NamedTuple

import numpy as np

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow")
SIZES = ("small", "large")
POSITIONS = tuple(f"{row}-{column}" for row in ("top", "middle", "bottom") for column in ("left", "center", "right"))
CENTERS = (0.1875, 0.5, 0.8125)  # of the rows and columns, as fractions: 12, 32 and 52 of 64 pixels
SPLITS = ("train", "test")  # of the original
GENERATED_SPLITS = (*SPLITS, "validation")
KINDS = ("add", "remove", "change_color", "change_size", "change_shape")

# Every shape has four colours on each side, and every colour has one or two shapes on each side.
TRAIN_COMBINATIONS = frozenset(
    (shape, color)
    for shape, colors in (
        ("circle", ("gray", "green", "brown", "cyan")),
        ("rectangle", ("gray", "blue", "purple", "cyan")),
        ("triangle", ("red", "blue", "brown", "yellow")),
    )
    for color in colors
)
COMBINATIONS = {
    "train": TRAIN_COMBINATIONS,
    "validation": TRAIN_COMBINATIONS,  # new scenes of known objects: what is left of the test is the new objects
    "test": frozenset(itertools.product(SHAPES, COLORS)) - TRAIN_COMBINATIONS,
}

OPEN_CELLS = 4
FAMILY_SIZE = 2**OPEN_CELLS
MAX_COMMON = 3
EDITS_PER_REFERENCE = 2

EMPTY = 0  # an object is 1 + its place in this table
OBJECTS = tuple(itertools.product(SIZES, COLORS, SHAPES))
# Rows: empty, then the objects. Columns: size, colour, shape as numbers; -1 matches nothing.
ATTRIBUTES = np.array(
    [(-1, -1, -1)] + [(SIZES.index(z), COLORS.index(c), SHAPES.index(s)) for z, c, s in OBJECTS], np.int8
)


class Split(NamedTuple):
    """One side of the dataset: pictures 0..N-1 and the queries between them."""

    objects_N: list  # per picture a list of {"shape", "color", "size", "pos": (row, column) as fractions}
    labels_N: list  # equal scenes have equal labels
    reference_Q: np.ndarray
    target_Q: np.ndarray
    texts_Q: list
    modification_Q: np.ndarray  # equal sentences have equal numbers


def make_split(split, seed, pictures, queries):
    """The pictures and queries of a side, a pure function of the arguments.

    Args:
        split: one of `GENERATED_SPLITS`; sets which combinations of shape and colour occur.
        seed: int.
        pictures: a multiple of 16.
        queries: an even number, at most twice the pictures.

    Raises:
        ValueError: numbers that cannot be met.
    """
    if pictures < FAMILY_SIZE or pictures % FAMILY_SIZE:
        raise ValueError(f"pictures must be a positive multiple of {FAMILY_SIZE}. Received: pictures={pictures}.")
    if queries % EDITS_PER_REFERENCE or not 0 < queries <= EDITS_PER_REFERENCE * pictures:
        raise ValueError(
            f"queries must be a multiple of {EDITS_PER_REFERENCE}, at most {EDITS_PER_REFERENCE} for each of the "
            f"{pictures} pictures. Received: queries={queries}."
        )
    rng = np.random.default_rng([seed, GENERATED_SPLITS.index(split)])
    scene_NP, open_FS = _families(rng, split, pictures // FAMILY_SIZE)
    reference_Q, target_Q, cell_Q = _edits(rng, open_FS, pictures, queries)
    texts_Q = _sentences(rng, scene_NP[reference_Q], scene_NP[target_Q], cell_Q)
    return Split(
        objects_N=[objects_of(scene_P) for scene_P in scene_NP],
        labels_N=[label_of(scene_P) for scene_P in scene_NP],
        reference_Q=reference_Q,
        target_Q=target_Q,
        texts_Q=texts_Q,
        modification_Q=np.unique(texts_Q, return_inverse=True)[1],
    )


def objects_of(scene_P):
    """The objects of a scene, back row first, as the original archive writes them."""
    return [
        {
            **dict(zip(("size", "color", "shape"), OBJECTS[code - 1], strict=True)),
            "pos": (CENTERS[cell // 3], CENTERS[cell % 3]),
        }
        for cell, code in enumerate(scene_P.tolist())
        if code != EMPTY
    ]


def label_of(scene_P):
    """What is where, as one canonical string: equal scenes, and only they, have equal labels."""
    parts = [f"{POSITIONS[p]} {' '.join(OBJECTS[code - 1])}" for p, code in enumerate(scene_P.tolist()) if code]
    return ", ".join(parts) or "empty"


def edit_kind(text):
    """The kind of edit a sentence asks for: one of `KINDS`, or "change" where the new value is no known word."""
    words = text.split() or [""]
    if words[0] in ("add", "remove"):
        return words[0]
    kinds = {"change_color": COLORS, "change_size": SIZES, "change_shape": SHAPES}
    return next((kind for kind, values in kinds.items() if words[-1] in values), "change")


def _families(rng, split, families):
    """Scenes of all families, family after family, and the open cells of each: uint8 [N, 9], int [F, 4]."""
    cell_FP = rng.permuted(np.tile(np.arange(9), (families, 1)), axis=1)
    open_FS, common_FC = cell_FP[:, :OPEN_CELLS], cell_FP[:, OPEN_CELLS : OPEN_CELLS + MAX_COMMON]
    choice_FS2 = _choices(rng, split, (families, OPEN_CELLS))
    allowed = _allowed(split)
    common_count_F1 = rng.integers(0, MAX_COMMON + 1, (families, 1))
    is_there_FC = np.arange(MAX_COMMON) < common_count_F1
    object_FC = np.where(is_there_FC, rng.choice(allowed, common_FC.shape), EMPTY)

    bit_MS = np.arange(FAMILY_SIZE)[:, None] >> np.arange(OPEN_CELLS) & 1  # member m takes choice bit s in cell s
    scene_FMP = np.zeros((families, FAMILY_SIZE, 9), np.uint8)
    taken_FMS = choice_FS2[:, np.arange(OPEN_CELLS)[None], bit_MS]
    np.put_along_axis(scene_FMP, np.broadcast_to(open_FS[:, None], taken_FMS.shape), taken_FMS, axis=2)
    common_FMC = np.broadcast_to(common_FC[:, None], (families, FAMILY_SIZE, MAX_COMMON))
    np.put_along_axis(scene_FMP, common_FMC, np.broadcast_to(object_FC[:, None], common_FMC.shape), axis=2)
    return scene_FMP.reshape(-1, 9), open_FS


def _allowed(split):
    """Codes of the objects that occur on a side."""
    return np.array([1 + i for i, (_, color, shape) in enumerate(OBJECTS) if (shape, color) in COMBINATIONS[split]])


def _choices(rng, split, shape):
    """The two choices of each open cell: there or not there, or two objects that differ in one attribute."""
    allowed = _allowed(split)
    pairs = {column: [] for column in range(3)}
    for a, b in itertools.permutations(allowed, 2):
        differs = np.flatnonzero(ATTRIBUTES[a] != ATTRIBUTES[b])
        if len(differs) == 1:
            pairs[int(differs[0])].append((a, b))
    pairs = [[(EMPTY, a) for a in allowed], *pairs.values()]
    draws = np.stack([np.array(some)[rng.integers(len(some), size=shape)] for some in pairs])
    # "There or not" serves two kinds, add and remove, so that all five kinds come out equally often.
    which = rng.choice(4, size=shape, p=(0.4, 0.2, 0.2, 0.2))
    return np.take_along_axis(draws, which[None, ..., None], axis=0)[0]


def _edits(rng, open_FS, pictures, queries):
    """References in random order, two different open cells of each: reference, target and edited cell [Q]."""
    reference_R = rng.permutation(pictures)[: queries // EDITS_PER_REFERENCE]
    slots_RS = rng.permuted(np.tile(np.arange(OPEN_CELLS), (len(reference_R), 1)), axis=1)
    slot_Q = slots_RS[:, :EDITS_PER_REFERENCE].reshape(-1)
    reference_Q = np.repeat(reference_R, EDITS_PER_REFERENCE)
    return reference_Q, reference_Q ^ (1 << slot_Q), open_FS[reference_Q // FAMILY_SIZE, slot_Q]


def _sentences(rng, reference_QP, target_QP, cell_Q):
    """One sentence for each edit: the changed object is named by a random choice of words that fit it alone."""
    rows = np.arange(len(cell_Q))
    old_Q, new_Q = reference_QP[rows, cell_Q], target_QP[rows, cell_Q]
    named_QA = _naming(rng, reference_QP, cell_Q)
    return [_sentence(*edit) for edit in zip(cell_Q, old_Q, new_Q, named_QA, strict=True)]


def _naming(rng, reference_QP, cell_Q):
    """Which of position, size, colour, shape to name, bool [Q, 4]: uniform over the subsets that fit one object."""
    value_QPA = ATTRIBUTES[reference_QP]
    value_QA = np.take_along_axis(value_QPA, cell_Q[:, None, None], axis=1)[:, 0]
    is_cell_QP = np.arange(9) == cell_Q[:, None]
    fits_QPA = np.concatenate([is_cell_QP[..., None], value_QPA == value_QA[:, None]], axis=2)
    subset_UA = np.array(list(itertools.product((False, True), repeat=4))[1:])
    fits_QPU = np.all(fits_QPA[:, :, None] | ~subset_UA, axis=3) & (reference_QP != EMPTY)[..., None]
    is_unique_QU = fits_QPU.sum(axis=1) == 1
    return subset_UA[np.argmax(rng.random(is_unique_QU.shape) * is_unique_QU, axis=1)]


def _sentence(cell, old, new, named_A):
    if old == EMPTY:
        return f"add {' '.join(OBJECTS[new - 1])} to {POSITIONS[cell]}"
    words = (POSITIONS[cell], *OBJECTS[old - 1])
    phrase = " ".join(itertools.compress(words, named_A)) + ("" if named_A[3] else " object")
    if new == EMPTY:
        return f"remove {phrase}"
    changed = int(np.flatnonzero(ATTRIBUTES[old] != ATTRIBUTES[new])[0])
    return f"make {phrase} {OBJECTS[new - 1][changed]}"
