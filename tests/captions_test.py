"""Caption policies: what they make of a row, of empty captions, and of the real annotations."""

import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from cir_tf import captions

EXAMPLE = ["Is blue with a floral print.", "has Longer sleeves, "]
DOCS = Path(__file__).parent.parent / "docs" / "captions.md"
ROW = re.compile(r"\| `(?P<name>\w+)` \| (?P<texts>.*?) \| (?P<combine>each|average|sample) \| ")
ON_CAPTIONS = (
    "each_caption",
    "each_caption_as_published",
    "both_orders",
    "separator",
    "both_orders_separator",
    "capitalized_and",
    "capitalized_and_as_published",
    "random_order_or_single",
    "both_orders_averaged",
    "both_orders_averaged_capitalized",
)


def documented():
    """(row, policy, texts, combine) of every line of the documentation's tables."""
    for part in DOCS.read_text().split("```json")[1:]:
        example, tables = part.split("```", 1)
        for line in ROW.finditer(tables):
            texts = [text.removeprefix("`").removesuffix("`") for text in line["texts"].split("<br>")]
            yield json.loads(example), line["name"], texts, line["combine"]


def columns(row):
    return {key: [value] for key, value in row.items()}


def texts(name, given, **others):
    return captions.apply(name, columns({"captions": given, **others})).texts


@pytest.mark.parametrize(("row", "name", "expected", "combine"), documented())
def test_policy_does_what_the_documentation_says(row, name, expected, combine):
    made = captions.apply(name, columns(row))
    assert made.texts == expected
    assert made.combine == combine
    assert made.row_T.tolist() == [0] * len(expected)


def test_every_policy_is_documented_once():
    assert sorted(name for _, name, _, _ in documented()) == captions.available()


def test_check_lines_of_clip4cir():
    forwards = "Is blue with a floral print and has Longer sleeves"
    backwards = "Has longer sleeves and Is blue with a floral print"
    made = captions.apply("random_order_or_single", {"captions": [EXAMPLE]})
    assert made.texts == [forwards, backwards, "Is blue with a floral print", "Has longer sleeves"]
    assert made.combine == "sample"
    assert texts("capitalized_and", EXAMPLE) == texts("capitalized_and_as_published", EXAMPLE) == [forwards]


def test_only_the_first_order_is_capitalized():
    given = ["is Red", "has Stripes"]
    assert texts("both_orders_averaged_capitalized", given) == ["Is red and has Stripes", "has Stripes and is Red"]
    assert texts("both_orders_averaged", given) == ["is Red and has Stripes", "has Stripes and is Red"]


def test_capitals_inside_are_lowered_in_the_first_caption_only():
    assert texts("capitalized_and", ["is more USA", "Nike LOGO"]) == ["Is more usa and Nike LOGO"]


@pytest.mark.parametrize("name", ["capitalized_and", "capitalized_and_as_published"])
def test_blanks_dots_commas_and_question_marks_are_stripped_at_both_ends_only(name):
    given = [" ?,. a v. neck, blue?  red?.,", "\tis it,really? \n"]
    assert texts(name, given) == ["A v. neck, blue?  red and is it,really"]


def test_single_captions_lose_blanks_only():
    assert texts("each_caption", ["  is red. ", "?"]) == ["is red.", "?"]


@pytest.mark.parametrize("given", [["", "is Red."], ["is Red.", "  "], ["is Red.", "."]])
def test_empty_caption_is_skipped(given):
    assert texts("capitalized_and", given) == ["Is red"]
    assert texts("random_order_or_single", given) == ["Is red"]
    assert texts("both_orders_averaged", given) == ["is Red"]
    assert texts("both_orders_averaged_capitalized", given) == ["Is red"]


def test_empty_caption_keeps_its_and_as_published():
    assert texts("capitalized_and_as_published", ["", "is Red."]) == [" and is Red"]
    assert texts("capitalized_and_as_published", ["is Red.", " "]) == ["Is red and "]


def test_empty_caption_is_no_query_alone_but_stays_in_unchanged_joins():
    assert texts("each_caption", [" ", "is Red. "]) == ["is Red."]
    assert texts("both_orders", ["", "is Red."]) == [" and is Red.", "is Red. and "]


@pytest.mark.parametrize("given", [["", " "], [" "], []])
@pytest.mark.parametrize("name", ON_CAPTIONS)
def test_row_without_words_gives_one_empty_text(name, given):
    assert texts(name, given) == [""]


def test_row_without_captions_keeps_what_else_is_known():
    assert texts("photo_reversed", [" "]) == ["a photo of * , "]
    assert texts("category_and_it", ["", ""], category="Dress") == ["dress"]
    assert texts("shared_concept", [""], text="", shared_concept="a dog") == ["a dog"]
    assert texts("stored", [""], text="") == [""]


@pytest.mark.parametrize("name", ON_CAPTIONS)
def test_single_caption_makes_one_text(name):
    assert [text.lower() for text in texts(name, ["shows Two dogs"])] == ["shows two dogs"]


def test_equal_captions_stay_two_queries():
    assert len(texts("both_orders", ["is red", "is red"])) == len(texts("each_caption", ["is red", "is red"])) == 2


def test_unknown_category_is_left_out():
    assert texts("category_and_it", ["is Red", "is long"], category="") == ["is red and it is long"]


def test_complete_text_needs_the_reference_only():
    given = {"captions": ["ripe"], "text": "ripe", "reference_class": "unripe ice cream"}
    assert captions.apply("reference_noun", columns(given)).texts == ["ripe ice cream"]


def test_text_is_cut_at_a_semicolon_as_published_only():
    given = ["is a yellow night;s watch shirt", "; red"]
    assert texts("each_caption", given) == given
    assert texts("each_caption_as_published", given) == ["is a yellow night", ""]


def test_texts_know_their_rows():
    rows = {"captions": [["a", "b"], ["", ""], ["c", ""], np.array(["d", "e"], object)], "text": list("wxyz")}
    made = captions.apply("each_caption", rows)
    assert made.texts == ["a", "b", "", "c", "d", "e"]
    assert made.row_T.tolist() == [0, 0, 1, 2, 3, 3]
    assert captions.apply("stored", rows).row_T.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", captions.available())
def test_no_rows_give_no_texts(name):
    made = captions.apply(name, {"captions": [], "text": []})
    assert made.texts == []
    assert made.row_T.shape == (0,)
    assert made.row_T.dtype == np.int64


def test_captions_are_never_altered():
    rows = {"captions": [EXAMPLE.copy()], "text": ["T"], "category": ["dress"]}
    for name in (*ON_CAPTIONS, "photo_reversed", "category_and_it"):
        captions.apply(name, rows)
    assert rows["captions"] == [EXAMPLE]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("shared_concept", "shared_concept"),
        ("category_and_it", "category"),
        ("reference_noun", "reference_class"),
        ("target_class", "target_class"),
    ],
)
def test_missing_key_is_named(name, key):
    with pytest.raises(ValueError, match=f"^The caption policy '{name}' needs rows with '{key}'.*captions, text.$"):
        captions.apply(name, {"captions": [EXAMPLE], "text": ["T"]})


def test_unknown_policy_lists_the_names():
    with pytest.raises(ValueError, match=r"no caption policy 'stroed'\. Choose from: both_orders, .*stored") as error:
        captions.apply("stroed", {"captions": [EXAMPLE]})
    assert all(name in str(error.value) for name in captions.available())


def fashion_iq(kind, split="val"):
    folder = os.environ.get("CIR_TF_ANNOTATIONS")
    if not folder:
        pytest.skip("needs the real annotations: set CIR_TF_ANNOTATIONS to the folder that holds fashion_iq/")
    rows = json.loads((Path(folder) / "fashion_iq" / "captions" / f"cap.{kind}.{split}.json").read_text())
    return {"captions": [row["captions"] for row in rows]}


@pytest.mark.parametrize(
    ("kind", "rows", "single", "orders"),
    [("dress", 2017, 4034, 4034), ("shirt", 2038, 4075, 4076), ("toptee", 1961, 3920, 3922)],
)
def test_published_numbers_of_queries(kind, rows, single, orders):
    found = fashion_iq(kind)
    counts = {name: len(captions.apply(name, found).texts) for name in ON_CAPTIONS}
    assert counts["each_caption"] == counts["each_caption_as_published"] == single
    assert counts["both_orders"] == counts["both_orders_separator"] == orders
    assert counts["capitalized_and"] == counts["capitalized_and_as_published"] == counts["separator"] == rows


def test_published_numbers_of_training_lines():
    kinds = ("dress", "shirt", "toptee")
    made = {kind: captions.apply("each_caption", fashion_iq(kind, "train")).texts for kind in kinds}
    assert [len(made[kind]) for kind in kinds] == [11970, 11976, 12042]


def test_three_queries_of_fashion_iq_have_an_empty_half():
    halves = []
    for kind in ("dress", "shirt", "toptee"):
        rows = fashion_iq(kind)
        sane, published = (
            captions.apply(name, rows).texts for name in ("capitalized_and", "capitalized_and_as_published")
        )
        halves += [pair for pair in zip(sane, published, strict=True) if pair[0] != pair[1]]
    assert len(halves) == 3
    assert all(published.startswith(" and ") or published.endswith(" and ") for _, published in halves)
    assert not any(sane.startswith(" and ") or sane.endswith(" and ") for sane, _ in halves)


def test_three_captions_of_fashion_iq_are_cut():
    cut = []
    for kind, split in itertools.product(("dress", "shirt", "toptee"), ("train", "val")):
        rows = fashion_iq(kind, split)
        whole, short = (captions.apply(name, rows).texts for name in ("each_caption", "each_caption_as_published"))
        cut += [kind + " " + split for pair in zip(whole, short, strict=True) if pair[0] != pair[1]]
    assert cut == ["shirt train", "shirt train", "toptee val"]
