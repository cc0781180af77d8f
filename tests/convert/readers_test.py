"""Which kind of file a source is, and what it nests."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from cir_tf.convert import readers
from cir_tf.errors import UserError
from tests.convert import torch_file
from tests.convert.torch_file import module
from tests.golden import S


def read(path):
    return {
        key: {name: np.asarray(array) for name, array in state.items()} for key, state in readers.read(path).items()
    }


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


ARRAYS = {"a.weight": S((3, 4), 0.7, 0.2).astype("f4"), "a.bias": S((3,), 0.3, 0.2).astype("f2"), "n": np.array(7)}


def safetensors_by_hand(path, entries, data):
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def test_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(ARRAYS, path, {"format": "pt"})
    assert_same(read(path)[""], ARRAYS)


def test_safetensors_in_bfloat16(tmp_path):
    array = S((2, 3), 0.7, 0.2).astype(ml_dtypes.bfloat16)
    entries = {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
    path = safetensors_by_hand(tmp_path / "x.safetensors", entries, array.tobytes())
    assert_same(read(path)[""], {"a": array})


def test_safetensors_of_a_strange_kind(tmp_path):
    entries = {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    with pytest.raises(UserError, match=r"a in .* is of kind F8_E4M3, which is not read"):
        read(safetensors_by_hand(tmp_path / "x.safetensors", entries, b"12"))


def test_a_hugging_face_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds none of model\.safetensors, pytorch_model\.bin"):
        read(tmp_path)
    torch_file.save(tmp_path / "pytorch_model.bin", {"old": np.ones(2)})
    assert read(tmp_path)[""].keys() == {"old"}
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors")
    assert_same(read(tmp_path)[""], ARRAYS)


def test_a_folder_of_shards(tmp_path):
    names = dict.fromkeys(ARRAYS, "model-1.safetensors") | {"n": "model-2.safetensors"}
    for file in set(names.values()):
        part = {name: array for name, array in ARRAYS.items() if names[name] == file}
        safetensors.numpy.save_file(part, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert_same(read(tmp_path)[""], ARRAYS)
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model-2.safetensors")
    with pytest.raises(UserError, match="is in several shards"):
        read(tmp_path)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(UserError, match=r"names the shard model-2\.safetensors, which is not in"):
        read(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(UserError, match=r"names the shard \.\./\.\./etc/passwd"):
        read(tmp_path)
    index.write_text("[]")
    with pytest.raises(UserError, match="is no index of shards"):
        read(tmp_path)


def test_pytorch_states_at_the_top_and_nested(tmp_path):
    assert_same(read(torch_file.save(tmp_path / "a.pt", ARRAYS))[""], ARRAYS)
    file = torch_file.File()
    nest = {"epoch": 3, "CLIP": file.state(ARRAYS), "optimizer": {"state": {0: file.state({"step": np.ones(2)})}}}
    got = read(file.write(tmp_path / "b.pt", nest))
    assert got.keys() == {"CLIP", "optimizer.state.0"}
    assert_same(got["CLIP"], ARRAYS)


def test_a_dictionary_that_holds_itself_is_read_once(tmp_path):
    file = torch_file.File()
    inner = torch_file.opcodes(file.state({"a": np.ones(2)}))
    loop = torch_file.Raw(inner[:-1] + b"uq\x07(" + torch_file.opcodes("self") + b"h\x07u")
    assert read(file.write(tmp_path / "x.pt", loop)).keys() == {""}


def test_torchscript_names_are_those_of_a_state_dict(tmp_path):
    file = torch_file.File()
    block = module({"0": module({"weight": file.tensor(ARRAYS["a.weight"])}), "training": True}, "Sequential")
    path = file.write(tmp_path / "x.pt", module({"visual": block, "scale": file.tensor(np.array(2.0))}, "Net"))
    assert_same(read(path)[""], {"scale": np.array(2.0), "visual.0.weight": ARRAYS["a.weight"]})
    shared = torch_file.Raw(module({"w": file.tensor(np.ones(1))}) + b"q\x09")
    loop = file.write(tmp_path / "y.pt", module({"a": shared, "b": torch_file.Raw(b"h\x09")}))
    with pytest.raises(UserError, match="held twice"):
        read(loop)


@pytest.mark.parametrize("version", [1, 2])
def test_tensorflow_checkpoints(tmp_path, version):
    arrays = {name: array.astype("f4") for name, array in ARRAYS.items()}  # the old format has no half precision
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, array in arrays.items():
            tf.compat.v1.get_variable(name, initializer=array)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=version)
        path = saver.save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    assert_same(read(path)[""], arrays)
    for file in tmp_path.glob("model.ckpt*"):
        content = bytearray(file.read_bytes())
        content[len(content) // 4] ^= 1
        file.write_bytes(content)
    with pytest.raises(UserError, match="no checkpoint of TensorFlow, or cut off") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "it is a web page; the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", r"before 1\.6; save it anew .*weights_only=True"),
        (b"plain text of some length", "neither safetensors, nor a zip"),
        (b"\xff" * 8 + b"{" * 20, "no safetensors file, or cut off"),
        (b"\x10" + b"\0" * 7 + b'{"a": 1}        ', "no safetensors file, or cut off"),
        (b"PK\3\4 and then nothing", "is damaged or cut off"),
    ],
)
def test_other_files_are_told_in_one_line(tmp_path, content, message):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="there is no file or folder"):
        read(tmp_path / "absent.pt")
