"""CLIP with random weights against `transformers` and against PyTorch: needs the `convert` extra."""

import numpy as np
import pytest

from cir_tf import registry, weights
from cir_tf.convert import apply, readers
from cir_tf.convert.families import clip, clip_transformers

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
nn = torch.nn

TEXT = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "num_hidden_layers": 3}
VISION = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 3, "num_hidden_layers": 2}
TINY = {
    "text_config": TEXT | {"vocab_size": 40, "max_position_embeddings": 12, "eos_token_id": 39, "bos_token_id": 38},
    "vision_config": VISION | {"image_size": 28, "patch_size": 7},
    "projection_dim": 24,
}
BASE = {"text_config": {}, "vision_config": {"patch_size": 32}}


def converted(family, state):
    encoder = registry.create("encoders", **family.encoder(state))
    size = getattr(encoder, "image_size", 0)
    encoder(np.zeros((1, size, size, 3)) if size else np.zeros((1, 3), "int32"))
    weights.assign(encoder, apply(family, state))
    return encoder


def check(name, got, expected):
    difference = np.abs(got - expected.numpy()).max()
    print(f"{name}: largest difference {difference:.1e} of {expected.abs().max():.1f}")
    assert difference < 1e-4


@pytest.mark.parametrize("sizes", [TINY, BASE], ids=["tiny", "base"])
def test_features_equal_those_of_transformers(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.CLIPConfig(**sizes)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    state = readers.read(tmp_path)[""]
    rng = np.random.default_rng(2)
    side, words = config.vision_config.image_size, config.text_config.vocab_size
    pixels_BCHW = rng.normal(size=(3, 3, side, side)).astype("float32")
    ids_BL = rng.integers(1, words - 1, (3, config.text_config.max_position_embeddings))
    for row, end in enumerate((4, ids_BL.shape[1] - 1, 7)):
        ids_BL[row, end:] = [words - 1] + [0] * (ids_BL.shape[1] - 1 - end)
    with torch.no_grad():
        image = model.get_image_features(pixel_values=torch.tensor(pixels_BCHW))
        text = model.get_text_features(input_ids=torch.tensor(ids_BL))
    image, text = (getattr(each, "pooler_output", each) for each in (image, text))
    encoder = converted(clip_transformers.VIT, state)
    check("image", encoder.features(pixels_BCHW.transpose(0, 2, 3, 1)).pooled_BE, image)
    check("text", converted(clip_transformers.TEXT_TOWER, state)(ids_BL).pooled_BE, text)


class Bottleneck(nn.Module):
    def __init__(self, before, inner, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
        self.pool = nn.AvgPool2d(stride)
        self.downsample = None
        if stride > 1 or before != 4 * inner:
            conv, norm = nn.Conv2d(before, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
            self.downsample = nn.ModuleList([conv, norm])

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(self.pool(y)))
        if self.downsample:
            x = self.downsample[1](self.downsample[0](self.pool(x)))
        return (x + y).relu()


class AttentionPool(nn.Module):
    def __init__(self, grid, channels, heads, width):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + 1, channels) * channels**-0.5)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, width)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.positional_embedding
        query, key, value = (
            layer(each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.q_proj, tokens[:, :1]), (self.k_proj, tokens), (self.v_proj, tokens))
        )
        joined = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.c_proj(joined)[:, 0]


class ModifiedResNet(nn.Module):
    def __init__(self, width, blocks, size, heads, out):
        super().__init__()
        stem = ((3, width // 2), (width // 2, width // 2), (width // 2, width))
        for i, (before, after) in enumerate(stem, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, 3, 2 if i == 1 else 1, 1, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(after))
        before = width
        for stage, count in enumerate(blocks, 1):
            layers = []
            for i in range(count):
                layers.append(Bottleneck(before, width * 2 ** (stage - 1), 1 if i or stage == 1 else 2))
                before = 4 * width * 2 ** (stage - 1)
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.attnpool = AttentionPool(size // 32, before, heads, out)

    def forward(self, x):
        for i in (1, 2, 3):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)).relu()
        x = nn.functional.avg_pool2d(x, 2)
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return x, self.attnpool(x)


@pytest.mark.parametrize(
    "arguments", [(8, (1, 2, 1, 1), 64, 4, 5), (64, (3, 4, 6, 3), 224, 32, 1024)], ids=["tiny", "RN50"]
)
def test_resnet_equals_pytorch(tmp_path, arguments):
    torch.manual_seed(1)
    visual = ModifiedResNet(*arguments).eval()
    model = nn.ModuleDict({"visual": visual})
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim == 1:
                tensor.add_(0.1 * torch.randn_like(tensor))
    torch.save({"epoch": 3, "CLIP": model.state_dict()}, tmp_path / "clip.pt")
    state = readers.read(tmp_path / "clip.pt")["CLIP"]
    pixels_BCHW = np.random.default_rng(2).normal(size=(2, 3, arguments[2], arguments[2])).astype("float32")
    with torch.no_grad():
        last, pooled = visual(torch.tensor(pixels_BCHW))
    features = converted(clip.RESNET, state).features(pixels_BCHW.transpose(0, 2, 3, 1))
    check("map", np.array(features.maps[-1]).transpose(0, 3, 1, 2), last)
    check("pooled", features.pooled_BE, pooled)
