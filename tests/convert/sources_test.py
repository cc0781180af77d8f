"""Several sources become one, and what a folder's `config.json` says beside its tensors."""

import json

import numpy as np
import pytest
import safetensors.numpy

from cir_tf import assemble, weights
from cir_tf.convert import __main__ as command
from cir_tf.convert import families, sources
from cir_tf.encoders.image_clip_vit import ImageCLIPViT
from cir_tf.errors import UserError
from tests.convert import torch_file, toy
from tests.golden import FILL
from tests.lavis import heads, linear, norm, qformer, vit_l

CLIP_TOWER = {"width": 64, "layers": 2, "mlp_width": 96, "patch": 4, "image_size": 8}
TINY = {"width": 64, "layers": 2, "mlp_width": 16, "image_width": 64, "queries": 3, "words": 11, "positions": 12}


def test_later_sources_fill_what_earlier_ones_lack(tmp_path):
    file = torch_file.File()
    first = file.write(tmp_path / "a.pth", {"model": file.state({"x": np.array([1.0, 2.0]), "y": np.ones(2)})})
    second = torch_file.save(tmp_path / "b.pth", {"module.x": np.array([1.0, 3.0]), "module.z": np.full(2, 5.0)})
    third = torch_file.save(tmp_path / "c.pth", {"y": np.ones(2), "z": np.full(3, 5.0)})
    states, differing = sources.read([first, second, third])
    assert {name: np.asarray(array).tolist() for name, array in states[""].items()} == {
        "x": [1, 2],
        "y": [1, 1],
        "z": [5, 5],
    }
    assert differing == {"x": "b.pth", "z": "c.pth"}
    states, differing = sources.read([first])
    assert states.keys() == {"model"} and differing == {}


def test_a_part_is_cut_from_the_sources_that_have_it(tmp_path):
    file = torch_file.File()
    nest = {"model": file.state({"x": np.ones(2)}), "optimizer": file.state({"x": np.zeros(2)})}
    first = file.write(tmp_path / "a.pth", nest)
    second = torch_file.save(tmp_path / "b.pth", {"y": np.ones(3)})
    with pytest.raises(UserError, match=r"a\.pth holds model, optimizer: choose one with --part"):
        sources.read([first, second])
    states, _ = sources.read([first, second], "model")
    assert states[""].keys() == {"x", "y"} and np.asarray(states[""]["x"]).all()
    with pytest.raises(UserError, match=r"nothing in the source begins with ema\.; it has model\.x"):
        sources.read([first, second], "ema")


def test_the_report_tells_whose_values_were_not_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(families, "everything", lambda: toy.FAMILIES)
    image, text = toy.state(part="visual"), toy.state(part="text")
    other = {"visual.bn1.bias": np.zeros(6, "float32"), "visual.bn0.bias": image["visual.bn0.bias"]}
    first = torch_file.save(tmp_path / "a.pth", image)
    second = torch_file.save(tmp_path / "b.pth", text | other)
    assert command.main([str(first), str(second), "--to", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "other values, not taken: visual.bn1.bias of b.pth\n" in printed
    with safetensors.safe_open(tmp_path / "out" / "image_tiny.safetensors", framework="numpy") as made:
        np.testing.assert_array_equal(made.get_tensor("norm_1/beta"), image["visual.bn1.bias"])
        assert json.loads(made.metadata()[weights.NOTE])["source"] == "a.pth, b.pth"
    assert (tmp_path / "out" / "text_lstm.safetensors").is_file()


def lavis_and_clip(folder):
    """(LAVIS's file without its vision tower, OpenAI's CLIP with it), and both states."""
    lavis = FILL(qformer(**TINY) | heads(64, 4) | norm("ln_vision", 64))
    tower = vit_l(**CLIP_TOWER, start="visual.")
    rest = {"visual.proj": (64, 5), **norm("visual.ln_post", 64), "text_projection": (8, 5), "logit_scale": ()}
    rest |= {"token_embedding.weight": (9, 8), **norm("ln_final", 8), **linear("transformer.x", 8, 8)}
    clip = FILL(tower | rest)
    lavis, clip = ({name: array.astype("float32") for name, array in each.items()} for each in (lavis, clip))
    file = torch_file.File()
    return (
        file.write(folder / "blip2.pth", {"model": file.state(lavis)}),
        torch_file.save(folder / "ViT-L-14.pth", clip),
        lavis | clip,
    )


def test_blip2_takes_its_vision_tower_from_clips_file(tmp_path):
    first, second, both = lavis_and_clip(tmp_path)
    arguments = [str(first), str(second), "--to", str(tmp_path / "out")]
    with pytest.raises(UserError, match="blip2_image, blip2_text, blip2_vit all fit: choose with --family"):
        command.main(arguments)
    assert command.main([*arguments, "--family", "blip2_image,blip2_text"]) == 0
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["image_blip2", "text_bert"]
    family = families.everything()["blip2_image"]
    encoder = assemble.part("encoders", family.part(both))
    encoder(np.zeros((1, 8, 8, 3)))
    weights.load(encoder, tmp_path / "out" / "image_blip2.safetensors")
    found = weights.named(encoder)
    np.testing.assert_array_equal(found["tower/class_token"], both["visual.class_embedding"])
    np.testing.assert_array_equal(found["tower/norm_out/gamma"], both["ln_vision.weight"])
    np.testing.assert_array_equal(found["qformer/queries"], both["query_tokens"][0])


def test_a_family_that_is_named_must_fit(tmp_path, capsys):
    first, _, _ = lavis_and_clip(tmp_path)
    with pytest.raises(UserError, match="the source is not of family blip2_image; it has"):
        command.main([str(first), "--to", str(tmp_path / "out"), "--family", "blip2_image,blip2_text"])
    with pytest.raises(UserError, match="there is no family 'clap'"):
        command.main([str(first), "--to", str(tmp_path / "out"), "--family", "blip2_text,clap"])


def transformers_folder(folder, config=None):
    """A Hugging Face folder with the smallest vision tower of CLIP."""
    tower = "vision_model."
    shapes = {
        f"{tower}embeddings.class_embedding": (64,),
        f"{tower}embeddings.patch_embedding.weight": (64, 3, 4, 4),
        f"{tower}embeddings.position_embedding.weight": (5, 64),
        **norm(f"{tower}pre_layrnorm", 64),
        **norm(f"{tower}post_layernorm", 64),
        "visual_projection.weight": (5, 64),
    }
    layer = f"{tower}encoder.layers.0."
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes |= linear(f"{layer}self_attn.{name}", 64, 64)
    shapes |= norm(f"{layer}layer_norm1", 64) | norm(f"{layer}layer_norm2", 64)
    shapes |= linear(f"{layer}mlp.fc1", 256, 64) | linear(f"{layer}mlp.fc2", 64, 256)
    folder.mkdir()
    arrays = {name: array.astype("float32") for name, array in FILL(shapes).items()}
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(config)
    return folder


LAION = (
    '{"vision_config": {"hidden_act": "gelu", "num_attention_heads": 2}, "text_config": {"hidden_act": "quick_gelu"}}'
)


@pytest.mark.parametrize(
    ("config", "expected", "assumed"),
    [
        (LAION, "'heads': 2, 'layers': 1, 'width': 5, 'activation': 'gelu', ", False),
        ('{"vision_config": {}}', "'heads': 1, 'layers': 1, 'width': 5, 'activation': 'quick_gelu', ", False),
        (None, "'heads': 1, 'layers': 1, 'width': 5, 'weights': ", True),
    ],
)
def test_a_folders_config_tells_the_activation_and_the_heads(tmp_path, capsys, config, expected, assumed):
    folder = transformers_folder(tmp_path / "clip", config)
    assert command.main([str(folder), "--to", str(tmp_path / "x.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert expected in printed
    assert ("assumed     quick_gelu and heads of width 64" in printed) == assumed


@pytest.mark.parametrize("source", ["file", "broken", "strange"])
def test_what_is_not_told_is_said_and_what_is_wrong_refused(tmp_path, capsys, source):
    config = {"file": LAION, "broken": "{", "strange": LAION.replace('"gelu"', '"gelu_new"')}[source]
    folder = transformers_folder(tmp_path / "clip", config)
    target = tmp_path / "x.safetensors"
    if source == "file":
        assert command.main([str(folder / "model.safetensors"), "--to", str(target)]) == 0
        assert "assumed     quick_gelu" in capsys.readouterr().out
        return
    with pytest.raises(UserError, match=r"config\.json cannot be read|Received: activation='gelu_new'"):
        command.main([str(folder), "--to", str(target)])
    assert not target.exists()


def test_the_activation_changes_the_features():
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    sizes = {"image_size": 8, "patch": 4, "token_width": 8, "heads": 2, "layers": 1, "width": 5}
    quick, exact = (ImageCLIPViT(activation=name, **sizes) for name in ("quick_gelu", "gelu"))
    quick(pixels), exact(pixels)
    weights.assign(exact, {name: value.numpy() for name, value in weights.named(quick).items()})
    difference = np.abs(quick(pixels).pooled_BE - exact(pixels).pooled_BE).max()
    assert 1e-4 < difference < 0.1
