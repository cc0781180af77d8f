"""BERT with random weights against the `transformers` library: needs the `convert` extra."""

import numpy as np
import pytest

from cir_tf import registry, weights
from cir_tf.convert import apply, readers
from cir_tf.convert.families import bert

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
TINY = {"hidden_size": 128, "num_hidden_layers": 3, "intermediate_size": 50, "vocab_size": 40}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072, "vocab_size": 30522}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [TINY, BASE], ids=["tiny", "base"])
def test_hidden_states_equal_those_of_transformers(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.BertConfig(**sizes, num_attention_heads=sizes["hidden_size"] // 64, initializer_range=0.1)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    state = readers.read(tmp_path)[""]
    taps = (1, sizes["num_hidden_layers"])
    encoder = registry.create("encoders", **bert.FAMILY.encoder(state), taps=taps)
    ids_BL = np.random.default_rng(2).integers(5, sizes["vocab_size"], (3, 20)).astype("int32")
    ids_BL[1, 13:] = -1
    encoder(ids_BL)
    weights.assign(encoder, apply(bert.FAMILY, state))
    with torch.no_grad():
        read = model(
            input_ids=torch.tensor(np.maximum(ids_BL, 0), dtype=torch.long),
            attention_mask=torch.tensor(ids_BL >= 0, dtype=torch.long),
            output_hidden_states=True,
        )
    for tap, got_BLE in zip(taps, encoder(ids_BL).maps, strict=True):
        difference = np.abs(read.hidden_states[tap].numpy() - got_BLE)[ids_BL >= 0].max()
        print(f"bert, width {sizes['hidden_size']}, layer {tap}: largest difference {difference:.1e}")
        assert difference < 1e-4
