"""Tables as people write them, the names they give their pictures, and the mistakes they make."""

import json

import pytest

from datasets_tfds.own_images import annotations, table
from tests.datasets_tfds.own_images import toy


def _touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return annotations.find(root)


def _triplets(root, text, skip=False):
    """What a triplets.csv of that text says, in a folder of three pictures."""
    folder = _touch(root, "a.jpg", "b.png", "c/d.jpg")
    (root / "triplets.csv").write_text(text, encoding="utf-8")
    return annotations.read_triplets(folder, skip)


def _fails(root, text, *parts, skip=False):
    with pytest.raises(ValueError) as caught:
        _triplets(root, text, skip)
    assert "\n" not in str(caught.value)
    for part in ("triplets.csv", *parts):
        assert part in str(caught.value)


def test_ids_lose_the_ending_where_nothing_is_mixed_up(tmp_path):
    folder = _touch(tmp_path, "b.jpg", "a.jpg", "a.png", "c/b.JPEG", "x.jpg.png", "x.png", "y.png", "y.png.jpg")
    assert folder.paths == {
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "b": "b.jpg",
        "c/b": "c/b.JPEG",
        "x.jpg": "x.jpg.png",
        "x": "x.png",
        "y": "y.png",
        "y.png.jpg": "y.png.jpg",  # y.png is the other one's name
    }


def test_hidden_files_are_left_out_and_others_are_told(tmp_path):
    folder = _touch(tmp_path, "a.jpg", "._a.jpg", ".thumbnails/a.jpg", "b/c.heic", "notes.txt", "images.csv")
    assert (list(folder.paths), folder.others) == (["a"], ["b/c.heic", "notes.txt"])


def test_folder_without_pictures_and_links_out_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file ends in \.jpg"):
        _touch(tmp_path / "own", "a.txt")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="link out of"):
        _touch(tmp_path / "own", "a.jpg")


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("shoes/IMG_1.jpg", "shoes/IMG_1"),
        ("./shoes/IMG_1", "shoes/IMG_1"),
        (" shoes\\IMG_1.jpg ", "shoes/IMG_1"),
        ("IMG_1.jpg", "shoes/IMG_1"),
        ("img_1", "shoes/IMG_1"),
        ("Caf\u00e9", "Cafe\u0301"),  # one character, and two
        ("both.jpg", "both.jpg"),
        ("top", "top"),  # the path itself, not shoes/top
    ],
)
def test_pictures_go_by_many_names(tmp_path, name, image_id):
    folder = _touch(tmp_path, "shoes/IMG_1.jpg", "Cafe\u0301.png", "both.jpg", "both.png", "top.jpg", "shoes/top.jpg")
    assert annotations.resolver(folder)(name) == image_id


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../a.jpg", "leaves the folder"),
        ("/tmp/a.jpg", "leaves the folder"),
        ("C:\\Pictures\\a.jpg", "leaves the folder"),
        ("same.jpg", "can mean one/same.jpg or two/same.jpg"),
        ("", "empty"),
        ("a.png", "no picture 'a.png'"),
    ],
)
def test_names_that_mean_no_one_picture(tmp_path, name, said):
    folder = _touch(tmp_path, "a.jpg", "one/same.jpg", "two/same.jpg")
    with pytest.raises(ValueError, match=said):
        annotations.resolver(folder)(name)


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path):
    text = "\ufeffReference; Text ;target;split;category;note;\r\na;;b|d;val;bags;x;\r\n\r\nc/d.jpg;  so;a;test;;;\r\n"
    triplets, repeated = _triplets(tmp_path, text)
    assert triplets == [
        annotations.Triplet("validation-2", "validation", "a", ("b", "c/d"), "", "bags"),
        annotations.Triplet("test-4", "test", "c/d", ("a",), "  so", ""),
    ]
    assert repeated == []


def test_json_lines_say_the_same_as_csv(tmp_path):
    folder = _touch(tmp_path, "a.jpg", "b.png", "c/d.jpg")
    rows = [
        {"reference": "a", "text": "", "target": ["b", "c/d"], "split": "val", "category": "bags"},
        {"reference": "c/d.jpg", "text": "  so", "target": "a", "split": "test", "category": None},
    ]
    (tmp_path / "triplets.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    triplets, _ = annotations.read_triplets(folder)
    assert triplets == [
        annotations.Triplet("validation-1", "validation", "a", ("b", "c/d"), "", "bags"),
        annotations.Triplet("test-3", "test", "c/d", ("a",), "  so", ""),
    ]


def test_references_have_one_split_each_by_their_hash():
    ids = [f"IMG_{number}" for number in range(4000)]
    counts = [[annotations.split_of(image_id) for image_id in ids].count(split) for split in annotations.SHARES]
    assert all(abs(count - wanted) < 100 for count, wanted in zip(counts, (3200, 400, 400), strict=True))
    assert [annotations.split_of(f"IMG_{number}") for number in (0, 9, 6)] == ["train", "validation", "test"]


def test_queries_of_a_reference_share_a_split_however_it_is_written(tmp_path):
    triplets, _ = _triplets(tmp_path, "reference,target,text\na,b,x\na.jpg,c/d,y\nA,d,z\n")
    assert len({triplet.split for triplet in triplets}) == 1
    assert annotations.straddling(triplets) == 0


def test_a_split_column_may_tear_a_reference_apart(tmp_path):
    triplets, _ = _triplets(tmp_path, "reference,target,text,split\na,b,x,train\na,d,y,test\nb,a,z,test\nb,d,z,test\n")
    assert annotations.straddling(triplets) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("reference,text\na,x\n", ["row 2", "no 'target'"]),
        ("reference,target,text\n", ["no rows"]),
        ("", ["no rows"]),
        ("reference,target,text,Text\na,b,x,y\n", ["two columns", "'text'"]),
        ("reference,target,text\na,b,x\na,b,red, with a zip\n", ["row 3", "4 fields", "double quotes"]),
        ('reference,target,text\na,b,"red\n', ["line 2"]),
        ("reference,target,text\na,b,x\n../a,b,y\n", ["row 3", "leaves the folder"]),
        ("reference,target,text\na,e,x\nb,f|a,y\n", ["row 2", "'e'", "row 3", "'f'"]),
        ("reference,target,text\na,,x\n", ["row 2", "empty"]),
        ("reference,target,text\na,b,x\nb,a,x\na.jpg,b, x\n", ["row 4", "same as row 2"]),
        ("reference,target,text,split\na,b,x,all\n", ["row 2", "'all'"]),
        ("reference,target,text,split\na,b,x,train\nb,a,x,\n", ["row 3", "cannot be a split"]),
    ],
)
def test_mistakes_name_file_and_row(tmp_path, text, parts):
    _fails(tmp_path, text, *parts)


def test_only_the_first_mistakes_are_listed(tmp_path):
    rows = "".join(f"a,none{number},x\n" for number in range(9))
    _fails(tmp_path, "reference,target,text\n" + rows, "row 6", "and 4 more")


def test_skip_drops_repeated_rows_and_keeps_unknown_names_for_the_count(tmp_path):
    text = "reference,target,text\na,b,x\na,b,x\nb,e.jpg,y\n"
    triplets, repeated = _triplets(tmp_path, text, skip=True)
    assert [triplet.needs for triplet in triplets] == [("a", "b"), ("b", "e.jpg")]
    assert repeated == [3]
    _fails(tmp_path, "reference,target,text\n../a,b,x\n", "row 2", "leaves the folder", skip=True)


def test_other_encodings_and_damaged_json_are_told(tmp_path):
    folder = _touch(tmp_path, "a.jpg")
    path = tmp_path / "triplets.csv"
    path.write_bytes("reference,target,text\na,a,größer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"triplets\.csv, line 2: not UTF-8.*CSV UTF-8"):
        annotations.read_triplets(folder)
    path.unlink()
    for line, said in (('{"reference": "a', "cut off"), ("[1]", "not an object"), ('{"text": {}}', "must be a text")):
        (tmp_path / "triplets.jsonl").write_text('{"reference": "a", "text": "", "target": "a"}\n' + line)
        with pytest.raises(ValueError, match=rf"triplets\.jsonl, row 2.*{said}"):
            annotations.read_triplets(folder)


def test_without_queries_the_gallery_is_pointed_to(tmp_path):
    with pytest.raises(FileNotFoundError, match="own_gallery"):
        annotations.read_triplets(_touch(tmp_path, "a.jpg"))


def test_two_tables_of_one_kind_are_refused(tmp_path):
    folder = _touch(tmp_path, "a.jpg", "triplets.csv", "triplets.jsonl")
    with pytest.raises(ValueError, match="keep one"):
        annotations.read_triplets(folder)


@pytest.mark.parametrize("name", ["images.csv", "attributes.csv"])
def test_attributes_become_classes(tmp_path, name):
    folder = _touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    toy.write_csv(
        tmp_path / name, [("Colour", "image", "heel", "category"), ("red", "b", "", "shoes"), ("", "a", "", "")]
    )
    assert annotations.read_classes(folder) == ({"b": ("colour: red", "shoes"), "a": ("", "")}, [])


def test_attributes_of_no_picture_and_of_one_twice(tmp_path):
    folder = _touch(tmp_path, "a.jpg")
    lines = [{"image": "a", "heel": 7, "colour": ["red", "blue"]}, {"image": "a.jpg"}, {"image": "b"}]
    (tmp_path / "images.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match=r"images\.jsonl, row 2: 'a.jpg' has a row already.*row 3: .* 'b'"):
        annotations.read_classes(folder)
    assert annotations.read_classes(folder, skip=True) == ({"a": ("heel: 7, colour: red|blue", "")}, [2, 3])


def test_convert_leaves_out_none(tmp_path):
    assert table.convert(tmp_path, [(2, 5), (3, 6)], lambda number, row: row if number == 3 else None) == [6]
