import numpy as np
import pytest
import tensorflow as tf

from cir_tf import weights
from cir_tf.bpe import placeholder_merges
from cir_tf.convert import base
from cir_tf.convert.families import clip
from cir_tf.convert.shapes import wanted
from cir_tf.encoders.text_clip import VARIANTS, TextCLIP
from tests.encoders import clip_states as states
from tests.golden import FILL, HP, policy
from tests.lavis import size

ASSETS = {"merges.txt": "t h\nr e\n"}
SIZES = {"token_width": 128, "heads": 2, "layers": 2, "context": 16, "width": 5}
SHAPES = states.text(128, 516, 16, 2, 5)
IDS = np.array([[514, 7, 265, 9, 265, 515, -1, -1], [514, 265, 8, 265, 11, 265, 4, 515]])


def filled():
    encoder = TextCLIP(ASSETS, **SIZES)
    encoder(IDS)
    weights.assign(encoder, base.apply(clip.TEXT_TOWER, FILL(SHAPES)))
    return encoder


def test_what_stands_behind_the_end_does_not_matter():
    encoder = filled()
    expected = encoder(IDS)
    for padding in (-1, 0, 3, 515):  # one more end too: the first one counts
        ids = IDS.copy()
        ids[0, 6:] = padding
        features = encoder(ids)
        np.testing.assert_allclose(features.pooled_BE, expected.pooled_BE, atol=1e-5)
        np.testing.assert_array_equal(features.mask_BL[0], [1, 1, 1, 1, 1, 1, 0, 0])
        np.testing.assert_allclose(features.tokens_BLE[0, :6], expected.tokens_BLE[0, :6], atol=1e-5)


def test_padding_is_read_as_published():
    encoder = filled()
    np.testing.assert_array_equal(encoder(IDS).tokens_BLE, encoder(np.maximum(IDS, 0)).tokens_BLE)


def test_tokens_see_what_is_before_them_only():
    encoder = filled()
    changed = IDS.copy()
    changed[1, 4] = 12
    before, after = encoder(IDS).tokens_BLE[1], encoder(changed).tokens_BLE[1]
    np.testing.assert_allclose(after[:4], before[:4], atol=1e-5)
    assert (np.abs(after[4:] - before[4:]).max(axis=1) > 1e-3).all()


def test_pseudo_words_replace_placeholders_in_order():
    encoder = filled()
    table = encoder.embedding.embeddings.numpy()
    words = np.stack([table[[20, 21]], table[[22, 23]]])  # embeddings of other tokens: the same as their ids
    ids = IDS.copy()
    ids[0, [2, 4]], ids[1, [1, 3]] = [20, 21], [22, 23]  # the third placeholder of the second text stays
    np.testing.assert_allclose(encoder(IDS, insert_BSE=words).pooled_BE, encoder(ids).pooled_BE, atol=1e-5)


def test_pseudo_words_without_placeholder_are_left_alone():
    encoder = filled()
    ids = np.array([[514, 7, 8, 515], [514, 265, 9, 515]])
    words = HP((2, 3, 128), 4, 1).astype("float32")
    got, plain = encoder(ids, insert_BSE=words).pooled_BE, encoder(ids).pooled_BE
    np.testing.assert_allclose(got[0], plain[0], atol=1e-5)
    assert np.abs(got[1] - plain[1]).max() > 0.01


def test_gradients_reach_the_pseudo_words_that_are_used():
    encoder = filled()
    words = tf.constant(HP((2, 4, 128), 4, 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(words)
        loss = tf.reduce_sum(encoder(IDS, insert_BSE=words).pooled_BE ** 2)
    used = np.abs(tf.convert_to_tensor(tape.gradient(loss, words))).max(axis=-1) > 0
    np.testing.assert_array_equal(used, [[1, 1, 0, 0], [1, 1, 1, 0]])


def test_the_word_star_is_the_placeholder():
    encoder = filled()
    ids = encoder.tokenizer.tokenize(["a * of *", "*s"])
    np.testing.assert_array_equal(ids == encoder.placeholder_id, [[0, 0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 0]])


def test_too_many_tokens_are_refused():
    encoder = filled()
    with pytest.raises(ValueError, match="at most 16 tokens"):
        encoder(np.ones((1, 17), "int32"))
    assert encoder.tokenizer.tokenize(["x" * 99]).shape == (1, 16)


def test_half_precision_archives_and_their_extra_entries_are_read():
    state = {name: array.astype("float16") for name, array in FILL(SHAPES).items()}
    archive = state | {name: np.array(7) for name in ("input_resolution", "context_length", "vocab_size")}
    encoder = filled()
    weights.assign(encoder, base.apply(clip.TEXT_TOWER, archive))
    np.testing.assert_array_equal(encoder.projection.kernel, state["text_projection"].astype("float32"))


def test_mixed_precision_is_close_to_full():
    full = filled()(IDS).pooled_BE.numpy()
    with policy("mixed_bfloat16"):
        half = filled()
    words = HP((2, 4, 128), 4, 1).astype("float32")
    assert np.isfinite(np.array(half(IDS, insert_BSE=words).pooled_BE, "f4")).all()
    got = np.array(half(IDS).pooled_BE, "f4")
    cosine = np.sum(full * got, axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(got, axis=1)
    assert cosine.min() > 0.999


def test_start_values():
    encoder = TextCLIP(ASSETS, token_width=64, heads=4, layers=3, width=40)
    encoder(IDS)
    found = {name: variable.numpy() for name, variable in weights.named(encoder).items()}
    deviations = {
        "embedding/embeddings": 0.02,
        "positional_embedding": 0.01,
        "block_1/attention/key/kernel": 1 / 8,
        "block_1/attention/output/kernel": 1 / 8 / 6**0.5,
        "block_1/mlp_in/kernel": 128**-0.5,
        "block_1/mlp_out/kernel": 1 / 8 / 6**0.5,
        "projection/kernel": 1 / 8,
    }
    for name, expected in deviations.items():
        assert abs(found[name].std() / expected - 1) < 0.05, name
    assert not found["block_0/attention/query/bias"].any()
    assert 0.9 / 8 < np.abs(found["block_0/mlp_in/bias"]).max() <= 1 / 8


@pytest.mark.parametrize("arguments, message", [({"variant": "RN9"}, "RN50x4"), ({"depth": 3}, "token_width")])
def test_wrong_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TextCLIP(ASSETS, **(SIZES | arguments))


def test_saved_model_takes_texts(tmp_path):
    encoder = filled()
    module = tf.Module()
    module.encoder = encoder
    module.encode = tf.function(
        lambda text_B: encoder(encoder.tokenizer.in_graph(text_B)).pooled_BE,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    for texts in (["the red dress"], ["b", "", "&eacute; it’s"]):
        expected = encoder(encoder.tokenizer.tokenize(texts)).pooled_BE
        np.testing.assert_allclose(loaded.encode(texts), expected, atol=1e-4)


@pytest.mark.parametrize(
    "variant, visual, total",
    [
        ("RN50", 38_316_896, 102_007_137),
        ("RN50x4", 87_137_080, 178_300_601),
        ("ViT-B/32", 87_849_216, 151_277_313),
        ("ViT-B/16", 86_192_640, 149_620_737),
        ("ViT-L/14", 303_966_208, 427_616_513),
    ],
)
def test_parameter_counts(variant, visual, total):
    merges = {"merges.txt": placeholder_merges(49408)}
    count = size(wanted("encoders", {"name": "text_clip", "assets": merges, "variant": variant}))
    assert visual + count + 1 == total  # 1: the scale of the logits
    sizes = VARIANTS[variant]
    shapes = states.text(sizes["token_width"], 49408, 77, sizes["layers"], sizes["width"])
    assert len(shapes) == 150
    assert size(shapes) == count + 1
