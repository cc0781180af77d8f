"""The text towers of TIRG and VAL with random weights against PyTorch's LSTM: needs the `convert` extra."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
from scripts.benchmarks._torch_transformers import TIRGText, VALText  # noqa: E402
from tests.convert.reference import check, converted, save_tensorflow, shaken, texts  # noqa: E402

LENGTHS = (9, 1, 5)


def compare(model, encoder, words):
    """The states of the real words, and the pooled vectors."""
    ids_BL = texts(words, 9, LENGTHS)
    with torch.no_grad():
        states, pooled = model(torch.tensor(np.maximum(ids_BL, 0), dtype=torch.long), torch.tensor(LENGTHS))
    features = encoder(ids_BL)
    check("states", features.tokens_BLE.numpy()[ids_BL >= 0], states[torch.tensor(ids_BL >= 0)])
    check("pooled", features.pooled_BE, pooled)


@pytest.mark.parametrize("width", [7, 512])
def test_tirg(tmp_path, width):
    model = shaken(TIRGText(30, width))
    state = {f"text_model.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"model_state_dict": state}, tmp_path / "text.pth")
    compare(model, converted(tmp_path / "text.pth", "tirg_text"), 30)


@pytest.mark.parametrize("sizes", [(6, 5, 7), (512, 512, 1024)], ids=["tiny", "full"])
def test_val(tmp_path, sizes):
    """TensorFlow 1 has the gates in another order, in one matrix, and adds 1 to the forget gate as it runs."""
    model = shaken(VALText(30, *sizes))
    torch.nn.init.uniform_(model.norm.running_mean), torch.nn.init.uniform_(model.norm.running_var, 0.5, 1.5)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    kernel = np.concatenate([state["lstm.weight_ih_l0"], state["lstm.weight_hh_l0"]], axis=1).T
    i, f, g, o = np.split(np.vstack([kernel, state["lstm.bias_ih_l0"] + state["lstm.bias_hh_l0"]]), 4, axis=1)
    f[-1] -= 1
    packed = np.concatenate([i, g, f, o], axis=1)
    lstm, norm = "RNN/bidirectional_lstm/", "projection/text/BatchNorm/"
    arrays = {
        "RNN/token_embedding_weights": state["words.weight"],
        f"{lstm}forward/init_state_0": state["initial_memory"],
        f"{lstm}forward/init_state_1": state["initial_state"],
        f"{lstm}rnn/basic_lstm_cell/kernel": packed[:-1],
        f"{lstm}rnn/basic_lstm_cell/bias": packed[-1],
        "projection/text/weights": state["dense.weight"].T[None, None],
        f"{norm}gamma": state["norm.weight"],
        f"{norm}beta": state["norm.bias"],
        f"{norm}moving_mean": state["norm.running_mean"],
        f"{norm}moving_variance": state["norm.running_var"],
    }
    compare(model, converted(save_tensorflow(tmp_path / "model.ckpt", arrays), "val_text"), 30)
