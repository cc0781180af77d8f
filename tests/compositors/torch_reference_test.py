"""TIRG's baselines once more in plain PyTorch, from the equations: vectors, gradients and moving statistics are equal.

Dimension key: B batch, D shared embedding, E tower width and channels, H W map, L words, T width of text and words.
"""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import registry, weights
from cir_tf.layers import BatchNorm
from cir_tf.training.task import fused_batch_norm
from cir_tf.types import Features

torch = pytest.importorskip("torch")
functional = torch.nn.functional

B, D, E, T, LENGTH, BLOCKS = 4, 5, 6, 3, 7, 2
MASK_BL = np.arange(3) < np.array([3, 1, 2, 0])[:, None]


def dense(w, name, x):
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def norm(w, name, x, training):
    """Over axis 1."""
    moving, affine = (
        [w.get(f"{name}/{each}") for each in names] for names in (("moving_mean", "moving_variance"), ("gamma", "beta"))
    )
    return functional.batch_norm(x, *moving, *affine, training=training, momentum=0.1, eps=1e-5)


def conv(w, name, x):
    kernel = w[f"{name}/kernel"].permute(3, 2, 0, 1)
    return functional.conv2d(x, kernel, w.get(f"{name}/bias"), padding=kernel.shape[-1] // 2)


def concat(w, x, training):
    u = torch.cat([dense(w, "image_dense", x["image"]), x["text"]], 1)
    u = dense(w, "dense_1", torch.relu(norm(w, "norm_1", u, training)))
    return dense(w, "dense_2", torch.relu(norm(w, "norm_2", u, training)))


def film(w, x, training):
    return (1 + dense(w, "gamma", x["text"])) * dense(w, "image_dense", x["image"]) + dense(w, "beta", x["text"])


def film_lastconv(w, x, training):
    modulation = dense(w, "modulated/generator", x["text"])
    features = x["map"].permute(0, 3, 1, 2)
    for block in range(BLOCKS):
        name = f"modulated/block_{block + 1}"
        delta, beta = modulation[:, 2 * E * block : 2 * E * (block + 1), None, None].split(E, dim=1)
        r = torch.relu(conv(w, f"{name}/conv_1", features))
        y = norm(w, f"{name}/norm", conv(w, f"{name}/conv_2", r), training)
        features = r + torch.relu((1 + delta) * y + beta)
    return dense(w, "image_dense", features.mean((2, 3)))


def mrn(w, x, training):
    h, image = x["text"], dense(w, "image_dense", x["image"])
    for block in range(1, BLOCKS + 1):
        seen = torch.tanh(dense(w, f"block_{block}/image_1", image))
        seen = torch.tanh(dense(w, f"block_{block}/image_2", seen))
        h = dense(w, f"block_{block}/shortcut", h) + torch.tanh(dense(w, f"block_{block}/question", h)) * seen
    return h


def relationship(w, x, training):
    places = x["map"].flatten(1, 2)
    total = 0
    for i in range(places.shape[1]):
        for j in range(places.shape[1]):
            pair = torch.cat([places[:, i], places[:, j], x["text"]], 1)
            total = total + torch.relu(dense(w, "relations/dense_2", torch.relu(dense(w, "relations/dense_1", pair))))
    return dense(w, "dense_2", torch.relu(dense(w, "dense_1", total)))


def parameter_hashing(w, x, training):
    p = dense(w, "hashed/parameters", x["text"])
    rows = []
    for m in range(D):
        row = 0
        for n in range(E):
            bits = m * E + n
            bits ^= bits >> 16
            bits = bits * 0x85EBCA6B % 2**32
            bits ^= bits >> 13
            bits = bits * 0xC2B2AE35 % 2**32
            bits ^= bits >> 16
            sign = -1 if bits >= 2**31 else 1
            row = row + sign * p[:, bits % 2**31 % LENGTH] * x["image"][:, n]
        rows.append(row)
    return torch.stack(rows, 1)


def attribute_as_operator(w, x, training):
    columns_first = (x["text"] @ w["operator/kernel"].reshape(T, D * D)).reshape(B, D, D)
    operator = torch.eye(D) + columns_first.transpose(1, 2)
    return (operator @ dense(w, "image_dense", x["image"])[:, :, None])[:, :, 0]


def show_and_tell(w, x, training):
    gates, state = "reader/input_gates", "reader/lstm/cell/state_gates"
    state = {
        "weight_ih_l0": w[f"{gates}/kernel"].T,
        "weight_hh_l0": w[f"{state}/kernel"].T,
        "bias_ih_l0": w[f"{gates}/bias"],
        "bias_hh_l0": w[f"{state}/bias"],
    }
    steps = torch.cat([dense(w, "reader/first_word", x["image"])[:, None], x["words"]], 1)
    lengths = 1 + torch.tensor(MASK_BL.sum(1))
    packed = torch.nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    return torch.func.functional_call(torch.nn.LSTM(T, D), state, (packed,))[1][0][0]


METHODS = {  # the method in PyTorch, and the arguments of ours
    "attribute_as_operator": (attribute_as_operator, {}),
    "concat": (concat, {"dropout": 0.0}),
    "film": (film, {}),
    "film_lastconv": (film_lastconv, {"blocks": BLOCKS}),
    "mrn": (mrn, {"blocks": BLOCKS}),
    "parameter_hashing": (parameter_hashing, {"length": LENGTH}),
    "relationship": (relationship, {"hidden": 4}),
    "show_and_tell": (show_and_tell, {}),
}


def draw_inputs(rng):
    shapes = {"image": (B, E), "map": (B, 2, 3, E), "text": (B, T), "words": (B, 3, T), "target": (B, E)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def draw_weights(compositor, rng):
    for name, variable in weights.named(compositor).items():
        array = 0.5 * rng.normal(size=variable.shape)
        variable.assign(1 + 0.5 * np.abs(array) if name.endswith(("gamma", "moving_variance")) else array)


def ours(compositor, x, training):
    """Query and target, [B, D] each."""
    reference = Features(x["image"], maps=(x["map"][:, :1, :, :2], x["map"]))
    query = compositor.compose(reference, Features(x["text"], x["words"], tf.constant(MASK_BL)), training=training)
    return {"query": query["main"], "target": compositor.project_target(Features(x["target"]))["main"]}


def run_ours(compositor, arrays, shares, training):
    """The vectors, and the gradients of their sum with fixed shares to all inputs and weights, by name."""
    x = {name: tf.constant(array) for name, array in arrays.items()}
    with tf.GradientTape() as tape:
        tape.watch(x)
        vectors = ours(compositor, x, training)
        loss = sum(tf.reduce_sum(vectors[name] * shares[name]) for name in vectors)
    named = {name: variable for name, variable in weights.named(compositor).items() if variable.trainable}
    sources = x | {name: variable.value for name, variable in named.items()}
    gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
    return vectors, {name: tf.convert_to_tensor(gradient).numpy() for name, gradient in gradients.items()}


def run_theirs(method, w, arrays, shares, training):
    """The same in PyTorch; what it remembers goes into `w`."""
    x = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    vectors = {"query": method(w, x, training), "target": dense(w, "image_dense", x["target"])}
    loss = sum((vectors[name] * torch.tensor(shares[name])).sum() for name in vectors)
    sources = x | {name: weight for name, weight in w.items() if weight.requires_grad}
    gradients = torch.autograd.grad(loss, list(sources.values()), allow_unused=True, materialize_grads=True)
    return vectors, {name: gradient.numpy() for name, gradient in zip(sources, gradients, strict=True)}


def same(got, expected, name, step):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=f"{name}, step {step}")


@pytest.mark.parametrize(("name", "fused"), [*((name, None) for name in METHODS), ("film_lastconv", fused_batch_norm)])
def test_vectors_gradients_and_statistics_are_those_of_pytorch(name, fused):
    rng = np.random.default_rng(3)
    method, arguments = METHODS[name]
    compositor = registry.create("compositors", name, width=D, **arguments)
    ours(compositor, draw_inputs(rng), training=False)
    draw_weights(compositor, rng)
    for layer in compositor._flatten_layers():
        if isinstance(layer, BatchNorm):
            layer.fused = fused
    named = weights.named(compositor)
    w = {key: torch.tensor(each.numpy(), requires_grad=each.trainable) for key, each in named.items()}
    largest = dict.fromkeys(w, 0)
    for step, training in enumerate((True, True, False)):
        arrays = draw_inputs(rng)
        shares = {side: rng.normal(size=(B, D)).astype("float32") for side in ("query", "target")}
        vectors, gradients = run_ours(compositor, arrays, shares, training)
        expected_vectors, expected_gradients = run_theirs(method, w, arrays, shares, training)
        assert gradients.keys() == expected_gradients.keys()
        for side, vector in vectors.items():
            same(vector, expected_vectors[side].detach(), side, step)
        for key, gradient in gradients.items():
            same(gradient, expected_gradients[key], key, step)
            largest[key] = max(largest.get(key, 0), np.abs(gradient).max())
        for key, variable in named.items():
            same(variable, w[key].detach(), key, step)
    assert all(largest[key] > 1e-3 for key in w if w[key].requires_grad), largest  # every weight was compared
