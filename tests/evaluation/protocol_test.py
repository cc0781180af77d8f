"""Protocols are values with names."""

import dataclasses

import pytest

from cir_tf.evaluation import protocols
from cir_tf.evaluation.protocol import Protocol


def test_names_are_unique_and_all_can_be_had():
    names = protocols.available()
    assert len(set(names)) == len(names)
    assert {"emoji_edits_test", "emoji_edits_test_all", "css3d_generated_test", "css2d_test"} <= set(names)
    assert all(protocols.get(name).name == name for name in names)


def test_every_protocol_removes_the_reference_and_begins_with_its_name():
    for name in protocols.available():
        protocol = protocols.get(name)
        assert protocol.exclude_reference
        assert protocol.ks == (1, 5, 10, 50)
        assert protocol.describe().startswith(f"{name}: queries {protocol.dataset}/{protocol.subset} {protocol.split};")
        assert "\n" not in protocol.describe()


def test_described_in_one_line():
    assert protocols.get("emoji_edits_test_all").describe() == (
        "emoji_edits_test_all: queries emoji_edits/people test; gallery all_emoji; reference removed; "
        "hit by target id; text from text; R@1/5/10/50; by category"
    )
    css = protocols.get("css2d_generated_test").describe()
    assert "gallery test, references from test_2d; reference removed; hit by target class" in css


def test_protocols_differ_in_what_they_describe():
    described = {protocols.get(name).describe().split(": ", 1)[1] for name in protocols.available()}
    assert len(described) == len(protocols.available())


def test_kept_reference_is_said():
    protocol = Protocol("p", "d", "s", "val", "val", exclude_reference=False, ks=(2,))
    assert (
        protocol.describe() == "p: queries d/s val; gallery val; reference kept; hit by target id; text from text; R@2"
    )
    assert protocol.reference_gallery == "val"


def test_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocols.get("css3d_test").ks = (1,)


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"'emoji'.*Choose from: .*emoji_edits_test,"):
        protocols.get("emoji")


@pytest.mark.parametrize("wrong", [{"hit": "id"}, {"groups": "text"}, {"ks": (5, 1)}, {"ks": ()}, {"ks": (0, 1)}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        Protocol("p", "d", "s", "val", "val", **wrong)
