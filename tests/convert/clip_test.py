"""CLIP through the command: one source, two weights files that load."""

import numpy as np
import pytest
import safetensors.numpy

from cir_tf import registry, weights
from cir_tf.convert import __main__ as command
from cir_tf.convert import apply, families
from cir_tf.convert.families import clip
from cir_tf.errors import UserError, run_command
from tests.encoders import clip_states as states
from tests.golden import FILL

TEXT = states.text(128, 514, 8, 2, 5)
VIT, RESNET = states.vit(128, 4, 2, 2, 5) | TEXT, states.resnet(8, (1, 2, 1, 1), 2, 5) | TEXT


@pytest.mark.parametrize("shapes, image", [(VIT, "image_clip_vit"), (RESNET, "image_clip_resnet")])
def test_an_archive_becomes_both_towers(tmp_path, capsys, shapes, image):
    archive = {name: np.asarray(array, "float16") for name, array in FILL(shapes).items()}
    archive |= {name: np.array(7) for name in ("input_resolution", "context_length", "vocab_size")}
    safetensors.numpy.save_file(archive, tmp_path / "clip.safetensors")
    with pytest.raises(SystemExit) as stopped:
        run_command(command.main, [str(tmp_path / "clip.safetensors"), "--to", f"{tmp_path}/towers/"])
    assert stopped.value.code == 0, capsys.readouterr().err
    for family in (clip.TEXT_TOWER, clip.VIT if shapes is VIT else clip.RESNET):
        arguments = family.part(archive)
        encoder = registry.create("encoders", **arguments)
        size = getattr(encoder, "image_size", 0)
        encoder(np.zeros((1, size, size, 3)) if size else np.zeros((1, 3), "int32"))
        weights.load(encoder, tmp_path / "towers" / f"{arguments['name']}.safetensors")
        for name, expected in apply(family, archive).items():
            np.testing.assert_array_equal(weights.named(encoder)[name], expected, err_msg=name)
    assert sorted(path.stem for path in (tmp_path / "towers").iterdir()) == [image, "text_clip"]


@pytest.mark.parametrize("shapes", [VIT, RESNET], ids=["vit", "resnet"])
def test_a_source_is_of_the_right_families_only(shapes):
    found = [family.name for family in families.everything().values() if family.fits(shapes)]
    assert found == sorted([clip.TEXT_TOWER.name, clip.VIT.name if shapes is VIT else clip.RESNET.name])


@pytest.mark.parametrize("name", ["visual.transformer.resblocks.0.attn.q_norm.weight", "visual.ln_mid.bias", "head"])
def test_tensors_that_clip_does_not_have_are_refused(name):
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        apply(clip.VIT, FILL(VIT | {name: (3,)}))


def test_queries_keys_and_values_are_the_thirds_of_the_packed_matrix():
    state = FILL(TEXT)
    arrays = apply(clip.TEXT_TOWER, state)
    packed = state["transformer.resblocks.1.attn.in_proj_weight"]
    np.testing.assert_array_equal(arrays["block_1/attention/key/kernel"], packed[128:256].T)
    np.testing.assert_array_equal(
        arrays["block_0/attention/value/bias"], state["transformer.resblocks.0.attn.in_proj_bias"][256:]
    )
