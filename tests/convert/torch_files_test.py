"""PyTorch's files without PyTorch: numbers come out right, and nothing that a file names is ever called."""

import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from cir_tf.convert import torch_files
from cir_tf.errors import UserError
from tests.convert import torch_file
from tests.convert.torch_file import Raw, call, module, named, opcodes, storage, view
from tests.golden import S


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.pt"


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "int64", ml_dtypes.bfloat16])
def test_numbers_of_each_kind_come_out(path, kind):
    arrays = {"a": (9 * S((3, 4), 0.7, 0.2)).astype(kind), "empty": np.zeros([0, 2], kind), "one": np.array(3, kind)}
    got = torch_files.read(torch_file.save(path, arrays))
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        np.testing.assert_array_equal(np.asarray(got[name]), array)


def test_views_of_one_storage_keep_offset_and_strides(path):
    whole = S((3, 4), 0.7, 0.2).astype("f4")
    file = torch_file.File()
    file.storages["0"] = whole.tobytes()
    held = storage("0", "Float", 12)
    nest = {
        "transposed": view(held, (4, 3), (1, 4)),
        "part": view(held, (2, 2), (4, 2), 4),
        "last": view(held, (), (), 11),
        "parameter": call(named("torch._utils", "_rebuild_parameter"), view(held, (3, 4), (4, 1)), True, {}),
    }
    got = {name: np.asarray(each) for name, each in torch_files.read(file.write(path, nest)).items()}
    np.testing.assert_array_equal(got["transposed"], whole.T)
    np.testing.assert_array_equal(got["part"], whole[1:, ::2])
    np.testing.assert_array_equal(got["last"], whole[2, 3])
    np.testing.assert_array_equal(got["parameter"], whole)


def test_arrays_can_be_copied_and_cast(path):
    got = torch_files.read(torch_file.save(path, {"a": np.array([1.5, 2], "f2")}))["a"]
    copy = np.array(got, dtype="f8", copy=True)
    copy[0] = 7
    np.testing.assert_array_equal(np.asarray(got), [1.5, 2])


def test_what_training_leaves_beside_the_weights_is_passed_over(path):
    file = torch_file.File()
    options = Raw(named("argparse", "Namespace") + b")\x81" + opcodes({"lr": 1}) + b"b")
    best = call(named("numpy.core.multiarray", "scalar"), call(named("numpy", "dtype"), "f8", False, True), "12345678")
    nest = {
        "epoch": 3,
        "opt": options,
        "best": best,
        "kind": named("torch", "float16"),
        "net": file.state({"a": [2.0]}),
    }
    got = torch_files.read(file.write(path, nest))
    assert got["epoch"] == 3
    np.testing.assert_array_equal(np.asarray(got["net"]["a"]), [2])


def test_torchscript_modules_are_read_as_attributes(path):
    file = torch_file.File()
    conv = module({"weight": file.tensor(S((2, 3), 0.7, 0.2)), "training": False}, "Conv2d")
    got = torch_files.read(file.write(path, module({"conv": conv, "scale": file.tensor(np.array(2.0))}, "Net")))
    assert got.members["conv"].members["training"] is False
    np.testing.assert_array_equal(np.asarray(got.members["conv"].members["weight"]), S((2, 3), 0.7, 0.2))


REFUSED = {
    "os": named("os", "system"),
    "builtins": named("builtins", "eval"),
    "getattr": named("builtins", "getattr"),
    "own": named("cir_tf.convert.torch_files", "Tensor"),
    "dotted": Raw(opcodes("collections") + opcodes("OrderedDict.fromkeys") + b"\x93"),
    "dunder": Raw(opcodes("torch") + opcodes("Size.__init__.__globals__") + b"\x93"),
    "class": named("__main__", "Net"),
    "torch": named("torch", "load"),
    "hub": named("torch.hub", "load"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_names_beyond_the_list_are_refused(path, name):
    torch_file.File().write(path, {"a": REFUSED[name]})
    with pytest.raises(UserError, match=r"is refused, and nothing of it was run: it names .*save its state dict alone"):
        torch_files.read(path)


def test_a_malicious_pickle_is_not_run(path, tmp_path):
    marker = tmp_path / "ran"
    evil = torch_file.evil(marker)
    pickle.loads(b"\x80\x02" + evil + b".")
    assert marker.exists()  # it would work
    marker.unlink()
    file = torch_file.File()
    file.write(path, {**file.state({"a": [1.0]}), "b": evil})
    with pytest.raises(UserError, match=r"it names (posix|nt|os)\.system"):
        torch_files.read(path)
    assert not marker.exists()


def test_code_of_a_torchscript_archive_is_not_read(path, tmp_path):
    file = torch_file.File()
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')".encode()
    file.write(path, module({"a": file.tensor([1.0])}), **{"code/__torch__.py": code, "constants.pkl": code})
    np.testing.assert_array_equal(np.asarray(torch_files.read(path).members["a"]), [1])
    assert not marker.exists()


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((3, 4), (4, 1), 1),
        ((4,), (4,), 0),
        ((2,), (-1,), 1),
        ((1 << 40,), (0,), 0),
        ((-1,), (1,), 0),
        ((3,), (1, 1), 0),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(path, shape, strides, offset):
    file = torch_file.File()
    file.storages["0"] = bytes(48)
    file.write(path, {"a": view(storage("0", "Float", 12), shape, strides, offset)})
    with pytest.raises(UserError, match=r"is refused.*a tensor"):
        torch_files.read(path)


def test_a_tensor_cannot_be_changed_once_it_is_checked(path):
    file = torch_file.File()
    file.storages["0"] = bytes(48)
    held = storage("0", "Float", 12)
    for made in (view(held, (12,), (1,)), held):
        file.write(path, {"a": Raw(made + opcodes({"shape": (1 << 40,), "size": 1 << 40}) + b"b")})
        with pytest.raises(UserError, match="changed after it was made"):
            torch_files.read(path)


@pytest.mark.parametrize(
    "held",
    [
        storage("0", "Float", 13),
        storage("1", "Float", 1),
        storage("../data.pkl", "Float", 1),
        storage("0", "Float", -1),
        Raw(opcodes(("storage", "os", "0", "cpu", 1)) + b"Q"),
        Raw(opcodes(("module", 1)) + b"Q"),
    ],
    ids=range(6),
)
def test_a_storage_that_is_not_there_is_refused(path, held):
    file = torch_file.File()
    file.storages["0"] = bytes(48)
    file.write(path, {"a": view(held, (1,), (1,))})
    with pytest.raises(UserError, match=r"a storage that is not in the file, or shorter than it says"):
        torch_files.read(path)


def test_packed_members_are_refused(path):
    file = torch_file.File()
    file.write(path, file.state({"a": np.zeros(10_000_000)}), packing=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000  # a bomb: 80 MB out of it
    with pytest.raises(UserError, match="its members are compressed"):
        torch_files.read(path)


def test_members_that_share_their_place_are_refused(path):
    """A bomb without packing: many entries of the zip's list name the same bytes."""
    file = torch_file.File()
    file.write(path, file.state({"a": np.zeros(100_000)}))
    with zipfile.ZipFile(path, "a") as archive:
        info = archive.getinfo("archive/data/0")
        for i in range(1, 50):
            twin = zipfile.ZipInfo(f"archive/data/{i}")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(twin, field, getattr(info, field))
            archive.filelist.append(twin)
        archive._didModify = True
    with pytest.raises(UserError, match="claim to be larger than they are"):
        torch_files.read(path)


@pytest.mark.parametrize(
    "pickled",
    [b"", b"\x80\x02", b"garbage", b"\x80\x02" + b"(" * 50 + b".", b"\x80\x02h\x05."],
)
def test_a_broken_pickle_is_told_in_one_line(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with pytest.raises(UserError, match=r"is damaged|is refused") as caught:
        torch_files.read(path)
    assert "\n" not in str(caught.value)


def test_a_memo_far_larger_than_the_pickle_is_refused(path):
    """Python makes room for all entries below the number: 256 MiB for this one, without any limit for others."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}r\xff\xff\xff\x00.")
    with pytest.raises(UserError, match="a memo larger than the pickle"):
        torch_files.read(path)


def test_a_flipped_bit_is_noticed(path):
    data = bytearray(torch_file.save(path, {"a": np.full(1000, 7.0)}).read_bytes())
    data[data.index(np.full(9, 7.0).tobytes()) + 70] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged .*fetch it again"):
        np.asarray(torch_files.read(path)["a"])


def test_other_zips_are_told(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(UserError, match=r"it has no data\.pkl"):
        torch_files.read(path)
    torch_file.File().write(path, {}, byteorder=b"big")
    with pytest.raises(UserError, match="big-endian"):
        torch_files.read(path)
