"""The archive's pickled dictionary becomes JSON, and nothing of a pickle is ever run."""

import io
import json
import os
import pickle

import numpy as np
import pytest

from datasets_tfds.css import convert_original, original

OBJECTS = [{"shape": "circle", "color": "red", "size": "small", "pos": (0.25, np.float64(0.75))}]
PYTHON_2 = rb"""cnumpy.core.multiarray
_reconstruct
(cnumpy
ndarray
(I0
tS'b'
tR(I1
(tcnumpy
dtype
(S'O8'
I0
I1
tR(I3
S'|'
NNNI-1
I-1
I63
tbI00
(lp1
(dS'label'
cnumpy.core.multiarray
scalar
(cnumpy
dtype
(S'i8'
I0
I1
tR(I3
S'<'
NNNI-1
I-1
I0
tbS'\x05\x01\x00\x00\x00\x00\x00\x00'
tRsatb."""


def _side(**changes):
    side = {
        "objects_img": [OBJECTS, [], OBJECTS],
        "labels": np.array([4, 5, 4]),
        "mods": [{"from": [0, 2], "to": np.array([1, 1]), "to_str": "remove red circle", "more": None}],
    }
    return side | changes


def _save(folder, data):
    path = folder / original.NPY_NAME
    np.save(path, np.array(data, dtype=object), allow_pickle=True)
    return path


def _save_pickle(folder, payload):
    path = folder / original.NPY_NAME
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(header.getvalue() + payload)
    return path


class _Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_dictionary_becomes_plain_json(tmp_path, capsys):
    path = _save(tmp_path, {"train": _side(), "test": _side(labels=None)})
    assert convert_original.main(["--allow_pickle", str(path)]) == 0
    assert "css.json" in capsys.readouterr().out
    data = json.loads((tmp_path / "css.json").read_text())
    assert data["train"]["objects_img"][0] == [
        {"shape": "circle", "color": "red", "size": "small", "pos": [0.25, 0.75]}
    ]
    assert data["train"]["mods"] == [{"from": [0, 2], "to": [1, 1], "to_str": "remove red circle"}]
    assert data["train"]["labels"] == ["4", "5", "4"]
    assert data["test"]["labels"] == ["0", "1", "2"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["css.json", path.name]


def test_pickle_of_python_2_is_read(tmp_path):
    assert convert_original.read(_save_pickle(tmp_path, PYTHON_2)) == {"label": 261}


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array([1.5, -2], ">f4"),
        np.array(["ab", "c"]),
        np.array([b"ab", b"c"]),
        np.array([True, False]),
        np.array([{"a": 1}, None], object),
        np.float32(0.25),
        np.str_("é"),
        {3, 4},
    ],
)
def test_arrays_and_numbers_keep_their_values(tmp_path, value):
    read = convert_original.read(_save(tmp_path, {"x": value}))["x"]
    expected = value.astype("U") if getattr(value, "dtype", np.dtype("O")).kind == "S" else value
    assert read == (expected.tolist() if isinstance(expected, np.ndarray | np.generic) else expected)


def test_without_the_flag_nothing_is_opened(tmp_path, capsys):
    path = _save(tmp_path, {"train": _side(), "test": _side()})
    assert convert_original.main([str(path)]) == 2
    assert "--allow_pickle" in capsys.readouterr().err
    assert not (tmp_path / "css.json").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda mark: _Evil(os.system, f"touch {mark}"),
        lambda mark: _Evil(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: _Evil(open, str(mark), "w"),
        lambda mark: {"labels": [_Evil(os.mkdir, str(mark))]},
        lambda mark: np.array([_Evil(os.mkdir, str(mark)), 1], object),
    ],
)
def test_malicious_pickle_is_refused_and_nothing_runs(tmp_path, capsys, make):
    mark = tmp_path / "ran"
    path = _save_pickle(tmp_path, pickle.dumps(np.array([{"train": make(mark)}, 0], object)[:1].reshape(())))
    assert convert_original.main(["--allow_pickle", str(path)]) == 2
    assert "not plain data" in capsys.readouterr().err
    assert not mark.exists()
    assert not (tmp_path / "css.json").exists()
    np.load(path, allow_pickle=True, encoding="latin1")  # the trap works where it is not refused
    assert mark.exists()


def test_numpy_functions_beyond_arrays_are_refused(tmp_path):
    for name in (b"numpy\nload", b"numpy\nfromfile", b"numpy.core.multiarray\nfromfile", b"numpy\nndarray.tofile"):
        payload = b"c" + name + b"\n(S'x'\ntR."
        with pytest.raises(ValueError, match="not plain data"):
            convert_original.read(_save_pickle(tmp_path, payload))


def test_array_of_an_odd_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="V8"):
        convert_original.read(_save(tmp_path, {"x": np.zeros(2, "V8")}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot convert"),
        (b"<html>", "cannot convert"),
        (None, "No such file"),
    ],
)
def test_file_of_another_kind_gives_one_line(tmp_path, capsys, content, message):
    path = tmp_path / original.NPY_NAME
    if content is not None:
        path.write_bytes(content)
    assert convert_original.main(["--allow_pickle", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_array_of_numbers_is_not_an_archive(tmp_path):
    np.save(tmp_path / "numbers.npy", np.arange(3))
    with pytest.raises(ValueError, match="array of numbers"):
        convert_original.read(tmp_path / "numbers.npy")


def test_cut_off_file_is_refused(tmp_path):
    path = _save(tmp_path, {"train": _side(), "test": _side()})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="nothing of it was run"):
        convert_original.read(path)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ({"mods": []}, "no 'objects_img'"),
        (_side(labels=["1"]), "3 images and 1 labels"),
        (_side(mods=[{"from": [0], "to": [], "to_str": ""}]), "1 references and 0 targets"),
        (_side(mods=[{"from": [3], "to": [0], "to_str": ""}]), "mod 0 of test points at an image"),
        (_side(mods=[{"from": [0], "to": [0]}]), "no 'to_str'"),
        (_side(mods=[{"from": None, "to": [0], "to_str": ""}]), "wrong type"),
        (_side(objects_img=[[OBJECTS[0] | {"color": "pink"}]] * 3), "unknown color 'pink'"),
        ([], "no 'objects_img'"),
    ],
)
def test_damaged_structure_is_named(tmp_path, side, message):
    with pytest.raises(ValueError, match=message):
        convert_original.convert(_save(tmp_path, {"train": _side(), "test": side}))
    assert not (tmp_path / "css.json").exists()
