"""The annotations of Shoes: the counts of the real files, and what is said of damaged ones."""

import collections
import itertools
import os
import statistics
import string
from pathlib import Path

import pytest

from datasets_tfds import pictures
from datasets_tfds.shoes import annotations, shoes_dataset_builder
from tests.datasets_tfds.shoes import toy


@pytest.fixture
def copy(tmp_path):
    return toy.write(tmp_path)


@pytest.fixture(scope="module")
def real():
    """Folder, names and queries of the real annotations."""
    root = os.environ.get("CIR_TF_ANNOTATIONS")
    if not root:
        pytest.skip("CIR_TF_ANNOTATIONS names no folder with the real annotations")
    folder = annotations.find(Path(root) / "shoes")
    return folder, *annotations.read(folder)


def test_real_row_counts(real):
    _, _, queries = real
    rows = {split: shoes_dataset_builder.rows(split, queries[split]) for split in queries}
    assert {split: len(of_split) for split, of_split in rows.items()} == {"train": 8990, "test": 1761}
    every = [row for of_split in rows.values() for row in of_split]
    targets, references = ({row[f"{role}_id"] for row in every} for role in ("target", "reference"))
    assert (len(targets), len(references), len(targets | references)) == (7967, 6861, 10776)
    assert len({(row["reference_id"], row["target_id"]) for row in every}) == len(every) == 10751
    assert sum(annotations.category(row["reference_id"]) == row["category"] for row in every) == 10030
    assert {split: shoes_dataset_builder.self_pairs(queries[split]) for split in queries} == {"train": 26, "test": 1}


def test_real_first_row_goes_from_reference_to_target(real):
    folder, names, queries = real
    items = pictures.read_json(folder / annotations.CAPTIONS, list)
    row = shoes_dataset_builder.rows("test", queries["test"])[0]
    first = next(item for item in items if item["ImageName"][:-4] in names["test"])
    assert row["query_id"] == "test-0"
    assert (row["target_id"], row["reference_id"]) == (first["ImageName"][:-4], first["ReferenceImageName"][:-4])
    assert row["captions"] == [first["RelativeCaption"]]


def test_real_galleries(real):
    folder, names, queries = real
    galleries = names | annotations.val_galleries(folder, names["test"], queries["test"])
    rows = {
        split: {row["image_id"]: row for row in shoes_dataset_builder.gallery(of)} for split, of in galleries.items()
    }
    assert {split: len(of) for split, of in rows.items()} == {
        "train": 10000,
        "test": 4658,
        "test_val": 4642,
        "test_val_list": 4621,
    }
    assert sum(query.target_id in rows["test_val_list"] for query in queries["test"]) == 1750
    assert not rows["train"].keys() & rows["test"].keys()
    assert list(rows["test_val"]) == [image_id for image_id in rows["test"] if image_id in rows["test_val"]]
    kinds = collections.Counter(row["category"] for split in names for row in rows[split].values())
    assert kinds == {
        "womens_stiletto": 1696,
        "womens_high_heels": 1668,
        "womens_athletic_shoes": 1644,
        "womens_clogs": 1641,
        "womens_pumps": 1602,
        "womens_boots": 1586,
        "womens_flats": 1513,
        "womens_sneakers": 1143,
        "womens_wedding_shoes": 1138,
        "womens_rain_boots": 1027,
    }
    for split, unused in (("train", 1521), ("test", 2361)):
        used = {end for query in queries[split] for end in query[:2]}
        assert used <= set(names[split])
        assert len(names[split]) - len(used) == unused


def test_real_paths_follow_the_thousands(real):
    folder, names, _ = real
    lines = (folder / "val_protocol/shoes-test-all.txt").read_text().split()
    assert len(lines) == 4621
    top = "datasets/shoes/attributedata/"
    ids = annotations.read_names(folder / "val_protocol/shoes-test-all.txt")
    assert [top + annotations.relpath(image_id) for image_id in ids] == lines
    assert set(ids) == set(annotations.read_names(folder / "val_protocol/eval_im_names.txt")) < set(names["test"])


def test_real_words(real):
    _, _, queries = real
    texts = {
        split: [_words(row["text"]) for row in shoes_dataset_builder.rows(split, queries[split])] for split in queries
    }
    lengths = sorted(len(words) for of_split in texts.values() for words in of_split)
    assert (round(statistics.mean(lengths), 2), statistics.median(lengths), lengths[-1]) == (5.22, 5, 13)
    train, test = (collections.Counter(word for words in texts[split] for word in words) for split in queries)
    counts = list((train + test).values())
    assert [sum(count >= least for count in counts) for least in (1, 2, 5)] == [1608, 922, 554]
    assert len(train) == 1440


def test_real_plain_captions(real):
    folder, names, _ = real
    items = pictures.read_json(folder / "captions_shoes.json", list)
    ids = {item["ImageName"].removesuffix(".jpg") for item in items}
    assert (len(items), len(ids)) == (3600, 3600)
    assert {split: len(ids.intersection(names[split])) for split in names} == {"train": 3000, "test": 600}
    words = [_words(item["Caption"]) for item in items]
    assert round(statistics.mean(map(len, words)), 1) == 4.5
    assert len(set(itertools.chain.from_iterable(words))) == 677


def test_real_lines_of_val(real):
    """VAL writes a row for each listed name that is its target or its reference: nearly each row twice.

    Train: 2 * 8,990 less 26 rows of one picture. Test, by VAL's list: 2 * 1,761 less 1 such row, and less 29 rows with
    only one picture on the list.
    """
    folder, names, queries = real
    val_list = annotations.read_names(folder / "val_protocol/eval_im_names.txt")
    assert len(names["train"]) + len(val_list) == 14621
    for split, listed, lines, halves in (("train", names["train"], 17954, 0), ("test", val_list, 3492, 29)):
        listed = set(listed)
        ends = [{query.reference_id, query.target_id} for query in queries[split]]
        assert sum(len(listed & both) for both in ends) == lines
        assert sum(len(listed & both) < len(both) for both in ends) == halves


def test_real_side_texts(real):
    folder, _, queries = real
    texts = annotations.side_texts(folder)
    assert len(texts) == 3600
    assert texts["img_womens_high_heels_848"] == "black strappy high heels"
    assert texts["img_womens_clogs_90"] == "white slip on"  # a blank at its end
    assert sum(query.target_id in texts for query in queries["train"]) == 5244


def test_damaged_side_texts_are_named(copy):
    with pytest.raises(FileNotFoundError, match=r"captions_shoes\.json is missing"):
        annotations.side_texts(copy)
    path = copy / annotations.TAGS
    path.write_text('[{"ImageName": "img_womens_boots_12.jpg", "Caption": " black boots "}]')
    assert annotations.side_texts(copy) == {"img_womens_boots_12": "black boots"}
    path.write_text('[{"ImageName": "img_womens_boots_12.jpg", "Tags": "black boots"}]')
    with pytest.raises(ValueError, match=r"captions_shoes\.json: row 0 has no 'Caption'"):
        annotations.side_texts(copy)


def test_numbers_are_matched_from_the_right():
    assert annotations.category("img_womens_athletic_shoes_1034") == "womens_athletic_shoes"
    assert annotations.relpath("img_womens_boots_999") == "womens_boots/0/img_womens_boots_999.jpg"
    assert annotations.relpath("img_womens_rain_boots_1000") == "womens_rain_boots/1/img_womens_rain_boots_1000.jpg"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"ImageName": "img_womens_flats_3.jpg"}, "row 1 has no 'ReferenceImageName'"),
        (toy.row("womens_flats_3", "womens_boots_12", "is flat"), "row 1 has its pictures on different sides"),
        (toy.row("womens_flats_77", "womens_clogs_5", "is flat"), "row 1 has a picture that is on no name list"),
        (toy.row("../womens_flats_3", "womens_clogs_5", "is flat"), "row 1: expected a name like"),
        (toy.row("womens_flats_3", "womens_clogs_5", 7), "row 1: a caption is a string"),
        (["img_womens_flats_3.jpg"], "row 1: "),
        (toy.row("womens_flats_3", "womens_clogs_5", "is flat") | {"ImageName": None}, "row 1: "),
    ],
)
def test_bad_caption_rows_are_named(copy, row, message):
    toy.write_captions(copy, [toy.row(*toy.CAPTIONS[0]), row])
    with pytest.raises(ValueError, match=rf"relative_captions_shoes\.json: {message}"):
        annotations.read(copy)


def test_cut_off_captions_are_named(copy):
    path = copy / annotations.CAPTIONS
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r"relative_captions_shoes\.json.* cut off"):
        annotations.read(copy)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("train_im_names.txt", "img_womens_boots_12.jpg", "line 5: img_womens_boots_12 is on line 1 already"),
        ("eval_im_names.txt", "img_womens_boots_12.jpg", "img_womens_boots_12 is on train_im_names.txt too"),
        ("eval_im_names.txt", "img_womens_boots_x.jpg", "line 5: expected a name like"),
        ("eval_im_names.txt", "", "line 5: expected a name like"),
    ],
)
def test_bad_names_are_named(copy, file, line, message):
    with (copy / file).open("a") as out:
        out.write(line + "\n")
    with pytest.raises(ValueError, match=f"{file}: {message}"):
        annotations.read(copy)


def test_vals_list_in_place_of_the_full_one_is_told(copy):
    (copy / "val_protocol/eval_im_names.txt").replace(copy / "eval_im_names.txt")
    with pytest.raises(ValueError, match=r"VAL's eval_im_names\.txt is too short"):
        annotations.read(copy)


def test_vals_list_of_other_pictures_is_refused(copy):
    (copy / "val_protocol/eval_im_names.txt").write_text("img_womens_boots_12.jpg\n")
    names, queries = annotations.read(copy)
    with pytest.raises(ValueError, match="img_womens_boots_12 is not on eval_im_names"):
        annotations.val_galleries(copy, names["test"], queries["test"])


def test_missing_annotations_are_told(copy):
    (copy / "train_im_names.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks train_im_names\.txt"):
        annotations.find(copy)
    (copy / annotations.CAPTIONS).unlink()
    with pytest.raises(FileNotFoundError, match=r"github\.com/XiaoxiaoGuo/fashion-retrieval"):
        annotations.find(copy)


def _words(text):
    """TIRG's words: ASCII only, lower case, punctuation deleted."""
    plain = text.encode("ascii", "ignore").decode().lower()
    return plain.translate(str.maketrans("", "", string.punctuation)).split()
