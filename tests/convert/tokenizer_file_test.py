"""Published weights with their own tokenizer, from the file to the trained run; and without it, refused."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from cir_tf import assemble, weights
from cir_tf import config as configs
from cir_tf.convert import __main__ as command
from cir_tf.encoders.text_bert import TextBert
from cir_tf.encoders.text_clip import TextCLIP
from cir_tf.encoders.text_gru import TextGRU
from cir_tf.encoders.text_lstm import TextLSTM
from cir_tf.errors import UserError
from tests.conftest import run_module
from tests.encoders import clip_states as states
from tests.golden import FILL

MERGES = "r e\nre d</w>\n"
SHAPES = states.vit(128, 4, 2, 2, 5) | states.text(128, 516, 20, 2, 5)
CONFIG = """
from cir_tf.config import base


def get_config(arg=None):
    return base(
        dataset="css",
        subset="css3d_tiny",
        evals=("css3d_tiny_test",),
        batch_size=8,
        total_steps=2,
        width=5,
        image_encoder={image_encoder},
        text_encoder={text_encoder},
        compositor={{"name": "concat"}},
        tokenizer_file={tokenizer_file!r},
    )
"""


def towers(folder):
    """{"image_encoder": a config's group, "text_encoder": …} of a small CLIP that was converted."""
    archive = {name: np.asarray(array, "float16") for name, array in FILL(SHAPES).items()}
    safetensors.numpy.save_file(archive, folder / "clip.safetensors")
    assert command.main([str(folder / "clip.safetensors"), "--to", str(folder)]) == 0
    found = {}
    for key, name in (("image_encoder", "image_clip_vit"), ("text_encoder", "text_clip")):
        path = folder / f"{name}.safetensors"
        with safetensors.safe_open(path, framework="numpy") as file:
            found[key] = json.loads(file.metadata()[weights.NOTE])["variant"] | {"weights": str(path)}
    return found


def test_a_run_with_published_merges(tmp_path, data_dir):
    """Trained, evaluated and exported; the tokenizer's file is needed once only."""
    merges = tmp_path / "merges.txt"
    merges.write_text(f"#version: 0.2\n{MERGES}")
    (tmp_path / "clip.py").write_text(CONFIG.format(**towers(tmp_path), tokenizer_file=str(merges)))
    workdir = tmp_path / "run"
    done = run_module("cir_tf.train", f"--config={tmp_path}/clip.py", f"--workdir={workdir}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert "css3d_tiny_test" in (workdir / "results.json").read_text()
    for path in (merges, *tmp_path.glob("*.safetensors")):
        path.unlink()
    _, model = assemble.trained(workdir)
    # Bytes from "!" on count from 0, at the end of a word from 256; merges from 512, then start and end of the text.
    ids_BL = [[514, 513, 67, 512, 82, 338, 515], [514, 512, 321, 515, -1, -1, -1]]
    np.testing.assert_array_equal(model.text_encoder.tokenizer.tokenize(["Red dress", "reb"]), ids_BL)
    exported = tf.saved_model.load(str(workdir / "export"))
    np.testing.assert_array_equal(exported.count_known_words(["Red dress", "reb"]), [7, 4])


def test_a_tower_with_another_tokenizer_is_refused(tmp_path):
    parts = towers(tmp_path)
    line = r"vocabulary=516, a tokenizer of 514 ids\. Name the merges that came with the weights: tokenizer_file"
    config = configs.base(width=5, compositor={"name": "concat"}, **parts)
    with pytest.raises(UserError, match=line):
        assemble.make_assets(config, ["red"])
    with pytest.raises(UserError, match=line):
        assemble.retriever(config, {"merges.txt": ""})
    del parts["text_encoder"]["vocabulary"]
    config = configs.base(width=5, compositor={"name": "concat"}, **parts)
    with pytest.raises(UserError, match=r"is \[516, 128\], not \[514, 128\]\. .* tokenizer_file='' name what came"):
        assemble.retriever(config, {"merges.txt": ""})


def test_the_converter_names_the_key(tmp_path, capsys):
    towers(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    (place,) = [i for i, line in enumerate(lines) if "tokenizer_file = the merges that came with it" in line]
    assert "in a config text_encoder = {'name': 'text_clip', 'vocabulary': 516" in lines[place - 1]


def test_each_encoder_reads_its_own_files(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "*", "red", "##s"]
    for file, content in (
        ("vocab.txt", "\n".join([*pieces, ""])),
        ("vocabulary.txt", "dress\nred\n"),
        ("counted.txt", "dress\t1\nred\n"),
        ("merges.txt", MERGES),
        ("broken.txt", "red"),
    ):
        (tmp_path / file).write_text(content)
    (tmp_path / "text.bin").write_bytes(b"\xff\xfe\x00")
    bert = TextBert(TextBert.read_assets(tmp_path), width=8, heads=2, layers=1, mlp_width=6)
    np.testing.assert_array_equal(bert.tokenizer.tokenize(["reds"]), [[2, 5, 6, 3]])
    lstm = TextLSTM(TextLSTM.read_assets(tmp_path), width=4)
    np.testing.assert_array_equal(lstm.tokenizer.tokenize(["red dress blue"]), [[2, 1, 0]])
    gru = TextGRU(TextGRU.read_assets(tmp_path / "counted.txt"), width=4, unknown_singles=True)
    assert gru.tokenizer.vocabulary == ("dress", "red")
    np.testing.assert_array_equal(gru._is_single_V, [False, True, False])
    assert TextCLIP.read_assets(tmp_path) == {"merges.txt": MERGES}
    for kind, name in ((TextBert, "none.txt"), (TextLSTM, "text.bin"), (TextGRU, "sub/none"), (TextCLIP, "none.txt")):
        with pytest.raises(UserError, match=r"cannot read the (tokenizer's file|merges)") as caught:
            kind.read_assets(tmp_path / name)
        assert "\n" not in str(caught.value)
    config = configs.base(text_encoder={"name": "text_bert"}, tokenizer_file=str(tmp_path / "broken.txt"))
    with pytest.raises(UserError, match=r"without \[PAD\]"):
        assemble.make_assets(config, ["red"])


def test_without_the_key_the_training_texts_make_the_tokenizer():
    assert assemble.make_assets(configs.base(), ["red dress", "blue"]) == {"vocabulary.txt": "blue\ndress\nred\n"}
