"""VAL's checkpoint through the command, and a retriever that starts from it, against NumPy on TensorFlow 1's names."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble, weights
from cir_tf import config as configs
from cir_tf.convert import __main__ as command
from cir_tf.convert import families
from cir_tf.errors import UserError
from tests.encoders.image_resnet_v2_test import norm_shapes, slim_shapes
from tests.golden import S

STEM, WORD, STATE, TEXT = 2, 3, 4, 5
SIDES, CHANNELS = (4, 2, 2), (16, 32, 64)
WORDS = ("a", "b", "c")
IDS_BL = np.array([[1, 3, 2], [2, 0, -1]], "int32")


def trained():
    """{name: shape} of what VAL trains or averages."""
    shapes = {name: shape for name, shape in slim_shapes(STEM, (1, 1, 1, 1)).items() if "/logits/" not in name}
    shapes |= norm_shapes("resnet_v2_50/block2_postnorm", 16) | norm_shapes("resnet_v2_50/block3_postnorm", 32)
    shapes |= {"RNN/token_embedding_weights": (1 + len(WORDS), WORD)}
    shapes |= {f"RNN/bidirectional_lstm/forward/init_state_{i}": (STATE,) for i in (0, 1)}
    cell = "RNN/bidirectional_lstm/rnn/basic_lstm_cell/"
    shapes |= {f"{cell}kernel": (WORD + STATE, 4 * STATE), f"{cell}bias": (4 * STATE,)}
    shapes |= {"projection/text/weights": (1, 1, STATE, TEXT)} | norm_shapes("projection/text/BatchNorm", TEXT)
    for level, (side, width) in enumerate(zip(SIDES, CHANNELS, strict=True)):
        scope = f"attention{level}/"
        convs = {"Conv": (1, 1, width + TEXT, width), "Conv_1": (1, 1, width, width)}
        convs |= {"Conv_2": (side, side, 1, 1), "Conv_3": (1, 1, width, width)}
        for name, shape in convs.items():
            shapes |= {f"{scope}{name}/weights": shape, **norm_shapes(f"{scope}{name}/BatchNorm", shape[-1])}
        dense = ("dense", *(f"dense_{i}" for i in range(1, 6)))
        shapes |= {f"{scope}{name}/kernel": (width // 2, width // 2) for name in dense}
        shapes |= {f"{scope}r_weight": (), f"{scope}weight": ()}
    return shapes


def arrays():
    """(what evaluation reads, everything as the checkpoint holds it)."""
    read, held = {}, {}
    for k, (name, shape) in enumerate(trained().items()):
        scale = 1 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        array = (scale * S(shape, 0.37, 0.1 * k)).astype("float32")
        if name.endswith(("gamma", "moving_variance")) or not shape:
            array = array + np.float32(1)
        read[name] = array
        is_moving = name.endswith(("moving_mean", "moving_variance"))
        held |= {name: array} if is_moving else {name: array + 9, f"{name}/ExponentialMovingAverage": array}
    rest = ("global_step", "beta1_power", "Mean/avg", "total_loss/avg/local_step", "resnet_v2_50/logits/biases")
    rest += ("attention0/Conv/weights/Adam", "attention0/Conv/weights/Adam_1")
    return read, held | dict.fromkeys(rest, np.float32(3))


def save(path, held):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {name: tf.compat.v1.get_variable(name, initializer=array) for name, array in held.items()}
        saver = tf.compat.v1.train.Saver(variables)
        session.run(tf.compat.v1.global_variables_initializer())
        return saver.save(session, str(path), write_meta_graph=False)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """(what evaluation reads, the retriever of a config that names the three files)."""
    folder = tmp_path_factory.mktemp("val")
    read, held = arrays()
    assert command.main([save(folder / "model.ckpt-3", held), "--to", str(folder)]) == 0
    config = configs.base(
        image_encoder={
            "name": "image_resnet_v2",
            "image_size": 64,
            "stem_width": STEM,
            "blocks": (1, 1, 1, 1),
            "weights": str(folder / "image_resnet_v2.safetensors"),
        },
        text_encoder={
            "name": "text_gru",
            "width": TEXT,
            "word_width": WORD,
            "state_width": STATE,
            "weights": str(folder / "text_gru.safetensors"),
        },
        compositor={"name": "val", "weights": str(folder / "compositor_val.safetensors")},
    )
    return read, assemble.retriever(config, {"vocabulary.txt": "".join(f"{word}\t2\n" for word in WORDS)})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv(x_BHWC, read, name):
    """A convolution of one place, its normalisation and, but for the text's, its activation."""
    gamma, beta, mean, variance = (
        read[f"{name}/BatchNorm/{each}"] for each in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (x_BHWC @ read[f"{name}/weights"][0, 0] - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def text_vectors(read):
    cell = "RNN/bidirectional_lstm/rnn/basic_lstm_cell/"
    found = []
    for ids in IDS_BL:
        c, h = (read[f"RNN/bidirectional_lstm/forward/init_state_{i}"] for i in (0, 1))
        states = []
        for word in read["RNN/token_embedding_weights"][ids[ids >= 0]]:
            i, j, f, o = np.split(np.concatenate([word, h]) @ read[f"{cell}kernel"] + read[f"{cell}bias"], 4)
            c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
            h = np.tanh(c) * sigmoid(o)
            states.append(h)
        found.append(np.max(states, axis=0))
    return conv(np.array(found), read, "projection/text")


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def composed(x_BHWC, text_BT, read, level):
    """Specification, section 3."""
    scope, (batch, height, width, channels) = f"attention{level}/", x_BHWC.shape
    text = np.broadcast_to(text_BT[:, None, None], (batch, height, width, TEXT))
    v = np.maximum(conv(np.concatenate([x_BHWC, text], -1), read, f"{scope}Conv"), 0)
    channel = np.maximum(conv(v.mean((1, 2), keepdims=True), read, f"{scope}Conv_1"), 0)
    before = (height - 1) // 2
    padded = np.pad(v.mean(-1), ((0, 0), *[(before, height - 1 - before)] * 2))
    kernel = read[f"{scope}Conv_2/weights"][..., 0, 0]
    spatial = np.array(
        [[(padded[:, i : i + height, j : j + width] * kernel).sum((1, 2)) for j in range(width)] for i in range(height)]
    )
    identity = read | {f"{scope}Conv_2/weights": np.ones((1, 1, 1, 1))}
    spatial = np.maximum(conv(spatial.transpose(2, 0, 1)[..., None], identity, f"{scope}Conv_2"), 0)
    heads = []
    for head, part in enumerate(np.split(v.reshape(batch, -1, channels), 2, axis=-1)):
        names = [f"dense_{3 * head + i}" if 3 * head + i else "dense" for i in range(3)]
        k, value, q = (part @ read[f"{scope}{name}/kernel"] for name in names)
        heads.append(softmax(k @ value.transpose(0, 2, 1) / (channels // 2) ** 0.5) @ q)
    attended = np.maximum(conv(np.concatenate(heads, -1).reshape(v.shape), read, f"{scope}Conv_3"), 0)
    joint = sigmoid(channel) * sigmoid(spatial)
    return read[f"{scope}r_weight"] * joint * x_BHWC + read[f"{scope}weight"] * attended


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_query_vectors_are_those_of_the_averages(converted):
    read, model = converted
    image = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    maps = [np.asarray(each) for each in model.image_encoder(image).maps]
    assert [each.shape[1:] for each in maps] == [
        (side, side, width) for side, width in zip(SIDES, CHANNELS, strict=True)
    ]
    text_BT = text_vectors(read)
    np.testing.assert_allclose(model.text_encoder(IDS_BL).pooled_BE, text_BT, atol=1e-5)
    query = model.encode_query(image, IDS_BL)
    for level, map_BHWC in enumerate(maps):
        expected = unit(composed(map_BHWC, text_BT, read, level).mean((1, 2)))
        np.testing.assert_allclose(query[f"level_{level + 1}"], expected, atol=1e-5)


def test_the_image_tower_has_the_averages_and_the_statistics(converted):
    read, model = converted
    found = weights.named(model.image_encoder)
    for ours, theirs in (
        ("map_norm_2/gamma", "block2_postnorm/gamma"),
        ("map_norm_3/moving_variance", "block3_postnorm/moving_variance"),
        ("map_norm_4/beta", "postnorm/beta"),
        ("stage_2_block_1/conv_2/kernel", "block2/unit_1/bottleneck_v2/conv2/weights"),
    ):
        np.testing.assert_array_equal(found[ours], read[f"resnet_v2_50/{theirs}"])


def test_a_checkpoint_without_averages_is_read_as_it_is():
    read, _ = arrays()
    family = families.everything()["val"]
    state = family.prepare(read)
    assert "attention1/mix" in state and "attention1/weight" not in state
    np.testing.assert_array_equal(state["attention1/mix"], [read["attention1/r_weight"], read["attention1/weight"]])


def test_a_checkpoint_is_of_its_own_families_only():
    found = {family.name for family in families.everything().values() if family.fits(arrays()[1])}
    assert found == {"val", "val_resnet", "val_text"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention2/dense_4/kernel": None, "attention2/dense_4/kernel/ExponentialMovingAverage": None}, "head_2/key"),
        ({"attention2/Conv_4/weights": np.ones(2, "f4")}, "not known to family val: attention2/Conv_4/weights"),
        ({"RNN/extra": np.ones(2, "f4")}, "not known to family val_text: RNN/extra"),
        ({"resnet_v2_50/extra": np.ones(2, "f4")}, "not known to family val_resnet: resnet_v2_50/extra"),
        ({"other": np.ones(2, "f4")}, r"not known to family val\w*: other"),
    ],
)
def test_nothing_is_written_of_a_checkpoint_that_differs(tmp_path, change, message):
    held = {name: array for name, array in (arrays()[1] | change).items() if array is not None}
    source = save(tmp_path / "model.ckpt", held)
    with pytest.raises(UserError, match=message):
        command.main([source, "--to", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_with_mobilenet_the_parts_are_made_as_published():
    state = {"MobilenetV1/Conv2d_0/weights": np.ones((3, 3, 3, 2)), "attention0/r_weight": np.float32(1)}
    state |= {"attention0/weight": np.float32(0)}
    family = families.everything()["val"]
    assert family.part(family.prepare(state)) == {
        "name": "val",
        "activation": "relu6",
        "stddev": 0.09,
        "norm_momentum": 0.9997,
        "norm_epsilon": 1e-3,
    }
