"""Names of emoji become persons, and every person looks different."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from datasets_tfds.emoji_edits.people import GENDERS, HAIRS, SKINS, TWIN, parse, people, pictures


def _digest(path):
    with Image.open(path) as picture:
        rgba = np.array(picture.convert("RGBA"), np.uint16)
    alpha = rgba[..., 3:]
    on_white = (rgba[..., :3] * alpha + 255 * (255 - alpha)) // 255
    return hashlib.sha256(on_white.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("woman", ("", "woman", "none", "")),
        ("person_medium_skin_tone", ("", "person", "medium", "")),
        ("woman_firefighter_dark_skin_tone", ("firefighter", "woman", "dark", "")),
        ("firefighter_medium-light_skin_tone", ("firefighter", "person", "medium-light", "")),
        ("man_light_skin_tone_red_hair", ("", "man", "light", "red hair")),
        ("person_medium-dark_skin_tone_bald", ("", "person", "medium-dark", "bald")),
        ("woman_beard", ("", "woman", "none", "beard")),
        ("Mrs._Claus_medium_skin_tone", ("Santa Claus", "woman", "medium", "")),
        ("old_man_medium-dark_skin_tone", ("older", "man", "medium-dark", "")),
        ("girl_light_skin_tone", ("child", "woman", "light", "")),
        ("merman", ("merperson", "man", "none", "")),
        ("person_with_crown_dark_skin_tone", ("royal with crown", "person", "dark", "")),
        ("deaf_woman_light_skin_tone", ("deaf", "woman", "light", "")),
        ("breast-feeding_medium_skin_tone", ("breast-feeding", "woman", "medium", "")),
        ("horse_racing_dark_skin_tone", ("jockey", "person", "dark", "")),
        (
            "woman_in_motorized_wheelchair_facing_right_medium-light_skin_tone",
            ("in motorized wheelchair facing right", "woman", "medium-light", ""),
        ),
        ("person_gesturing_NO", ("gesturing NO", "person", "none", "")),
    ],
)
def test_name_gives_the_person(name, attributes):
    assert name in pictures()
    assert parse(name) == (name, *attributes)
    assert parse(name) in people()


@pytest.mark.parametrize(
    "name",
    [
        "selfie_dark_skin_tone",
        "waving_hand_light_skin_tone",
        "thumbs_up_medium_skin_tone",
        "ear_medium_skin_tone",
        "nail_polish_dark_skin_tone",
        "woman_and_man_holding_hands_dark_skin_tone",
        "women_holding_hands_medium-dark_skin_tone_light_skin_tone",
        "kiss_light_skin_tone",
        "family",
        "snowman",
        TWIN,
    ],
)
def test_body_parts_groups_and_the_twin_are_no_persons(name):
    assert name in pictures()
    assert name not in {person.image_id for person in people()}


def test_two_skin_tones_are_two_people():
    assert parse("women_holding_hands_medium-dark_skin_tone_light_skin_tone") is None


def test_people_who_use_their_hands_are_persons():
    names = {person.image_id for person in people()}
    assert {"woman_raising_hand", "man_playing_handball", "person_facepalming", "man_tipping_hand"} <= names


def test_attributes_are_known_and_no_two_people_share_all():
    assert {person.skin for person in people()} == set(SKINS)
    assert {person.gender for person in people()} == set(GENDERS)
    assert {person.hair for person in people()} == {"", *HAIRS}
    assert Counter(person[1:] for person in people()).most_common(1)[0][1] == 1


def test_every_person_comes_in_every_skin_tone():
    tones = Counter(person._replace(image_id="", skin="") for person in people())
    short = {person: count for person, count in tones.items() if count != len(SKINS)}
    assert [(person.gender, person.hair, count) for person, count in short.items()] == [("woman", "blond hair", 5)]


def test_no_two_people_share_pixels():
    digests = Counter(_digest(pictures()[person.image_id]) for person in people())
    assert len(digests) == len(people())
    assert _digest(pictures()[TWIN]) in digests
