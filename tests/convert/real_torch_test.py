"""What PyTorch and transformers themselves write, read without them; needs the `convert` extra."""

import argparse
import collections

import numpy as np
import pytest

from cir_tf.convert import readers
from cir_tf.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 3)
        self.norm = torch.nn.BatchNorm2d(2)
        self.blocks = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(11)))
        self.turned = torch.nn.Parameter(torch.randn(2, 3).t())
        self.scale = torch.nn.Parameter(torch.tensor(2.5))

    def forward(self, image):
        return self.blocks(self.norm(self.conv(image)).mean((2, 3))) * self.scale + self.turned.sum()


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        array = np.asarray(state[name])
        assert array.dtype.name == str(tensor.dtype).removeprefix("torch."), name
        np.testing.assert_array_equal(array.astype("f8"), tensor.detach().double().numpy(), err_msg=name)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "float64"])
def test_a_state_dict(tmp_path, net, kind, protocol):
    net = net.to(getattr(torch, kind))
    torch.save(net.state_dict(), tmp_path / "x.pt", pickle_protocol=protocol)
    assert_same(readers.read(tmp_path / "x.pt")[""], net.state_dict())


def test_tensors_that_share_a_storage(tmp_path):
    whole = torch.randn(4, 6)
    tensors = {"whole": whole, "rows": whole[1:3], "columns": whole[:, ::2], "turned": whole.t(), "one": whole[3, 5]}
    tensors |= {"parameter": torch.nn.Parameter(whole), "empty": torch.zeros(0, 3), "flags": whole > 0}
    tensors |= {"ints": torch.arange(5), "bytes": torch.arange(5).byte(), "short": torch.arange(5).short()}
    torch.save(tensors, tmp_path / "x.pt")
    state = readers.read(tmp_path / "x.pt")[""]
    assert_same(state, tensors)


def test_a_training_checkpoint(tmp_path, net):
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    nest = {
        "epoch": 3,
        "Net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": {"scale": 65536.0, "growth": None},
        "options": argparse.Namespace(lr=0.1, names=["a", "b"]),
        "best": np.float64(0.5),
        "kind": torch.float16,
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "history": collections.defaultdict(list, a=[1, 2]),
        "schedule": torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5, 5]).state_dict(),
        "seen": {1, 2},
    }
    torch.save(nest, tmp_path / "x.pt")
    states = readers.read(tmp_path / "x.pt")
    assert_same(states["Net"], net.state_dict())
    assert all(key == "Net" or key.startswith("optimizer.state.") for key in states)


@pytest.mark.parametrize("make", ["script", "trace"])
@pytest.mark.parametrize("is_half", [False, True])
def test_a_torchscript_archive(tmp_path, net, make, is_half):
    made = torch.jit.script(net) if make == "script" else torch.jit.trace(net, torch.randn(2, 3, 8, 8))
    made = made.half() if is_half else made
    made.save(str(tmp_path / "x.pt"))
    assert_same(readers.read(tmp_path / "x.pt")[""], made.state_dict())


def test_a_whole_model_and_the_old_format_are_refused(tmp_path, net):
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(UserError, match=r"it names .*\.Net, .*save its state dict alone"):
        readers.read(tmp_path / "whole.pt")
    torch.save(net.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"before 1\.6; save it anew"):
        readers.read(tmp_path / "old.pt")


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_folder_of_transformers(tmp_path, shard, kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=30, **sizes)).to(getattr(torch, kind))
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 or shard == "1GB"
    assert_same(readers.read(tmp_path)[""], model.state_dict())
