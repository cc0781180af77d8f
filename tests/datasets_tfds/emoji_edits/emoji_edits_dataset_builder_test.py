"""The prepared dataset, read back, against what its README says."""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from datasets_tfds import schema
from datasets_tfds.emoji_edits import edits, people, samples
from datasets_tfds.emoji_edits.emoji_edits_dataset_builder import SPLITS, Builder, on_white

README = Path(samples.__file__).with_name("README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with the two views that training reads."""
    folder = tmp_path_factory.mktemp("tfds")
    for config in ("people_index", "people_gallery"):
        Builder(config=config, data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(scope="module")
def rows(data_dir):
    return {
        split: list(tfds.as_numpy(tfds.load("emoji_edits/people_index", split=split, data_dir=data_dir)))
        for split in SPLITS
    }


@pytest.fixture(scope="module")
def galleries(data_dir):
    return {
        split: {row["image_id"].decode(): row for row in tfds.as_numpy(dataset)}
        for split, dataset in tfds.load("emoji_edits/people_gallery", data_dir=data_dir).items()
    }


def _table(head):
    """Rows of cells of the README's table that starts with a line."""
    lines = README[README.index(head) :].splitlines()
    body = lines[2 : next(i for i, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in body]


def test_counts_are_those_of_the_readme(rows):
    sides = edits.split_of_family()
    members = Counter(sides[edits.family(person)] for person in people.people())
    measured = []
    for split, (side, _, _, templates) in SPLITS.items():
        kinds = Counter(row["category"].decode() for row in rows[split])
        counts = [members[side], *(kinds[kind] for kind in edits.KINDS), len(rows[split])]
        sentences = "paraphrases" if templates is edits.PARAPHRASES else "templates"
        measured.append([split, side, *map(str, counts), sentences])
    assert measured == _table("| split | side | people | gender | skin | hair | role |")


def test_numbers_of_pairs_are_those_of_the_readme():
    families = Counter(edits.split_of_family().values())
    measured = [
        [side, str(families[side]), *(str(len(edits.pairs(side)[kind])) for kind in edits.KINDS)]
        for side in ("train", "validation", "test")
    ]
    assert measured == _table("| side | families | gender | skin | hair | role |")


def test_galleries_are_those_of_the_readme(galleries):
    measured = {split: str(len(gallery)) for split, gallery in galleries.items()}
    assert measured == {row[0]: row[1] for row in _table("| split of `people_gallery`")}


def test_rows_are_whole_and_found_in_the_gallery(rows, galleries):
    expected = schema.query_row("", "", "").keys()
    known = galleries["people"].keys()
    ids = Counter()
    for split in SPLITS:
        for row in rows[split]:
            assert row.keys() == expected
            assert row["reference_id"].decode() in known and row["target_id"].decode() in known
            assert row["reference_id"] != row["target_id"] and row["has_target"]
            assert row["target_ids"].tolist() == [row["target_id"]] and row["captions"].tolist() == [row["text"]]
            ids[row["query_id"]] += 1
    assert set(ids.values()) == {1}


def test_rows_keep_their_order_and_meaning(rows):
    side, kinds, per_kind, templates = SPLITS["test_paraphrase"]
    planned = edits.queries(side, kinds, per_kind, templates)
    read = [
        tuple(row[key].decode() for key in ("category", "text", "reference_id", "target_id"))
        for row in rows["test_paraphrase"]
    ]
    assert read == [(kind, text, reference.image_id, target.image_id) for kind, text, reference, target in planned]


def test_paraphrase_asks_for_the_pairs_of_the_test(rows):
    pairs = [[(row["reference_id"], row["target_id"]) for row in rows[split]] for split in ("test", "test_paraphrase")]
    texts = [{row["text"] for row in rows[split]} for split in ("test", "test_paraphrase")]
    assert pairs[0] == pairs[1]
    assert not texts[0] & texts[1]


def test_all_emoji_are_the_people_and_distractors_without_the_twin(galleries):
    names, everything = list(galleries["people"]), list(galleries["all_emoji"])
    assert everything[: len(names)] == names == [person.image_id for person in people.people()]
    assert people.TWIN not in everything
    assert {"red_apple", "family", "waving_hand_light_skin_tone"} <= set(everything[len(names) :])


def test_no_distractor_looks_like_a_person(galleries):
    pixels = [row["image"].tobytes() for row in galleries["all_emoji"].values()]
    count = len(galleries["people"])
    assert not set(pixels[:count]) & set(pixels[count:])


def test_gallery_rows_carry_picture_role_and_file(galleries):
    row = galleries["people"]["man_firefighter_dark_skin_tone"]
    assert row["image"].shape == (72, 72, 3) and row["image"].dtype == np.uint8
    assert row["category"] == b"firefighter"
    assert row["relpath"] == people.pictures()["man_firefighter_dark_skin_tone"].name.encode()
    stored = np.array(Image.open(io.BytesIO(on_white(people.pictures()["man_firefighter_dark_skin_tone"]))))
    np.testing.assert_array_equal(row["image"], stored)
    assert galleries["people"]["woman"]["category"] == b"woman"


def test_transparent_parts_become_white(tmp_path):
    pixels = np.zeros([2, 3, 4], np.uint8)  # black, and invisible but for two pixels
    pixels[0, 1] = (200, 10, 30, 255)
    pixels[1, 2] = (100, 0, 0, 51)  # a fifth of it is seen
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = Image.open(io.BytesIO(on_white(tmp_path / "a.png")))
    assert picture.mode == "RGB" and picture.format == "PNG"
    found = np.array(picture)
    assert found[0, 0].tolist() == found[1, 1].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [200, 10, 30]
    assert found[1, 2].tolist() == [224, 204, 204]


def test_description_tags_and_citations_are_taken_up():
    info = Builder(config="people_index", data_dir="/nowhere").info
    assert "emoji" in info.description and "twemoji" in info.citation
    assert "CC BY 4.0" in info.redistribution_info.license
    tags = Builder.get_metadata().tags  # complains about tags that TFDS does not know
    assert "content.data-type.image" in tags and "content.data-type.text" in tags


def test_readme_gives_credit_and_shows_a_small_picture():
    assert re.search(r"© Twitter, Inc and other contributors,\s+\[CC BY 4.0\]", README)
    assert "![samples](samples.png)" in README
    assert samples.PATH.stat().st_size < 80_000


def test_samples_picture_is_up_to_date():
    sheet = samples.sheet()
    with Image.open(samples.PATH) as kept:
        assert kept.size == sheet.size
        difference = np.abs(np.array(kept.convert("RGB"), int) - np.array(sheet, int))
    assert (difference > 40).mean() < 0.02  # letters may be drawn a little otherwise elsewhere
