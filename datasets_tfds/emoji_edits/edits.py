"""Queries of `emoji_edits`: which pairs of people differ in one attribute, and how a person would say so."""

import itertools
import re

import numpy as np

from datasets_tfds.emoji_edits.people import people

KINDS = ("gender", "skin", "hair", "role")
SHARES = (("test", 0.2), ("validation", 0.15), ("train", 0.65))  # of the role families
# Hair is named for plain adults only. Three families, so that the test has hair edits on people training never saw.
FIXED_FAMILIES = {"plain woman": "train", "plain man": "train", "plain person": "test"}

# {tone} a skin tone · {noun} {was} woman, man or person, new and old · {role} with its article, {as_role} after "show"
# {hair} with a haircut, {give} the order to change it · {they} {them} {their} the reference's pronouns
TEMPLATES = {
    "skin": (
        "with {tone} skin",
        "{tone} skin",
        "same but with {tone} skin",
        "change the skin tone to {tone}",
        "give {them} {tone} skin",
        "the skin should be {tone}",
        "a {tone} skin tone",
        "same picture, {tone} skin instead",
    ),
    "gender": (
        "make {them} a {noun}",
        "a {noun} instead",
        "a {noun} instead of a {was}",
        "same but a {noun}",
        "change the {was} to a {noun}",
        "as a {noun}",
        "the same picture with a {noun}",
        "swap the {was} for a {noun}",
    ),
    "hair": (
        "{hair}",
        "the same but {hair}",
        "{give}",
        "now {hair}",
        "change the hair, {hair} instead",
        "same {was}, {hair}",
    ),
    "role": (
        "{role} instead",
        "make {them} {role}",
        "show {them} {as_role}",
        "same {was} but {role}",
        "now {role}",
        "{role}",
    ),
}
PARAPHRASES = {
    "skin": ("I want {them} to have {tone} skin", "{tone} skin please", "{their} skin turned {tone}"),
    "gender": ("turn {them} into a {noun}", "could this be a {noun}", "I am looking for a {noun} like this"),
    "hair": ("what would {they} look like {hair}", "I want {them} {hair}", "{hair} please"),
}
_TONES = {"none": "yellow"}
_PRONOUNS = {"woman": ("she", "her", "her"), "man": ("he", "him", "his"), "person": ("they", "them", "their")}
_HAIR = {"bald": "bald", "beard": "with a beard"}
_ACTIVITY = re.compile(r"^(\w+ing\b|in\b|with\b|deaf|older|pregnant|breast-feeding)")


def family(person):
    """The unit that is held out: a role, whichever way it faces; a plain adult counts by gender."""
    return person.role.removesuffix(" facing right") if person.role else f"plain {person.gender}"


def split_of_family(seed=7):
    """Family -> "train", "validation" or "test", disjoint, a pure function of the seed."""
    names = sorted({family(person) for person in people()} - FIXED_FAMILIES.keys())
    order = np.random.default_rng(seed).permutation(len(names))
    splits, start = dict(FIXED_FAMILIES), 0
    for split, share in SHARES:
        stop = len(names) if split == "train" else start + round(share * len(names))
        splits |= {names[i]: split for i in order[start:stop]}
        start = stop
    return splits


def pairs(split):
    """Kind of edit -> list of (reference, target), all pairs of the split that differ in exactly that attribute.

    A role edit changes one role for another; no text asks for "no role" or "no special hair", so neither is a target.
    """
    of_family = split_of_family()
    members = [person for person in people() if of_family[family(person)] == split]
    found = {kind: [] for kind in KINDS}
    for kind in KINDS:
        groups = {}
        for person in members:
            if kind == "role" and not person.role:
                continue
            groups.setdefault(person._replace(image_id="", **{kind: ""}), []).append(person)
        for group in groups.values():
            wanted = (pair for pair in itertools.permutations(group, 2) if getattr(pair[1], kind))
            found[kind].extend(wanted)
    return found


def say(template, reference, target):
    """The edit from reference to target in the words of a template."""
    they, them, their = _PRONOUNS[reference.gender]
    article = "" if _ACTIVITY.match(target.role) else "an " if target.role[:1] in "aeio" else "a "
    role = article + target.role
    hair = _HAIR.get(target.hair, f"with {target.hair}")
    return template.format(
        tone=_TONES.get(target.skin, target.skin),
        noun=target.gender,
        was=reference.gender,
        hair=hair,
        give=f"give {them} {hair.removeprefix('with ')}" if hair.startswith("with ") else f"make {them} {hair}",
        role=role,
        as_role=f"as {role}" if article else role,
        they=they,
        them=them,
        their=their,
    )


def queries(split, kinds, per_kind, templates=TEMPLATES, seed=7):
    """Rows (kind, text, reference, target), the same number of each kind as far as there are pairs.

    Args:
        split: "train", "validation" or "test".
        kinds: some of `KINDS`.
        per_kind: rows of each kind. In training, pairs repeat in other words where a kind has too few of them; in the
            other splits every pair is asked once.
        templates: kind -> sentences.
        seed: of the choice and of the words.
    """
    found = pairs(split)
    rows = []
    for kind in kinds:
        rng = np.random.default_rng((seed, KINDS.index(kind)))
        count = len(found[kind])
        if split == "train":
            rounds = -(-per_kind // count)
            chosen = np.concatenate([rng.permutation(count) for _ in range(rounds)])[:per_kind]
        else:
            chosen = np.sort(rng.permutation(count)[:per_kind])
        words = rng.integers(len(templates[kind]), size=len(chosen))
        for row, word in zip(chosen, words, strict=True):
            reference, target = found[kind][row]
            rows.append((kind, say(templates[kind][word], reference, target), reference, target))
    return rows
