"""TIRG's checkpoints through the command: three weights files, and a retriever of a config that starts from them."""

import numpy as np
import pytest
from keras import ops

from cir_tf import assemble, weights
from cir_tf import config as configs
from cir_tf.convert import __main__ as command
from cir_tf.convert import families
from cir_tf.errors import run_command
from tests.convert import torch_file
from tests.golden import FILL

D, STEM, WORDS = 4, 3, ("black", "blue", "dress", "mini", "red")
IDS_BL = np.array([[5, 3, -1], [1, 4, 3], [2, 0, -1]], "int32")


def norm(name, width):
    return {f"{name}.{member}": (width,) for member in ("weight", "bias", "running_mean", "running_var")}


def dense(name, before, after):
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def conv(name, before, after):
    return {f"{name}.weight": (after, before, 3, 3), f"{name}.bias": (after,)}


def towers():
    """{name: shape} of what all models of the released code have."""
    shapes = {"img_model.conv1.weight": (STEM, 3, 7, 7), **norm("img_model.bn1", STEM)}
    before = STEM
    for stage, width in enumerate((STEM, 2 * STEM, 4 * STEM, 8 * STEM), 1):
        block = f"img_model.layer{stage}.0."
        shapes |= {f"{block}conv1.weight": (width, before, 3, 3), f"{block}conv2.weight": (width, width, 3, 3)}
        shapes |= norm(f"{block}bn1", width) | norm(f"{block}bn2", width)
        if width != before:
            shapes |= {f"{block}downsample.0.weight": (width, before, 1, 1), **norm(f"{block}downsample.1", width)}
        before = width
    lstm = {"weight_ih_l0": (4 * D, D), "weight_hh_l0": (4 * D, D), "bias_ih_l0": (4 * D,), "bias_hh_l0": (4 * D,)}
    return {
        **shapes,
        **dense("img_model.fc.0", before, D),
        "text_model.embedding_layer.weight": (1 + len(WORDS), D),
        **{f"text_model.lstm.{name}": shape for name, shape in lstm.items()},
        **dense("text_model.fc_output.1", D, D),
        "normalization_layer.norm_s": (1,),
    }


def map_branch(name):
    channels, wide = 8 * STEM, 8 * STEM + D
    return norm(f"{name}.0", wide) | conv(f"{name}.1", wide, wide) | conv(f"{name}.3", wide, channels)


COMPOSITORS = {
    "tirg": {
        "a": (4,),
        **norm("gated_feature_composer.1", 2 * D),
        **dense("gated_feature_composer.3", 2 * D, D),
        **norm("res_info_composer.1", 2 * D),
        **dense("res_info_composer.3", 2 * D, 2 * D),
        **dense("res_info_composer.5", 2 * D, D),
    },
    "tirg_lastconv": {"a": (4,), **map_branch("mod2d"), **map_branch("mod2d_gate")},
    "concat": {
        **norm("composer.m.0", 2 * D),
        **dense("composer.m.2", 2 * D, 2 * D),
        **norm("composer.m.3", 2 * D),
        **dense("composer.m.6", 2 * D, D),
    },
    "image_only": {},
}


def state(name):
    shapes = towers() | COMPOSITORS[name]
    counts = [each.replace("running_mean", "num_batches_tracked") for each in shapes if each.endswith("running_mean")]
    arrays = {each: array.astype("float32") for each, array in FILL(shapes).items()}
    return arrays | {each: np.array(7) for each in counts}


def save(path, arrays):
    """As `main.py` saves it: beside the step and the options."""
    file = torch_file.File()
    return file.write(path, {"it": 3, "opt": None, "model_state_dict": file.state(arrays)})


def convert(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        run_command(command.main, list(map(str, arguments)))
    return stopped.value.code, *capsys.readouterr()


def started(folder, name):
    """The retriever of a config that names the three files."""
    files = {key: str(folder / f"{key}.safetensors") for key in ("image_resnet", "text_lstm", f"compositor_{name}")}
    config = configs.base(
        width=D,
        image_encoder={
            "name": "image_resnet",
            "image_size": 64,
            "stem_width": STEM,
            "blocks": (1, 1, 1, 1),
            "weights": files["image_resnet"],
        },
        text_encoder={"name": "text_lstm", "width": D, "weights": files["text_lstm"]},
        compositor={"name": name, "weights": files[f"compositor_{name}"]},
    )
    return assemble.retriever(config, {"vocabulary.txt": "\n".join(WORDS)})


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def batch_norm(x, arrays, name):
    scale = arrays[f"{name}.weight"] / np.sqrt(arrays[f"{name}.running_var"] + 1e-5)
    return (x - arrays[f"{name}.running_mean"]) * scale + arrays[f"{name}.bias"]


def linear(x, arrays, name):
    return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def expected_text(arrays):
    """The text vectors in NumPy, in PyTorch's arrangement (specification, section 2.2)."""
    found = []
    lstm = {name: arrays[f"text_model.lstm.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    for ids in IDS_BL:
        h, c = np.zeros(D), np.zeros(D)
        for word in arrays["text_model.embedding_layer.weight"][ids[ids >= 0]]:
            gates = lstm["weight_ih"] @ word + lstm["bias_ih"] + lstm["weight_hh"] @ h + lstm["bias_hh"]
            i, f, g, o = np.split(gates, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return linear(np.array(found), arrays, "text_model.fc_output.1")


def expected_query(name, arrays, pooled_BE, text_BD):
    """The composed vectors in NumPy (specification, section 3.1)."""
    image_BD = linear(pooled_BE, arrays, "img_model.fc.0")
    u = np.concatenate([image_BD, text_BD], axis=1)
    if name == "image_only":
        return image_BD
    if name == "concat":
        hidden = linear(relu(batch_norm(u, arrays, "composer.m.0")), arrays, "composer.m.2")
        return linear(relu(batch_norm(hidden, arrays, "composer.m.3")), arrays, "composer.m.6")
    gate = linear(relu(batch_norm(u, arrays, "gated_feature_composer.1")), arrays, "gated_feature_composer.3")
    hidden = linear(relu(batch_norm(u, arrays, "res_info_composer.1")), arrays, "res_info_composer.3")
    residual = linear(relu(hidden), arrays, "res_info_composer.5")
    return arrays["a"][0] * sigmoid(gate) * image_BD + arrays["a"][1] * residual


@pytest.mark.parametrize("name", ["tirg", "concat", "image_only"])
def test_a_checkpoint_becomes_a_retriever(tmp_path, capsys, name):
    arrays = state(name)
    code, text, errors = convert(capsys, save(tmp_path / "latest_checkpoint.pth", arrays), "--to", tmp_path / "out")
    assert (code, errors) == (0, "")
    files = [f"{each}.safetensors" for each in (f"compositor_{name}", "image_resnet", "text_lstm")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files
    assert f"compositor = {{'name': '{name}', 'weights': '{tmp_path}/out/compositor_{name}.safetensors'}}" in text
    assert "width = 4" in text and "tokenizer_file = its words in the order of their ids" in text
    model = started(tmp_path / "out", name)
    image = np.random.default_rng(1).uniform(0, 255, (3, 64, 64, 3)).astype("float32")
    pooled_BE = model.image_encoder(image).pooled_BE.numpy()
    text_BD = expected_text(arrays)
    np.testing.assert_allclose(model.text_encoder(IDS_BL).pooled_BE, text_BD, atol=1e-5)
    expected = expected_query(name, arrays, pooled_BE, text_BD)
    np.testing.assert_allclose(model.encode_query(image, IDS_BL)["main"], expected, atol=1e-5)
    target = linear(pooled_BE, arrays, "img_model.fc.0")
    np.testing.assert_allclose(model.encode_target(image)["main"], target, atol=1e-5)


def test_the_branches_of_the_last_map_are_not_mixed_up(tmp_path, capsys):
    arrays = state("tirg_lastconv")
    assert convert(capsys, save(tmp_path / "x.pth", arrays), "--to", tmp_path)[0] == 0
    found = weights.named(started(tmp_path, "tirg_lastconv").compositor)
    for ours, theirs in (("gate", "mod2d_gate"), ("residual", "mod2d")):
        for layer, place in (("conv_1", 1), ("conv_2", 3)):
            kernel = np.einsum("oihw->hwio", arrays[f"{theirs}.{place}.weight"])
            np.testing.assert_array_equal(found[f"{ours}/{layer}/kernel"], kernel)
            np.testing.assert_array_equal(found[f"{ours}/{layer}/bias"], arrays[f"{theirs}.{place}.bias"])
        np.testing.assert_array_equal(found[f"{ours}/norm/moving_variance"], arrays[f"{theirs}.0.running_var"])
    np.testing.assert_array_equal(found["mix"], arrays["a"][:2])
    np.testing.assert_array_equal(found["image_dense/kernel"], arrays["img_model.fc.0.weight"].T)


@pytest.mark.parametrize("name", COMPOSITORS)
def test_a_checkpoint_is_of_its_own_families_only(name):
    found = {family.name for family in families.everything().values() if family.fits(state(name))}
    assert found == {"tirg_image", "tirg_text", name if name.startswith("tirg") else f"tirg_{name}"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"res_info_composer.5.bias": None}, "of family tirg, lacks residual_2/bias"),
        ({"res_info_composer.4.bias": np.ones(2)}, "not known to family tirg: res_info_composer.4.bias"),
        ({"img_model.fc.1.bias": np.ones(2)}, "not known to family tirg: img_model.fc.1.bias"),
        ({"text_model.lstm.weight_ih_l1": np.ones(2)}, "not known to family tirg_text: text_model.lstm.weight_ih_l1"),
        ({"img_model.layer5": np.ones(2)}, "not known to family tirg_image: img_model.layer5"),
        ({"head.weight": np.ones(2)}, "not known to family tirg_image: head.weight"),
        ({"gated_feature_composer.3.bias": np.ones(5)}, "gate/bias is [5], not [4]"),
        ({"a": np.ones(2)}, "a [2] cannot become mix of family tirg: it must have 4 numbers"),
    ],
)
def test_nothing_is_written_of_a_checkpoint_that_differs(tmp_path, capsys, change, message):
    arrays = {each: array for each, array in (state("tirg") | change).items() if array is not None}
    source = save(tmp_path / "x.pth", arrays)
    code, _, line = convert(capsys, source, "--to", tmp_path / "out")
    assert code == 2 and message in line and line.count("\n") == 1, line
    assert list(tmp_path.iterdir()) == [source]


def test_a_tower_of_another_vocabulary_names_the_key(tmp_path, capsys):
    assert convert(capsys, save(tmp_path / "x.pth", state("tirg")), "--to", tmp_path)[0] == 0
    config = configs.base(
        width=D,
        image_encoder={"name": "image_tiny", "image_size": 16, "widths": (4,)},
        text_encoder={"name": "text_lstm", "width": D, "weights": str(tmp_path / "text_lstm.safetensors")},
    )
    with pytest.raises(assemble.UserError, match=r"embeddings is \[6, 4\], not \[3, 4\]\. .* tokenizer_file='' name"):
        assemble.retriever(config, {"vocabulary.txt": "black\nred"})
    assert ops.shape(
        assemble.retriever(config, {"vocabulary.txt": "\n".join(WORDS)}).text_encoder.embedding.embeddings
    ) == (6, D)
