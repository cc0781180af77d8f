"""Pairs differ in one attribute, roles are held out, and the text says what is wanted."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from datasets_tfds.emoji_edits import edits
from datasets_tfds.emoji_edits.people import people

SIDES = ("train", "validation", "test")
ROOT = Path(__file__).parents[3]
DIGEST = """
import hashlib
from datasets_tfds.emoji_edits import edits
rows = [edits.queries(side, edits.KINDS, 70) for side in ("train", "validation", "test")]
print(hashlib.sha256(repr(rows).encode()).hexdigest())
"""


def _members(side):
    """Everybody who is in a pair of a side, by image id."""
    found = edits.pairs(side).values()
    return {person.image_id: person for pairs in found for pair in pairs for person in pair}


def _without_direction(person):
    return person.role.removesuffix(" facing right") or f"plain {person.gender}"


def test_families_are_disjoint_between_the_sides():
    families = {side: {_without_direction(person) for person in _members(side).values()} for side in SIDES}
    assert not families["train"] & families["validation"]
    assert not families["train"] & families["test"]
    assert not families["validation"] & families["test"]
    assert min(len(names) for names in families.values()) >= 10


def test_roles_facing_right_are_on_the_side_of_the_role():
    sides = edits.split_of_family()
    turned = [person for person in people() if person.role.endswith(" facing right")]
    assert len({person.role for person in turned}) >= 5
    for person in turned:
        plain = person._replace(role=person.role.removesuffix(" facing right"))
        assert sides[edits.family(person)] == sides[edits.family(plain)]


def test_every_person_is_on_one_side():
    sides = edits.split_of_family()
    assert {edits.family(person) for person in people()} == sides.keys()
    assert set(sides.values()) == set(SIDES)


def test_another_seed_deals_other_families_but_the_fixed_ones():
    other = edits.split_of_family(seed=8)
    assert other != edits.split_of_family()
    assert edits.FIXED_FAMILIES.items() <= other.items()


@pytest.mark.parametrize("side", SIDES)
def test_pairs_change_exactly_one_attribute(side):
    for kind, pairs in edits.pairs(side).items():
        for reference, target in pairs:
            changed = [field for field in edits.KINDS if getattr(reference, field) != getattr(target, field)]
            assert changed == [kind]


@pytest.mark.parametrize("side", SIDES)
def test_target_is_the_only_person_who_fits_reference_and_edit(side):
    fitting = Counter(person[1:] for person in people())
    for kind, pairs in edits.pairs(side).items():
        for reference, target in pairs:
            wanted = reference._replace(**{kind: getattr(target, kind)})
            assert wanted[1:] == target[1:] and fitting[wanted[1:]] == 1


def test_nobody_is_asked_for_no_role_or_no_hair():
    for side in SIDES:
        found = edits.pairs(side)
        assert all(target.hair for _, target in found["hair"])
        assert all(reference.role and target.role for reference, target in found["role"])


def test_hair_is_edited_on_people_that_training_never_saw():
    found = {side: edits.pairs(side)["hair"] for side in SIDES}
    assert {person.gender for pair in found["train"] for person in pair} == {"woman", "man"}
    assert {person.gender for pair in found["test"] for person in pair} == {"person"}
    assert found["validation"] == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("templates", [edits.TEMPLATES, edits.PARAPHRASES], ids=["templates", "paraphrases"])
def test_text_names_the_value_of_the_target(side, templates):
    for kind, text, reference, target in edits.queries(side, tuple(templates), 400, templates):
        value = getattr(target, kind)
        said = "yellow" if value == "none" else value
        assert re.search(rf"(?<![\w-]){said}(?![\w-])(?! facing right)", text), (text, target)
        old = getattr(reference, kind)
        if kind != "gender" and old not in ("", value):
            assert not re.search(rf"(?<![\w-]){old}(?![\w-])", text.replace(said, "")), (text, reference)


def test_no_template_of_training_is_a_paraphrase():
    for kind in edits.KINDS:
        assert not set(edits.TEMPLATES[kind]) & set(edits.PARAPHRASES.get(kind, ()))
        assert len(set(edits.TEMPLATES[kind])) == len(edits.TEMPLATES[kind]) >= 5
    seen = {text for _, text, *_ in edits.queries("train", edits.KINDS, 4000)}
    asked = {text for _, text, *_ in edits.queries("test", tuple(edits.PARAPHRASES), 500, edits.PARAPHRASES)}
    assert len(asked) > 50 and not seen & asked


def _words(*query):
    return {word for _, text, *_ in edits.queries(*query) for word in re.findall(r"[\w-]+", text)}


def test_training_knows_the_words_of_the_headline_test_and_not_those_of_its_roles():
    known = _words("train", edits.KINDS, 4000)
    assert _words("test", ("gender", "skin", "hair"), 500) <= known
    assert {"astronaut", "juggling", "vampire"} <= _words("test", ("role",), 500) - known


def test_pronouns_fit_the_reference():
    persons = {person.image_id: person for person in people()}
    woman, man, person = (persons[name] for name in ("woman_astronaut", "man_astronaut", "astronaut"))
    assert edits.say("make {them} a {noun}, {their} {was}", woman, man) == "make her a man, her woman"
    assert edits.say("make {them} a {noun}, {their} {was}", man, woman) == "make him a woman, his man"
    assert edits.say("make {them} a {noun}, {their} {was}", person, man) == "make them a man, their person"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("man_firefighter", "a firefighter"),
        ("man_astronaut", "an astronaut"),
        ("man_running", "running"),
        ("man_in_tuxedo", "in tuxedo"),
        ("deaf_man", "deaf"),
        ("pregnant_man", "pregnant"),
        ("man_elf", "an elf"),
        ("old_man", "older"),
    ],
)
def test_roles_get_their_article(name, said):
    persons = {person.image_id: person for person in people()}
    assert edits.say("{role}", persons["man_judge"], persons[name]) == said


def test_training_repeats_pairs_evenly_and_other_sides_never():
    for side, per_kind in (("train", 1000), ("test", 1000)):
        rows = edits.queries(side, ("hair",), per_kind)
        times = Counter((reference.image_id, target.image_id) for _, _, reference, target in rows)
        pairs = len(edits.pairs(side)["hair"])
        assert len(times) == pairs
        expected = {2, 3} if side == "train" else {1}
        assert set(times.values()) == expected


def test_queries_are_the_same_in_another_process():
    rows = [edits.queries(side, edits.KINDS, 70) for side in SIDES]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(repr(rows).encode()).hexdigest()
