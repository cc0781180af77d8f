"""Captions, parents, children and modification texts, on the published rules and their quirks."""

import pytest

from datasets_tfds.fashion200k import captions


def test_marks_are_spelled_out_without_blanks():
    cleaned = captions.clean(" black & white *top* no. 1? ")
    assert cleaned == "black andmark white starmarktopstarmark nodotmark 1questionmark"
    assert captions.clean("Crêpe-Jersey  Top\n") == "Crêpe-Jersey  Top"  # case, accents and inner blanks stay


def test_parents_leave_out_one_word_at_a_time():
    assert captions.parents("black mini dress") == ["mini dress", "black dress", "black mini"]


def test_a_word_is_deleted_inside_other_words_too():
    assert set(captions.parents("red redish top")) == {"ish top", "red top", "red redish"}
    assert captions.parents("red embroidered top")[0] == "embroide top"


def test_double_blanks_collapse_once():
    assert captions.parents("a  b c")[1] == "a  c"  # three blanks: the pair becomes one, and is not looked at again


def test_a_repeated_word_makes_one_parent():
    assert captions.parents("red top red") == ["top", "red red"]
    assert captions.parents("") == []


def test_children_are_different_captions_in_order_of_appearance():
    index = captions.children(["red mini dress", "black mini dress", "red mini dress", "red midi dress", "black top"])
    assert index["mini dress"] == ["red mini dress", "black mini dress"]
    assert index["red dress"] == ["red mini dress", "red midi dress"]
    assert index["top"] == ["black top"]
    assert "midi dress" in index
    assert "mini" not in index


def test_substring_deletion_makes_siblings():
    index = captions.children(["red redish top", "tan ish top"])
    assert index["ish top"] == ["red redish top", "tan ish top"]


@pytest.mark.parametrize(
    ("reference", "target", "text"),
    [
        ("black knee-length dress", "red knee-length dress", "replace black with red"),
        ("black dress", "black mini dress", "replace dress with mini"),  # the reference has no word of its own
        ("black mini dress", "black dress", "replace mini with dress"),
        ("black white top", "white top black", "replace top with black"),  # the same words in another order
        ("long red silk gown", "short red lace gown", "replace long with short"),
    ],
)
def test_modification_text(reference, target, text):
    assert captions.modification(reference, target) == text


@pytest.mark.parametrize("ends", [("", "red top"), ("red top", "  ")])
def test_caption_without_words_has_no_modification(ends):
    with pytest.raises(ValueError, match="without words"):
        captions.modification(*ends)
