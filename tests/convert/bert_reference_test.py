"""BERT with random weights against the `transformers` library: needs the `convert` extra."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
from tests.convert.reference import check, converted, shaken, texts  # noqa: E402

TINY = {"hidden_size": 128, "num_hidden_layers": 3, "intermediate_size": 50, "vocab_size": 40}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072, "vocab_size": 30522}


@pytest.mark.parametrize(
    "sizes", [pytest.param(TINY, id="tiny"), pytest.param(BASE, id="base", marks=pytest.mark.slow)]
)
def test_hidden_states_equal_those_of_transformers(tmp_path, sizes):
    torch.manual_seed(1)
    config = transformers.BertConfig(**sizes, num_attention_heads=sizes["hidden_size"] // 64, initializer_range=0.1)
    model = shaken(transformers.BertModel(config))
    model.save_pretrained(tmp_path)
    taps = (1, sizes["num_hidden_layers"])
    encoder = converted(tmp_path, taps=taps)
    ids_BL = texts(sizes["vocab_size"], 20, (20, 13, 2), first=5)
    is_word = torch.tensor(ids_BL >= 0)
    with torch.no_grad():
        read = model(
            input_ids=torch.tensor(np.maximum(ids_BL, 0), dtype=torch.long),
            attention_mask=is_word.long(),
            output_hidden_states=True,
        )
    for tap, got_BLE in zip(taps, encoder(ids_BL).maps, strict=True):
        check(f"layer {tap}", got_BLE.numpy()[ids_BL >= 0], read.hidden_states[tap][is_word])
