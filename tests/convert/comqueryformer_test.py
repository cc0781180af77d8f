"""A ComqueryFormer checkpoint through the command: three weights files, and a retriever that starts from them."""

import numpy as np
import pytest

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.convert import __main__ as command
from cir_tf.convert import families
from cir_tf.errors import run_command
from tests import comqueryformer as published
from tests.convert import torch_file
from tests.encoders.image_swin_test import timm_shapes
from tests.golden import FILL
from tests.lavis import attention, bert, linear, mlp

D, TEXT, REGIONS, HEADS, LAYERS = 16, 64, 3, 8, 4
SWIN = {"stem_width": 2, "blocks": (1, 1, 1, 1), "heads": (1, 1, 2, 2)}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "black", "longer", "red"]
CHANNELS = [8, 16, 16]  # of Swin's last three maps


def state():
    """All tensors of `model.state_dict()`: also those that nothing reads, and those that have two names."""
    made = published.filled(published.shapes(D, CHANNELS, [TEXT] * 3, LAYERS, REGIONS, 2 * D))
    swin = timm_shapes(*SWIN.values(), window=2)
    names = {f"image_transformer.{name}": shape for name, shape in swin.items()}
    names |= bert(TEXT, layers=3, mlp_width=6, words=len(WORDS), positions=12, start="text_transformer.")
    last = f"cross_modal_text_layers.{LAYERS - 1}."
    names |= attention(f"{last}attention", D, D) | attention(f"{last}crossattention", D, D) | mlp(last, "", D, 2 * D)
    made |= FILL(names | linear("text_pooler.dense", D, D))
    for side in ("text", "image"):
        made |= {f"{side}_linear.{each}": made[f"{side}_linears.2.{each}"] for each in ("weight", "bias")}
    made["text_transformer.embeddings.position_ids"] = np.arange(12)[None]
    return {name: array if array.dtype.kind == "i" else array.astype("float32") for name, array in made.items()}


def save(path, arrays):
    """As `main.py` saves it: beside the step and the options."""
    file = torch_file.File()
    return file.write(path, {"it": 3, "opt": None, "model_state_dict": file.state(arrays)})


def convert(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run_command(command.main, list(map(str, arguments)))
    return stopped.value.code


def test_a_checkpoint_is_of_its_own_families_only():
    found = [name for name, family in families.everything().items() if family.fits(state())]
    assert sorted(found) == ["comqueryformer", "comqueryformer_image", "comqueryformer_text"]
    more = {name.replace("_layers.3.", "_layers.4."): 0 for name in state()} | state()
    assert not families.everything()["comqueryformer"].fits(more)


def test_a_checkpoint_becomes_a_retriever(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    arrays = state()
    code = convert(save(tmp_path / "latest_checkpoint.pth", arrays), "--to", tmp_path)
    text, errors = capsys.readouterr()
    assert (code, errors) == (0, "")
    kinds = {"image_encoder": "image_swin", "text_encoder": "text_bert", "compositor": "compositor_comqueryformer"}
    files = {kind: str(tmp_path / f"{name}.safetensors") for kind, name in kinds.items()}
    compositor = {"name": "comqueryformer", "layers": LAYERS, "mlp_ratio": 2, "regions": REGIONS}
    assert f"compositor = { {**compositor, 'weights': files['compositor']} }" in text
    assert "assumed     8 heads" in text and f"width = {D}" in text and "'taps': (1, 2, 3), 'max_length': 12" in text

    text_encoder = {"name": "text_bert", "width": TEXT, "heads": 1, "layers": 3, "mlp_width": 6, "positions": 12}
    config = configs.base(
        width=D,
        image_encoder={"name": "image_swin", "image_size": 64, **SWIN, "weights": files["image_encoder"]},
        text_encoder={**text_encoder, "taps": (1, 2, 3), "weights": files["text_encoder"]},
        compositor={**compositor, "weights": files["compositor"]},
    )
    model = assemble.retriever(config, {"vocabulary.txt": "\n".join(WORDS)})
    image = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    ids = np.array([[2, 7, 6, 3], [2, 5, 3, -1]], "int32")
    towers = [model.image_encoder(image), model.text_encoder(ids), model.image_encoder(image[::-1])]
    reference, words, target = (
        each._replace(
            tokens_BLE=np.asarray(each.tokens_BLE),
            mask_BL=np.asarray(each.mask_BL),
            maps=tuple(map(np.asarray, each.maps)),
        )
        for each in towers
    )
    tensors = {name: torch.tensor(array) for name, array in arrays.items() if array.dtype.kind == "f"}
    with torch.no_grad():
        expected = published.vectors(tensors, reference, words, target, LAYERS, HEADS)
    query, projected = model.encode_query(image, ids), model.encode_target(image[::-1])
    assert query.keys() == projected.keys() == expected.keys()
    for name, (query_BD, target_BD) in expected.items():
        np.testing.assert_allclose(query[name], query_BD, atol=2e-4, err_msg=name)
        np.testing.assert_allclose(projected[name], target_BD, atol=2e-4, err_msg=name)
