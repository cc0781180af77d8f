"""The whole of TIRG, written down in PyTorch with random weights, against the retriever made of its checkpoint."""

import numpy as np
import pytest

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.convert import __main__ as command

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
from scripts.benchmarks import _torch_convolutions  # noqa: E402

nn = torch.nn
WORDS = ("black", "blue", "dress", "mini", "red")
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class ResNet(_torch_convolutions.ResNet):
    """With TIRG's dense layer, which has another name than torchvision's."""

    def __init__(self, stem, width):
        super().__init__(stem, (2, 2, 2, 2), bottleneck=False)
        self.fc = nn.Sequential(nn.Linear(8 * stem, width))

    def last_map(self, x):
        return super().forward(x)[-1]

    def forward(self, x):
        return self.fc(self.last_map(x).mean((2, 3)))


class TextModel(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.embedding_layer = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, width)
        self.fc_output = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, width))

    def forward(self, texts):
        last = [self.lstm(self.embedding_layer(torch.tensor(text))[:, None])[0][-1, 0] for text in texts]
        return self.fc_output(torch.stack(last))


class Normalization(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_s = nn.Parameter(torch.tensor([4.0]))


class TIRG(nn.Module):
    def __init__(self, stem, width):
        super().__init__()
        self.normalization_layer = Normalization()
        self.img_model, self.text_model = ResNet(stem, width), TextModel(1 + len(WORDS), width)
        self.a = nn.Parameter(torch.tensor([1.0, 10.0, 1.0, 1.0]))
        both = 2 * width
        self.gated_feature_composer = nn.Sequential(
            nn.Identity(), nn.BatchNorm1d(both), nn.ReLU(), nn.Linear(both, width)
        )
        self.res_info_composer = nn.Sequential(
            nn.Identity(), nn.BatchNorm1d(both), nn.ReLU(), nn.Linear(both, both), nn.ReLU(), nn.Linear(both, width)
        )

    def query(self, image, texts):
        image = self.img_model(image)
        u = torch.cat([image, self.text_model(texts)], dim=1)
        return self.a[0] * self.gated_feature_composer(u).sigmoid() * image + self.a[1] * self.res_info_composer(u)


class LastConv(TIRG):
    def __init__(self, stem, width):
        super().__init__(stem, width)
        del self.gated_feature_composer, self.res_info_composer
        channels, wide = 8 * stem, 8 * stem + width
        for name in ("mod2d", "mod2d_gate"):
            convs = (nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, channels, 3, padding=1))
            setattr(self, name, nn.Sequential(nn.BatchNorm2d(wide), convs[0], nn.ReLU(), convs[1]))

    def query(self, image, texts):
        x = self.img_model.last_map(image)
        z = torch.cat([x, self.text_model(texts)[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        x = self.a[0] * self.mod2d_gate(z).sigmoid() * x + self.a[1] * self.mod2d(z)
        return self.img_model.fc(x.mean((2, 3)))


def checkpoint(path, model):
    """Saved as the released code does, with statistics and biases that are no ones and zeros."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim == 1 and tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn_like(tensor))
    torch.save({"it": 3, "opt": {"model": "tirg"}, "model_state_dict": model.state_dict()}, path)


def unit(x):
    return (x / x.norm(dim=1, keepdim=True)).detach().numpy()


@pytest.mark.parametrize(("made", "name"), [(TIRG, "tirg"), (LastConv, "tirg_lastconv")])
def test_query_and_gallery_vectors_equal_those_of_pytorch(tmp_path, made, name):
    torch.manual_seed(1)
    model = made(stem=8, width=12).eval()
    checkpoint(tmp_path / "latest_checkpoint.pth", model)
    assert command.main([str(tmp_path / "latest_checkpoint.pth"), "--to", str(tmp_path)]) == 0
    image = {"name": "image_resnet", "stem_width": 8, "image_size": 96}
    parts = {
        "image_encoder": image | {"weights": str(tmp_path / "image_resnet.safetensors")},
        "text_encoder": {"name": "text_lstm", "width": 12, "weights": str(tmp_path / "text_lstm.safetensors")},
        "compositor": {"name": name, "weights": str(tmp_path / f"compositor_{name}.safetensors")},
    }
    retriever = assemble.retriever(configs.base(width=12, **parts), {"vocabulary.txt": "\n".join(WORDS)})
    pixels_BHWC = np.random.default_rng(2).uniform(0, 255, (3, 96, 96, 3)).astype("float32")
    pixels = ((torch.tensor(pixels_BHWC) / 255 - MEAN) / DEVIATION).permute(0, 3, 1, 2)
    texts = ["Black mini-dress.", "red dress with blue", "mini"]
    ids_BL = retriever.text_encoder.tokenizer.tokenize(texts)
    known = [[1, 0], [5, 3, 0, 2], [4]]  # "mini-dress" is one word, and none of the vocabulary's
    np.testing.assert_array_equal(ids_BL, [[1, 0, -1, -1], known[1], [4, -1, -1, -1]])
    query, gallery = retriever.query_vectors(pixels_BHWC, ids_BL), retriever.gallery_vectors(pixels_BHWC)
    for got, expected in ((query, model.query(pixels, known)), (gallery, model.img_model(pixels))):
        difference = np.abs(np.asarray(got) - unit(expected)).max()
        print(f"{name}: largest difference of unit vectors {difference:.1e}")
        assert difference < 1e-5
