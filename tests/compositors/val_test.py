"""VAL on golden V3 and V4, its levels, and forward pass and gradients beside plain PyTorch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf.compositors.val import VAL
from cir_tf.encoders.image_tiny import ImageTiny
from cir_tf.encoders.text_lstm import TextLSTM
from cir_tf.models.retriever import Retriever
from cir_tf.types import Features
from tests.golden import S, close, policy

MAP, TEXT = S((2, 2, 2, 4), 0.3, 0.1), S((2, 3), 0.5, 0.3)


def filled(maps=(MAP,), text=TEXT, mix=(1, 0), **arguments):
    """The golden weights in every level, in float64, without dropout."""
    with policy("float64"):
        val = VAL(**{"dropout": 0.0, **arguments})
        val.compose(Features(None, maps=maps), Features(text))
    for layer in val.transformers:
        layer.mix.assign(np.array(mix))
        a = {"fusion": 0.21, "channel_gate": 0.31, "spatial_gate": 0.7, "joining": 0.27}
        b = {"fusion": 0.1, "channel_gate": 0.2, "spatial_gate": 0.4, "joining": 0.3}
        for name in a:
            kernel = getattr(layer, name).conv.kernel
            kernel.assign(0.5 * S(kernel.shape, a[name], b[name]))
        for number, head in enumerate(layer.heads):
            for place, dense in enumerate(head.denses):
                start = 0.5 * S(dense.kernel.shape, 0.4 + 0.1 * number + 0.03 * place, 0.1 * place)
                dense.kernel.assign(start)
    return val


def pooled_map(val, training=False):
    return val.transformers[0](MAP, TEXT, training=training).numpy().mean((1, 2))


def test_golden_parts():
    layer = filled().transformers[0]
    places = np.broadcast_to(TEXT[:, None, None], (2, 2, 2, 3))
    fused = layer.fusion(np.concatenate([MAP, places], -1))
    close(layer.channel_gate(keras.ops.mean(fused, (1, 2), keepdims=True))[0, 0, 0], [0.037361, 0.025325, 0.010875, 0])
    spatial = layer.spatial_gate(keras.ops.mean(fused, -1, keepdims=True))
    close(spatial[0, ..., 0], [[0.157108, 0.068649], [0, 0]])
    close(layer.joint_gate(fused)[0, 0, 0], [0.274634, 0.273012, 0.271064, 0.269598])
    close(layer.self_attention(fused)[0, 0, 0], [0.041997, 0.032641, 0.020921, 0.007685])


@pytest.mark.parametrize(
    ("mix", "means", "total"),
    [
        (
            (1, 0),
            [0.074676, 0.065317, 0.050203, 0.030903, 0.027564, 0.047902, 0.063788, 0.073701],
            1.736215367307,
        ),
        (
            (0.8, 0.5),
            [0.080955, 0.068697, 0.050645, 0.028483, 0.049822, 0.065210, 0.075089, 0.078446],
            1.989388308292,
        ),
    ],
)
def test_golden_pooled_map(mix, means, total):
    val = filled(mix=mix)
    close(pooled_map(val).ravel(), means)
    close(4 * pooled_map(val).sum(), total, atol=6e-13)
    wanted = np.array(means).reshape(2, 4)
    query = val.compose(Features(None, maps=(MAP,)), Features(TEXT))["level_1"]
    close(query, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(("mix", "total"), [((1, 0), 1.895032642729), ((0.8, 0.5), 8.495475149152)])
def test_golden_training(mix, total):
    val = filled(mix=mix)
    close(4 * pooled_map(val, training=True).sum(), total, atol=6e-13)
    layer = val.transformers[0]
    places = np.broadcast_to(TEXT[:, None, None], (2, 2, 2, 3))
    fused = layer.fusion(np.concatenate([MAP, places], -1), training=True)
    close(layer.joint_gate(fused, training=True)[0, 0, 0], [0.394406] * 4)


@pytest.mark.parametrize(("mix", "total"), [((1, 0), 1.736145708894), ((0.8, 0.5), 1.988729417745)])
def test_golden_mobilenet(mix, total):
    val = filled(mix=mix, activation="relu6", norm_epsilon=1e-3)
    close(4 * pooled_map(val).sum(), total, atol=6e-13)


def test_relu6_cuts_at_six():
    high = filled(maps=(1000 * MAP,), activation="relu6").transformers[0]
    assert high.fusion(np.concatenate([1000 * MAP, MAP[..., :3]], -1)).numpy().max() == 6


def test_golden_distances_of_concatenations():
    """V4: three levels; 6 - 2 (sum of cosines) is the squared distance, and the product of concatenations the sum."""

    class Given(VAL):
        def compose(self, reference, text, training=False):
            return self.project_target(reference)

    def maps(batch, factors):
        shapes = [(batch, 1, 1, width) for width in (4, 6, 8)]
        return tuple(
            keras.ops.convert_to_tensor(S(shape, factor, 0.1 * i), "float64")
            for i, (shape, factor) in enumerate(zip(shapes, factors, strict=True), start=1)
        )

    class Maps(keras.layers.Layer):
        def call(self, values, training=False):
            return Features(None, maps=values)

    with policy("float64"):
        retriever = Retriever(Maps(), lambda ids, **_: None, Given())
    query_QD = retriever.query_vectors(maps(2, (0.3, 0.4, 0.5)), None)
    gallery_ND = retriever.gallery_vectors(maps(3, (0.35, 0.45, 0.55)))
    assert query_QD.shape == (2, 18)
    close(
        6 - 2 * keras.ops.matmul(query_QD, keras.ops.transpose(gallery_ND)),
        [[0.069515, 6.946837, 8.097411], [7.380012, 0.375450, 8.608497]],
        atol=2e-6,
    )


def test_levels_are_the_deepest_maps_from_shallow_to_deep():
    maps = [S((2, side, side, width), 0.3, 0.1 * width) for side, width in ((8, 3), (4, 5), (2, 7), (2, 9))]
    features = Features(None, maps=tuple(tf.constant(each, "float32") for each in maps))
    text = Features(tf.constant(TEXT, "float32"))
    for levels, widths in ((None, [3, 5, 7, 9]), (3, [5, 7, 9]), (1, [9])):
        val = VAL(levels=levels)
        for named in (val.compose(features, text), val.project_target(features)):
            assert {name: each.shape[1] for name, each in named.items()} == {
                f"level_{i}": width for i, width in enumerate(widths, start=1)
            }
        np.testing.assert_allclose(np.linalg.norm(named["level_1"], axis=1), 1, atol=1e-6)
    mean = maps[-1].mean((1, 2))
    close(named["level_1"], mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)
    for refuse in (VAL(levels=5).compose, VAL(levels=5).check):
        with pytest.raises(ValueError, match=r"Every level needs a map\. Received: levels=5, 4 maps"):
            refuse(features, text)


def test_channels_that_heads_cannot_share_equally_are_parted_unevenly():
    val = VAL(heads=3)
    val.compose(Features(None, maps=(tf.zeros((2, 2, 2, 7)),)), Features(tf.zeros((2, 3))))
    assert [head.denses[0].kernel.shape for head in val.transformers[0].heads] == [(3, 3), (2, 2), (2, 2)]
    with pytest.raises(ValueError, match=r"heads=3, 2 channels"):
        VAL(heads=3).compose(Features(None, maps=(tf.zeros((2, 2, 2, 2)),)), Features(tf.zeros((2, 3))))


@pytest.mark.parametrize(
    ("wrong", "message"), [({"activation": "gelu"}, "activation='gelu'"), ({"levels": 0}, "levels=0")]
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        VAL(**wrong)


def test_first_weights_are_those_of_the_backbone():
    maps, text = (tf.zeros((1, 3, 3, 400)),), tf.zeros((1, 100))
    for stddev, wanted in ((None, (2 / 500) ** 0.5), (0.09, 0.09 * 0.8796)):  # truncation at two standard deviations
        val = VAL(stddev=stddev)
        val.compose(Features(None, maps=maps), Features(text))
        assert abs(val.transformers[0].fusion.conv.kernel.numpy().std() / wanted - 1) < 0.01
        glorot = val.transformers[0].heads[0].denses[0].kernel.numpy()
        assert abs(glorot.std() / (2 / 400) ** 0.5 - 1) < 0.02


def test_paths_are_those_that_recipes_name():
    """Variables are named by level and part, in a retriever."""
    texts = ["red shoe"]
    text_encoder = TextLSTM(TextLSTM.make_assets(texts), width=4)
    retriever = Retriever(ImageTiny(image_size=8, widths=(4, 6)), text_encoder, VAL())
    image = np.zeros((2, 8, 8, 3), "float32")
    retriever({"reference_image": image, "text_ids": np.zeros((2, 1), "int32"), "target_image": image})
    paths = {variable.path.split("compositor/")[-1] for variable in retriever.compositor.trainable_variables}
    parts = {f"{part}/{each}" for part in ("fusion", "channel_gate", "spatial_gate", "joining") for each in CONV}
    parts |= {f"head_{i}/{name}/kernel" for i in (1, 2) for name in ("query", "key", "value")} | {"mix"}
    assert paths == {f"level_{level}/{part}" for level in (1, 2) for part in parts}


CONV = ("conv/kernel", "norm/gamma", "norm/beta")


def torch_transformer(torch, x, text, w, relu, epsilon):
    """The composite transformer in training, from its equations, on maps [B, C, h, w]."""
    functional = torch.nn.functional

    def conv(x, name):
        kernel = w[f"{name}/conv/kernel"].permute(3, 2, 0, 1)
        high, wide = kernel.shape[2:]
        x = functional.pad(x, ((wide - 1) // 2, wide // 2, (high - 1) // 2, high // 2))
        x = functional.conv2d(x, kernel)
        gamma, beta = w[f"{name}/norm/gamma"], w[f"{name}/norm/beta"]
        return relu(functional.batch_norm(x, None, None, gamma, beta, training=True, eps=epsilon))

    batch, channels, high, wide = x.shape
    fused = conv(torch.cat([x, text[:, :, None, None].expand(-1, -1, high, wide)], 1), "fusion")
    channel_gate = conv(fused.mean((2, 3), keepdim=True), "channel_gate")
    spatial_gate = conv(fused.mean(1, keepdim=True), "spatial_gate")
    gate = torch.sigmoid(channel_gate) * torch.sigmoid(spatial_gate)
    heads = []
    for number, part in enumerate(fused.split(channels // 2, dim=1), start=1):
        rows = part.flatten(2).transpose(1, 2)
        query, key, value = (rows @ w[f"head_{number}/{name}/kernel"] for name in ("query", "key", "value"))
        weights = torch.softmax(query @ key.transpose(1, 2) / (channels // 2) ** 0.5, dim=-1)
        heads.append((weights @ value).transpose(1, 2).reshape(batch, channels // 2, high, wide))
    attended = conv(torch.cat(heads, 1), "joining")
    return w["mix"][0] * gate * x + w["mix"][1] * attended


@pytest.mark.parametrize(("activation", "epsilon"), [("relu", 1e-5), ("relu6", 1e-3)])
def test_forward_and_gradients_are_those_of_plain_pytorch(activation, epsilon):
    torch = pytest.importorskip("torch")
    shape = (3, 4, 3, 6)  # kernels of even and of odd sides
    x, text, weigh = S(shape, 0.3, 0.1), S((3, 5), 0.5, 0.3), S((3, 6), 0.7, 0.2)
    val = filled((x,), text, mix=(0.8, 0.5), activation=activation, norm_epsilon=epsilon)
    variables = val.trainable_variables
    for i, variable in enumerate(variables):  # scales and shifts of the normalisations, too
        if variable.name in ("gamma", "beta"):
            variable.assign((variable.name == "gamma") + 0.3 * S(variable.shape, 0.9, 0.2 * i))
    names = [variable.path.partition("level_1/")[2] for variable in variables]
    theirs = [torch.tensor(each, requires_grad=True) for each in (x, text, *(each.numpy() for each in variables))]
    relu = {"relu": torch.nn.functional.relu, "relu6": torch.nn.functional.relu6}[activation]
    weights = dict(zip(names, theirs[2:], strict=True))
    changed = torch_transformer(torch, theirs[0].permute(0, 3, 1, 2), theirs[1], weights, relu, epsilon)
    pooled = changed.mean((2, 3))
    wanted = pooled / pooled.norm(dim=1, keepdim=True)
    (wanted * torch.tensor(weigh)).sum().backward()

    x, text = tf.constant(x), tf.constant(text)
    with tf.GradientTape() as tape:
        tape.watch([x, text])
        query = val.compose(Features(None, maps=(x,)), Features(text), training=True)["level_1"]
        loss = tf.reduce_sum(query * weigh)
    close(query, wanted.detach().numpy(), atol=1e-12)
    gradients = tape.gradient(loss, [x, text, *(variable.value for variable in variables)])
    assert len(gradients) == 2 + 4 * 3 + 2 * 3 + 1
    for name, ours, other in zip(["x", "text", *names], gradients, theirs, strict=True):
        assert np.abs(ours).max() > 1e-6, name
        np.testing.assert_allclose(ours, other.grad.numpy(), rtol=0, atol=1e-11, err_msg=name)
