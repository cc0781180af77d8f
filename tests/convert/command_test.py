"""`python -m cir_tf.convert`: files come out and load; bad input gives one line, exit code 2, and no file."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy

import cir_tf
from cir_tf import assemble, weights
from cir_tf.convert import __main__ as command
from cir_tf.convert import families, shapes
from cir_tf.errors import run_command
from tests.conftest import run_module
from tests.convert import torch_file, toy


@pytest.fixture(autouse=True)
def toy_families(monkeypatch):
    monkeypatch.setattr(families, "everything", lambda: toy.FAMILIES)


@pytest.fixture
def source(tmp_path):
    return torch_file.save(tmp_path / "source.pt", toy.state())


def run(capsys, *arguments):
    """(exit code, what it printed, what it printed as errors)."""
    with pytest.raises(SystemExit) as stopped:
        run_command(command.main, list(map(str, arguments)))
    return stopped.value.code, *capsys.readouterr()


def refused(capsys, folder, *arguments):
    """The one line that told the mistake."""
    before = sorted(folder.rglob("*"))
    code, _, line = run(capsys, *arguments, "--to", folder / "out")
    assert code == 2
    assert line.startswith("error: ") and line.count("\n") == 1, line
    assert sorted(folder.rglob("*")) == before
    return line


def note(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()[weights.NOTE])


def load(path):
    """An encoder made as the file says and loaded from it."""
    arguments = note(path)["variant"]
    more = {"assets": {"vocabulary.txt": "a\nb\nc\nd\n"}} if arguments["name"] == "text_lstm" else {}
    encoder = assemble.part("encoders", arguments, **more)
    encoder(np.zeros([1, 2], np.int32) if more else np.zeros([1, 16, 16, 3]))
    weights.load(encoder, path)
    return {name: variable.numpy() for name, variable in weights.named(encoder).items()}


def test_a_source_of_two_encoders_becomes_two_files(capsys, tmp_path, source):
    code, text, errors = run(capsys, source, "--to", tmp_path / "out")
    assert (code, errors) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "image_tiny.safetensors",
        "text_lstm.safetensors",
    ]
    state = toy.state()
    image, words = load(tmp_path / "out" / "image_tiny.safetensors"), load(tmp_path / "out" / "text_lstm.safetensors")
    np.testing.assert_array_equal(image["conv_1/kernel"], np.einsum("oihw->hwio", state["visual.conv1.weight"]))
    np.testing.assert_array_equal(image["norm_0/moving_variance"], state["visual.bn0.running_var"])
    np.testing.assert_array_equal(words["lstm/cell/state_gates/kernel"], state["text.lstm.weight_hh_l0"].T)
    for part in (
        "toy_image: a toy's image tower",
        "10 used, 8 known and unused, 10 written",
        "364, from float32",
        "conv_1/kernel [3, 3, 4, 6], conv_0/kernel [3, 3, 3, 4], ",
        f"image_encoder = {{'name': 'image_tiny', 'image_size': 16, 'widths': (4, 6), 'weights': '{tmp_path}",
        "7 used, 11 known and unused, 7 written",
        "text_encoder = {'name': 'text_lstm', 'width': 3, 'weights': ",
    ):
        assert part in text, part


def test_the_file_tells_where_it_is_from(capsys, tmp_path, source):
    path = tmp_path / "sub" / "tower.safetensors"
    assert run(capsys, source, "--to", path, "--family", "toy_image")[0] == 0
    assert note(path) == {
        "version": cir_tf.__version__,
        "family": "toy_image",
        "variant": {"name": "image_tiny", "image_size": 16, "widths": [4, 6]},
        "source": "source.pt",
    }
    before = path.read_bytes()
    assert run(capsys, source, "--to", path, "--family", "toy_image")[0] == 0
    assert path.read_bytes() == before


def test_half_precision_becomes_single(capsys, tmp_path):
    source = torch_file.save(tmp_path / "x.pt", toy.state(np.float16, "visual"))
    code, text, _ = run(capsys, source, "--to", tmp_path / "x.safetensors")
    assert code == 0 and "from float16" in text
    expected = toy.state(np.float16)["visual.conv0.weight"].astype("f4").transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(load(tmp_path / "x.safetensors")["conv_0/kernel"], expected)


def test_a_nested_state_and_parallel_names_are_found(capsys, tmp_path):
    file = torch_file.File()
    state = file.state({f"module.{name}": array for name, array in toy.state().items()})
    path = file.write(tmp_path / "x.pt", {"epoch": 3, "Net": state, "opt": {"state": file.state({"m": np.ones(2)})}})
    code, text, _ = run(capsys, path, "--to", tmp_path / "out")
    assert code == 0 and "a toy's image tower under Net" in text
    load(tmp_path / "out" / "image_tiny.safetensors")


def test_a_part_is_chosen_by_key_or_prefix(capsys, tmp_path):
    file = torch_file.File()
    averaged = {name: 2 * array for name, array in toy.state(part="text").items()}
    nest = {"model": file.state(toy.state(part="text")), "ema": {"old": file.state(averaged)}}
    path = file.write(tmp_path / "x.pt", nest)
    assert "toy_text fits model, ema.old: choose one with --part" in refused(capsys, tmp_path, path)
    assert run(capsys, path, "--to", tmp_path / "a.safetensors", "--part", "ema.old")[0] == 0
    np.testing.assert_array_equal(load(tmp_path / "a.safetensors")["dense/bias"], averaged["text.dense.bias"])
    assert "nothing in the source begins with none." in refused(capsys, tmp_path, path, "--part", "none")
    prefixed = {f"tower.{name}": array for name, array in toy.state(part="text").items()} | {"head": np.ones(3)}
    safetensors.numpy.save_file(prefixed, tmp_path / "y.safetensors")
    arguments = (tmp_path / "y.safetensors", "--part", "tower", "--to", tmp_path / "b.safetensors")
    assert run(capsys, *arguments)[0] == 0
    np.testing.assert_array_equal(load(tmp_path / "b.safetensors")["dense/bias"], toy.state()["text.dense.bias"])


def test_one_file_for_two_encoders_is_refused(capsys, tmp_path, source):
    code, _, line = run(capsys, source, "--to", tmp_path / "x.safetensors")
    assert code == 2 and "several parts (toy_image, toy_text): name a folder, or one with --family" in line
    assert sorted(tmp_path.iterdir()) == [source]


def test_families_that_want_the_same_tensors_are_listed(capsys, tmp_path, source, monkeypatch):
    twin = toy.IMAGE.__class__(**{**vars(toy.IMAGE), "name": "twin"})
    monkeypatch.setattr(families, "everything", lambda: toy.FAMILIES | {"twin": twin})
    line = refused(capsys, tmp_path, source)
    assert "toy_image, toy_text, twin all fit: choose with --family" in line or "toy_image, twin" in line


def test_the_wrong_family_is_told(capsys, tmp_path):
    source = torch_file.save(tmp_path / "x.pt", toy.state(part="text"))
    assert "the source is not of family toy_image; it has text." in refused(
        capsys, tmp_path, source, "--family", "toy_image"
    )
    assert "there is no family 'clap'; there are toy_image, toy_text" in refused(
        capsys, tmp_path, source, "--family", "clap"
    )
    torch_file.save(source, {"x": np.ones(2)})
    assert "no family fits the source (--list shows them); it has x" in refused(capsys, tmp_path, source)


def test_a_missing_an_extra_and_a_misshapen_tensor_are_told(capsys, tmp_path):
    path = tmp_path / "x.pt"
    for change, message in (
        ({"text.dense.bias": None}, "the source, of family toy_text, lacks dense/bias"),
        ({"visual.bn1.bias": None}, "the source, of family toy_image, lacks norm_1/beta"),
        ({"text.extra": np.ones(2)}, "not known to family toy_text: text.extra"),
        ({"more": np.ones(2)}, "not known to family toy_"),
        ({"text.dense.bias": np.ones(4)}, "dense/bias is [4], not [3]"),
        ({"text.dense.weight": np.ones([3, 3, 1])}, "text.dense.weight [3, 3, 1] cannot become dense/kernel"),
        ({"visual.bn1.bias": np.full(6, np.nan)}, "visual.bn1.bias holds values that are not finite"),
    ):
        state = {name: array for name, array in (toy.state() | change).items() if array is not None}
        torch_file.save(path, state)
        assert message in refused(capsys, tmp_path, path)


def test_broken_and_foreign_files_are_told(capsys, tmp_path, source):
    path, whole = tmp_path / "x.pt", source.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], "is damaged or cut off"),
        (b"<html>404</html>", "it is a web page; the download went wrong"),
        (pickle.dumps({"a": 1}), "before 1.6"),
        (b"", "it is empty"),
    ):
        path.write_bytes(content)
        assert message in refused(capsys, tmp_path, path)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "the folder" in refused(capsys, tmp_path, folder)
    assert "there is no file or folder" in refused(capsys, tmp_path, tmp_path / "absent")


def test_a_malicious_file_is_refused_and_not_run(capsys, tmp_path):
    marker = tmp_path / "ran"
    file = torch_file.File()
    path = file.write(tmp_path / "x.pt", {**file.state(toy.state()), "hook": torch_file.evil(marker)})
    assert "is refused, and nothing of it was run: it names posix.system" in refused(capsys, tmp_path, path)
    pickled = torch_file.opcodes({}) + torch_file.evil(marker) + b"0."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + pickled)
    assert "it names posix.system" in refused(capsys, tmp_path, path)


def test_a_bomb_is_refused(capsys, tmp_path):
    file = torch_file.File()
    state = toy.state() | {"text.words.weight": np.zeros([1_000_000, 3], np.float32)}
    path = file.write(tmp_path / "x.pt", file.state(state), packing=zipfile.ZIP_DEFLATED)
    assert "its members are compressed" in refused(capsys, tmp_path, path)


def test_a_file_that_is_there_stays_when_the_source_is_bad(capsys, tmp_path, source):
    target = tmp_path / "x.safetensors"
    target.write_bytes(b"mine")
    state = toy.state(part="visual")
    del state["visual.bn1.bias"]
    assert run(capsys, torch_file.save(source, state), "--to", target)[0] == 2
    assert target.read_bytes() == b"mine"


def test_nothing_is_written_unless_all_encoders_are_well(capsys, tmp_path):
    state = toy.state()
    del state["text.dense.bias"]  # the image tower is whole
    refused(capsys, tmp_path, torch_file.save(tmp_path / "x.pt", state))


def test_an_encoder_takes_no_memory_to_be_checked():
    """A table of 4 TB: none of it is made."""
    sizes = {"name": "image_tiny", "image_size": 16, "widths": (1_000_000, 100_000)}
    assert shapes.wanted("encoders", sizes)["conv_1/kernel"] == (3, 3, 1_000_000, 100_000)


def test_families_are_listed(capsys):
    code, text, _ = run(capsys, "--list")
    assert code == 0
    assert text.splitlines() == [
        "toy_image               a toy's image tower",
        "toy_text                a toy's text tower",
    ]
    assert run(capsys)[0] == 2


def test_the_command_runs_as_a_module(tmp_path):
    (tmp_path / "x.pt").write_text("<html>")
    done = run_module("cir_tf.convert", tmp_path / "x.pt", "--to", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ") and "it is a web page" in done.stderr
