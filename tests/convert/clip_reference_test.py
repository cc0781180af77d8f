"""CLIP with random weights against `transformers` and against PyTorch: needs the `convert` extra."""

import numpy as np
import pytest

from cir_tf.encoders import image_clip_resnet, image_clip_vit, text_clip

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
from scripts.benchmarks._torch_convolutions import ModifiedResNet  # noqa: E402
from scripts.benchmarks._torch_transformers import CLIPText, CLIPVision  # noqa: E402
from tests.convert.reference import check, converted, pictures, shaken  # noqa: E402

TEXT = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "num_hidden_layers": 3}
VISION = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 3, "num_hidden_layers": 2}
TINY = {
    "text_config": TEXT | {"vocab_size": 600, "max_position_embeddings": 12, "eos_token_id": 599, "bos_token_id": 598},
    "vision_config": VISION | {"image_size": 28, "patch_size": 7},
    "projection_dim": 24,
}
BASE = {"text_config": {}, "vision_config": {"patch_size": 32}}


def slow(*values, name):
    return pytest.param(*values, id=name, marks=pytest.mark.slow)


def ended_texts(words, length):
    """Ids of which the largest ends each text, then zeros."""
    ids_BL = np.random.default_rng(2).integers(1, words - 1, (3, length))
    for row, end in enumerate((4, length - 1, 7)):
        ids_BL[row, end:] = [words - 1] + [0] * (length - 1 - end)
    return ids_BL


@pytest.mark.parametrize("sizes", [pytest.param(TINY, id="tiny"), slow(BASE, name="base")])
def test_features_equal_those_of_transformers(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.CLIPConfig(**sizes)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    pixels_BHWC, pixels_BCHW = (each / 127.5 - 1 for each in pictures(config.vision_config.image_size))
    ids_BL = ended_texts(config.text_config.vocab_size, config.text_config.max_position_embeddings)
    with torch.no_grad():
        image = model.get_image_features(pixel_values=pixels_BCHW)
        text = model.get_text_features(input_ids=torch.tensor(ids_BL))
    image, text = (getattr(each, "pooler_output", each) for each in (image, text))
    check("image", converted(tmp_path, "clip_vit_transformers").features(pixels_BHWC).pooled_BE, image)
    check("text", converted(tmp_path, "clip_text_transformers")(ids_BL).pooled_BE, text)


NARROW_VIT = {"image_size": 28, "patch": 7, "token_width": 128, "heads": 2, "layers": 2, "width": 24}
NARROW_TEXT = {"token_width": 128, "heads": 2, "layers": 2, "context": 12, "width": 24}


@pytest.mark.parametrize(
    ("vision", "text", "words"),
    [
        pytest.param(NARROW_VIT, NARROW_TEXT, 600, id="tiny"),
        slow(image_clip_vit.VARIANTS["ViT-B/32"], text_clip.VARIANTS["ViT-B/32"], 49408, name="ViT-B/32"),
        slow(image_clip_vit.VARIANTS["ViT-L/14"], text_clip.VARIANTS["ViT-L/14"], 49408, name="ViT-L/14"),
    ],
)
def test_transformers_equal_pytorchs(tmp_path, vision, text, words):
    """In OpenAI's layout, with PyTorch's own attention."""
    torch.manual_seed(1)
    towers = shaken(CLIPVision(**vision)), shaken(CLIPText(vocabulary=words, **text))
    state = towers[1].state_dict() | {f"visual.{name}": each for name, each in towers[0].state_dict().items()}
    torch.save(state | {"logit_scale": torch.tensor(4.6)}, tmp_path / "clip.pt")
    pixels_BHWC, pixels_BCHW = (each / 127.5 - 1 for each in pictures(vision["image_size"]))
    ids_BL = ended_texts(words, text["context"])
    with torch.no_grad():
        (tokens, image), text = towers[0](pixels_BCHW), towers[1](torch.tensor(ids_BL))
    features = converted(tmp_path / "clip.pt", "clip_vit").features(pixels_BHWC)
    check("tokens", features.tokens_BLE, tokens)
    check("image", features.pooled_BE, image)
    check("text", converted(tmp_path / "clip.pt", "clip_text")(ids_BL).pooled_BE, text)


NARROW_RESNET = {"image_size": 64, "stem_width": 8, "heads": 4, "blocks": (1, 2, 1, 1), "width": 5}


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(NARROW_RESNET, id="tiny"),
        slow(image_clip_resnet.VARIANTS["RN50"], name="RN50"),
        slow(image_clip_resnet.VARIANTS["RN50x4"], name="RN50x4"),
    ],
)
def test_resnet_equals_pytorchs(tmp_path, sizes):
    pixels_BHWC, pixels_BCHW = (each / 127.5 - 1 for each in pictures(sizes["image_size"]))
    visual = shaken(ModifiedResNet(**sizes), pixels_BCHW)
    torch.save({"epoch": 3, "CLIP": torch.nn.ModuleDict({"visual": visual}).state_dict()}, tmp_path / "clip.pt")
    with torch.no_grad():
        last, pooled = visual(pixels_BCHW)
    features = converted(tmp_path / "clip.pt").features(pixels_BHWC)
    check("map", features.maps[-1], last)
    check("pooled", features.pooled_BE, pooled)
