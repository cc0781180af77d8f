"""Swin with random weights, in timm's layout, against the `transformers` library: needs the `convert` extra."""

import re

import pytest

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
from tests.convert.reference import check, converted, pictures, shaken  # noqa: E402

TINY = {"embed_dim": 8, "depths": (1, 2, 3, 2), "num_heads": (1, 2, 2, 4), "image_size": 96, "window_size": 3}
SWIN_TINY = {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24), "image_size": 224, "window_size": 7}
TIMM = {
    r"embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"embeddings\.norm": "patch_embed.norm",
    r"encoder\.layers": "layers",
    r"layernorm_before": "norm1",
    r"layernorm_after": "norm2",
    r"layernorm": "norm",
    r"attention\.o_proj": "attn.proj",
    r"attention\.relative_position_bias\.": "attn.",
}


def as_timm(state):
    """transformers' names to timm's, where queries, keys and values are one matrix."""
    renamed = {}
    for name, tensor in state.items():
        for theirs, timms in TIMM.items():
            name = re.sub(theirs, timms, name)
        renamed[name] = tensor
    for name in [name for name in renamed if ".q_proj." in name]:
        parts = [renamed.pop(name.replace(".q_proj.", f".{each}_proj.")) for each in "qkv"]
        renamed[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return {name: tensor for name, tensor in renamed.items() if not name.endswith("relative_position_index")}


@pytest.mark.parametrize(
    "sizes", [pytest.param(TINY, id="tiny"), pytest.param(SWIN_TINY, id="swin_tiny", marks=pytest.mark.slow)]
)
def test_maps_equal_those_of_transformers(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.SwinConfig(**sizes, initializer_range=0.1)
    model = shaken(transformers.SwinModel(config, add_pooling_layer=False))
    for name, parameter in model.named_parameters():
        if name.endswith("bias_table"):
            torch.nn.init.normal_(parameter)
    torch.save({"model": as_timm(model.state_dict())}, tmp_path / "swin.pth")
    encoder = converted(tmp_path / "swin.pth")
    pixels_BHWC, pixels_BCHW = pictures(sizes["image_size"])
    pixels_BHWC, pixels_BCHW = (each / 127.5 - 1 for each in (pixels_BHWC, pixels_BCHW))
    with torch.no_grad():
        read = model(pixels_BCHW, output_hidden_states=True)
    features = encoder.features(pixels_BHWC)
    check("after stage 2", features.maps[0], read.reshaped_hidden_states[2])
    check("after stage 3", features.maps[1], read.reshaped_hidden_states[3])
    check("after stage 4", features.tokens_BLE, read.last_hidden_state)
    check("pooled", features.pooled_BE, read.last_hidden_state.mean(1))
