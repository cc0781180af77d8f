import math

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import bert as family
from cir_tf.convert.families import blip2
from cir_tf.encoders.text_bert import TextBert
from tests.golden import FILL, HP, close, policy
from tests.lavis import bert, heads, language_model, norm, qformer, size

TINY = {"width": 8, "layers": 3, "mlp_width": 12, "words": 11, "positions": 9}
STATE = FILL(bert(**TINY) | {"cls.predictions.bias": (11,), "bert.embeddings.position_ids": (1, 9)})
QSTATE = FILL(qformer(**{**TINY, "mlp_width": 16, "positions": 12}, image_width=6, queries=3) | heads(8, 4))
IDS = np.array([[2, 4, 5, 10, 3], [2, 7, 3, -1, -1]])


def arguments(table, state, **changes):
    return {key: value for key, value in {**table.part(state), "heads": 2, **changes}.items() if key != "name"}


def loaded(table, state, **changes):
    made = TextBert(**arguments(table, state, dropout=0.0, **changes))
    made(IDS)
    weights.assign(made, apply(table, state))
    return made


def bert_in_numpy(state, ids_BL, heads):
    """Hidden states after each layer, [B, L, E]: BERT as specs/clip_and_blip2.md, 2.2, and comqueryformer.md, 2.2."""

    def layer_norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    e = "bert.embeddings."
    b, length = ids_BL.shape
    x = state[f"{e}word_embeddings.weight"][np.maximum(ids_BL, 0)] + state[f"{e}position_embeddings.weight"][:length]
    x = layer_norm(x + state[f"{e}token_type_embeddings.weight"][0], f"{e}LayerNorm")
    states, width = [], x.shape[-1]
    for i in range(sum(name.endswith("intermediate.dense.bias") for name in state)):
        layer = f"bert.encoder.layer.{i}."
        q, k, v = (
            linear(x, f"{layer}attention.self.{each}").reshape(b, length, heads, -1).swapaxes(1, 2)
            for each in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(2, 3) / np.sqrt(width // heads) + np.where(ids_BL >= 0, 0, -10000)[:, None, None]
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        y = (scores / scores.sum(-1, keepdims=True) @ v).swapaxes(1, 2).reshape(b, length, width)
        x = layer_norm(x + linear(y, f"{layer}attention.output.dense"), f"{layer}attention.output.LayerNorm")
        y = linear(x, f"{layer}intermediate.dense")
        y = linear(0.5 * y * (1 + erf(y / np.sqrt(2))), f"{layer}output.dense")
        x = layer_norm(x + y, f"{layer}output.LayerNorm")
        states.append(x)
    return states


def test_taps_are_the_outputs_of_the_layers_counted_from_one():
    features = loaded(family.FAMILY, STATE, taps=(1, 3))(IDS)
    states = bert_in_numpy(STATE, IDS, heads=2)
    assert len(features.maps) == 2
    for got, expected in zip(features.maps, (states[0], states[2]), strict=True):
        np.testing.assert_allclose(got, expected, atol=5e-6)
    np.testing.assert_array_equal(features.tokens_BLE, features.maps[1])
    np.testing.assert_array_equal(features.pooled_BE, features.tokens_BLE[:, 0])
    np.testing.assert_array_equal(features.mask_BL, IDS >= 0)


def test_golden_text_mode_of_the_qformer():
    """(c) of specs/clip_and_blip2.md: the Q-Former's text mode is a BERT without types."""
    with policy("float64"):
        made = loaded(blip2.TEXT, QSTATE)
    features = made(np.array([[1, 4, 5, 2], [1, 7, 2, -1]]))
    expected = [
        [-0.034864, -1.950648, 0.417391, 1.272572, -0.514060, 1.118227, -0.928671, 0.419582],
        [1.052027, -2.131567, 0.187290, 0.748563, -0.160903, 0.853199, -0.939914, 0.123514],
    ]
    close(features.pooled_BE, expected)
    close(np.abs(features.tokens_BLE).sum(), 52.598332)
    assert made.tokenizer.size == 10  # and [DEC]


def test_names_without_the_prefix_and_old_names_of_norms_are_known():
    old = {"weight": "gamma", "bias": "beta"}
    renamed = {}
    for name, array in STATE.items():
        stem, _, last = name.removeprefix("bert.").rpartition(".")
        renamed[f"{stem}.{old[last] if stem.endswith('LayerNorm') else last}"] = array
    ours, expected = apply(family.FAMILY, renamed), apply(family.FAMILY, STATE)
    assert ours.keys() == expected.keys()
    assert all(np.array_equal(ours[name], expected[name]) for name in ours)
    assert family.FAMILY.part(renamed) == family.FAMILY.part(STATE)


def shapes_of(**kwargs):
    def make():
        made = TextBert(**kwargs)
        made.build((None, None))
        return made

    return weights.planned(make)


def test_published_sizes():
    assets = family.placeholder_vocabulary(30522)
    shapes = shapes_of(assets=assets)
    assert (len(shapes), size(shapes)) == (197, 108_891_648)  # BERT-base's 109,482,240 without its pooler
    text = shapes_of(assets=assets, variant="blip2")
    query_branch = 6 * (2 * 768**2 + 2 * 1024 * 768 + 4 * 768 + 2 * 768) + 12 * (2 * 768 * 3072 + 3072 + 3 * 768)
    assert size(text) == 182_121_216 - query_branch


def test_every_tensor_of_a_whole_file_is_known_and_every_weight_is_set():
    names = qformer(64, mlp_width=6, image_width=5, words=9, positions=7) | heads(64) | language_model(64, 9)
    states = {
        blip2.TEXT: FILL(names | norm("ln_vision", 5) | {"visual_encoder.cls_token": (1, 1, 5)}),
        family.FAMILY: FILL(bert(64, mlp_width=6, words=9, positions=7)),
    }
    for table, state in states.items():
        assert table.fits(state)
        assert [other.name for other in states if other is not table and other.fits(state)] == []
        found = arguments(table, state, heads=1)
        assert {name: array.shape for name, array in apply(table, state).items()} == shapes_of(**found)


def test_pseudo_words_take_the_places_of_the_asterisks():
    made = TextBert(TextBert.make_assets(["red * dress"]), **{"width": 8, "heads": 2, "layers": 2, "mlp_width": 6})
    ids = made.tokenizer.tokenize(["red * dress * *", "dress", "* red"])
    plain = made(ids)
    words = HP((3, 2, 8), 3, 1.0).astype("float32")
    got = made(ids, insert_BSE=words)
    assert np.abs(got.pooled_BE - plain.pooled_BE).max(axis=1)[[0, 2]].min() > 1e-3
    np.testing.assert_allclose(got.pooled_BE[1], plain.pooled_BE[1], atol=1e-6)
    table = made.embedding.words.embeddings
    free = [made.tokenizer.id_of("##d"), made.tokenizer.id_of("##e")]  # in no text: let them be the two pseudo-words
    values = table.numpy()
    values[free] = words[0]
    table.assign(values)
    ids[0, [2, 4]] = free
    np.testing.assert_allclose(made(ids).tokens_BLE[0], got.tokens_BLE[0], atol=1e-6)


def test_long_texts_are_cut():
    assets = TextBert.make_assets(["red dress"])
    made = TextBert(assets, width=4, heads=2, layers=1, mlp_width=6, positions=7, max_length=5)
    assert made.tokenizer.tokenize(["red dress red dress red dress"]).shape == (1, 5)
    assert TextBert(assets, positions=7).tokenizer.tokenize(["red " * 20]).shape == (1, 7)
    with pytest.raises(ValueError, match="at most 7 tokens"):
        made(np.ones((1, 8), "int32"))


def test_dropout_acts_in_training_only():
    made = TextBert(TextBert.make_assets(["red dress"]), width=8, heads=2, layers=2, mlp_width=6, dropout=0.5)
    ids = made.tokenizer.tokenize(["red dress"])
    still = made(ids).pooled_BE
    np.testing.assert_array_equal(made(ids).pooled_BE, still)
    assert np.abs(made(ids, training=True).pooled_BE - still).max() > 1e-2


def test_wrong_arguments_are_refused():
    assets = TextBert.make_assets(["red"])
    with pytest.raises(ValueError, match=r"taps=\(0,\)"):
        TextBert(assets, taps=(0,))
    with pytest.raises(ValueError, match=r"taps=\(12, 13\)"):
        TextBert(assets, taps=(12, 13))
    with pytest.raises(ValueError, match="max_length=600"):
        TextBert(assets, max_length=600)
    with pytest.raises(ValueError, match=r"vocab\.txt"):
        TextBert({"vocabulary.txt": "red\n"})


def test_saved_model_takes_texts_of_any_number_and_length(tmp_path):
    made = TextBert(TextBert.make_assets(["a long red dress"]), width=8, heads=2, layers=2, mlp_width=6, taps=(1, 2))
    made(np.array([[2, 3]]))
    module = tf.Module()
    module.encoder = made
    module.encode = tf.function(
        lambda text_B: made(made.tokenizer.in_graph(text_B)).pooled_BE,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, tmp_path / "model")
    loaded_model = tf.saved_model.load(tmp_path / "model")
    for texts in (["a long red dress, long"], ["red", "", "a dress"]):
        live = made(made.tokenizer.tokenize(texts)).pooled_BE
        np.testing.assert_allclose(loaded_model.encode(texts), live, atol=1e-6)
