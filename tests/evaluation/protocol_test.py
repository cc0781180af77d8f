"""Protocols are values with names; those of FashionIQ have the queries and galleries that the papers count."""

import dataclasses
import os
import re
from pathlib import Path

import pytest

from cir_tf import captions
from cir_tf.evaluation import protocols
from cir_tf.evaluation.protocol import Protocol, parse_metric
from datasets_tfds.fashion_iq import annotations, fashion_iq_dataset_builder

ALL = [protocols.get(name) for name in protocols.available()]
ORIGINAL, UNION = (3817, 6346, 5373), (2628, 3089, 2902)
ROWS, BOTH, SINGLE = (2017, 2038, 1961), (4034, 4076, 3922), (4034, 4075, 3920)
FASHION_IQ = {  # gallery, reference removed, queries: empty captions make no query of their own
    "fashion_iq_original": (ORIGINAL, False, ROWS),
    "fashion_iq_original_as_published": (ORIGINAL, False, ROWS),
    "fashion_iq_original_excluded": (ORIGINAL, True, ROWS),
    "fashion_iq_original_averaged": (ORIGINAL, False, ROWS),
    "fashion_iq_original_averaged_capitalized": (ORIGINAL, False, ROWS),
    "fashion_iq_original_photo_reversed": (ORIGINAL, False, ROWS),
    "fashion_iq_original_both_orders": (ORIGINAL, True, BOTH),
    "fashion_iq_original_both_orders_kept": (ORIGINAL, False, BOTH),
    "fashion_iq_val": (UNION, True, SINGLE),
    "fashion_iq_val_both_orders": (UNION, True, BOTH),
    "fashion_iq_val_joined": (UNION, True, ROWS),
}


def test_names_are_unique_and_all_can_be_had():
    names = protocols.available()
    assert len(set(names)) == len(names)
    assert all(protocols.get(name).name == name for name in names)
    datasets = {protocol.dataset for protocol in ALL}
    assert datasets == {
        *("circo", "cirr", "css", "emoji_edits", "fashion200k", "fashion_iq", "mit_states", "own_images", "shoes")
    }


@pytest.mark.parametrize("protocol", ALL, ids=protocols.available())
def test_every_protocol_is_described_in_one_line(protocol):
    described = protocol.describe()
    assert "\n" not in described
    assert described.startswith(f"{protocol.name}: queries {protocol.dataset}/{'+'.join(protocol.subsets)} ")
    assert f"; gallery {protocol.gallery}" in described
    assert ("; reference removed; " in described) == protocol.exclude_reference
    assert ("; reference kept; " in described) != protocol.exclude_reference
    assert f"; captions {protocol.captions}; " in described
    assert all(metric in described for metric in protocol.metrics)
    assert captions.available().count(protocol.captions) == 1


def test_protocols_differ_in_what_they_describe():
    assert len({protocol.describe().split(": ", 1)[1] for protocol in ALL}) == len(ALL)


def test_descriptions_in_full():
    assert protocols.get("emoji_edits_test_all").describe() == (
        "emoji_edits_test_all: queries emoji_edits/people test; gallery all_emoji; reference removed; "
        "hit: any accepted image; captions stored; R@1, R@5, R@10, R@50; by category"
    )
    assert protocols.get("fashion_iq_val").describe() == (
        "fashion_iq_val: queries fashion_iq/dress+shirt+toptee validation; gallery validation_union, a gallery for "
        "each subset and the mean over subsets; reference removed; hit: any accepted image; captions each_caption; "
        "R@1, R@10, R@50; mean of R@10 and R@50"
    )
    assert "gallery test, references from test_2d; reference removed; hit: any image of the target's class" in (
        protocols.get("css2d_generated_test").describe()
    )


def test_the_metrics_are_those_of_the_papers():
    assert protocols.get("cirr_validation").mean_of == ("R@5", "R_subset@1")
    assert {parse_metric(metric) for metric in protocols.get("circo_validation").metrics} == {
        (kind, k) for kind in ("mAP", "R") for k in (5, 10, 25, 50)
    }
    for name in FASHION_IQ:
        assert protocols.get(name).mean_of == ("R@10", "R@50")
        assert protocols.get(name).subsets == ("dress", "shirt", "toptee")
    assert not any(protocol.exclude_reference for protocol in ALL if protocol.dataset == "circo")
    assert all(protocol.exclude_reference for protocol in ALL if protocol.dataset in ("cirr", "css", "mit_states"))


@pytest.fixture(scope="module")
def fashion_iq():
    """{kind: the validation part of the real annotations}."""
    folder = os.environ.get("CIR_TF_ANNOTATIONS")
    if not folder:
        pytest.skip("needs the real annotations: set CIR_TF_ANNOTATIONS to the folder that holds fashion_iq/")
    kinds = protocols.get("fashion_iq_original").subsets
    return {kind: annotations.load(Path(folder, "fashion_iq"), kind)["validation"] for kind in kinds}


def test_every_protocol_of_fashion_iq_is_counted():
    assert sorted(FASHION_IQ) == [name for name in protocols.available() if name.startswith("fashion_iq_")]


@pytest.mark.parametrize("name", FASHION_IQ)
def test_fashion_iq_has_the_published_counts(fashion_iq, name):
    protocol = protocols.get(name)
    gallery, removed, queries = FASHION_IQ[name]
    union = {"validation": False, "validation_union": True}[protocol.gallery]
    parts = [fashion_iq[kind] for kind in protocol.subsets]
    assert tuple(len(set(part.union() if union else part.gallery)) for part in parts) == gallery
    assert protocol.exclude_reference == removed
    for part, count in zip(parts, queries, strict=True):
        rows = fashion_iq_dataset_builder.rows(part.queries)
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        made = captions.apply(protocol.captions, columns)
        assert made.combine == ("average" if "averaged" in name else "each")
        assert (len(rows) if made.combine == "average" else len(made.texts)) == count


def test_kept_reference_is_said():
    protocol = Protocol("p", "d", ("s",), "val", "val", exclude_reference=False, metrics=("R@2",))
    assert protocol.describe() == (
        "p: queries d/s val; gallery val; reference kept; hit: any accepted image; captions stored; R@2"
    )
    assert protocol.reference_gallery == "val"


def test_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocols.get("css3d_test").metrics = ("R@1",)


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"'emoji'.*Choose from: .*emoji_edits_test,"):
        protocols.get("emoji")


@pytest.mark.parametrize(
    "wrong",
    [
        {"hit": "id"},
        {"groups": "text"},
        {"captions": "loud"},
        {"subsets": ()},
        {"subsets": "dress"},
        {"metrics": ()},
        {"metrics": ("R@0",)},
        {"metrics": ("R@",)},
        {"metrics": ("recall@1",)},
        {"metrics": ("R@1",), "mean_of": ("R@5",)},
        {"metrics": ("R@1", "mAP@5"), "hit": "class"},
        {"metrics": ("R_subset@1",), "hit": "noun"},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        Protocol(**{"name": "p", "dataset": "d", "subsets": ("s",), "split": "val", "gallery": "val"} | wrong)


DOCS = Path(__file__).parent.parent.parent / "docs" / "protocols.md"


def test_every_protocol_is_documented_as_it_is():
    """The tables' rows begin: name, gallery, reference, captions."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`[^|]* \| (kept|removed) \| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    expected = [(p.name, p.gallery, "removed" if p.exclude_reference else "kept", p.captions) for p in ALL]
    assert sorted(rows) == sorted(expected)
