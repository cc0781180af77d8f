"""ComqueryFormer: golden numbers of specs/comqueryformer.md, section 8, and the whole against PyTorch."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble, weights
from cir_tf.compositors.comqueryformer import ComqueryFormer, CrossLayer, Pooler, RegionLearner, TwoStreams
from cir_tf.convert import apply
from cir_tf.convert.families import comqueryformer as families
from cir_tf.errors import UserError
from cir_tf.objectives.batch_classification import BatchClassification, batch_classification_loss
from cir_tf.training.schedules import SCHEDULES
from cir_tf.types import Features
from tests import comqueryformer as published
from tests.golden import S, close, policy
from tests.small import ASSETS, small_config

QUERY_TOKENS, TARGET_TOKENS = S((2, 9, 4), 0.37, 0.1), S((2, 9, 4), 0.41, 0.3)
SIDES = {  # of C1: tokens, kernel, bias
    "query": (QUERY_TOKENS, 0.5 * S((3, 3, 4, 2), 0.19, 0.2), 0.1 * S((2,), 0.5, 0.1)),
    "target": (TARGET_TOKENS, 0.5 * S((3, 3, 4, 2), 0.23, 0.1), 0.1 * S((2,), 0.4, 0.2)),
}


def golden_regions(side):
    """(masks, vectors) of C1."""
    tokens, kernel, bias = SIDES[side]
    with policy("float64"):
        learner = RegionLearner(2)
        map_BHWC = tokens.reshape(2, 3, 3, 4)
        learner(map_BHWC)
    learner.masks.set_weights([kernel, bias])
    return learner.masks(map_BHWC).numpy(), learner(map_BHWC).numpy()


def golden_pooler():
    with policy("float64"):
        pooler = Pooler(4)
        pooler(QUERY_TOKENS)
    pooler.dense.set_weights([0.5 * S((4, 4), 0.33, 0.2), 0.1 * S((4,), 0.6, 0.1)])
    return pooler


def test_golden_regions():
    masks, query = golden_regions("query")
    close(masks[0, 0, 0], [4.025599, 3.999799])
    close(masks[0, 1, 1], [8.266635, 7.783891])
    close(query[0], [0.033732, 0.567635, 1.248428, 1.555782, 2.294155, 2.333361, 3.029379, 2.795131])
    close(query[1], [0.073558, 0.598560, 1.272511, 1.572543, 2.299235, 2.333688, 3.014768, 2.778981])
    _, target = golden_regions("target")
    close(query @ target.T, [[24.040062, 23.912400], [24.270688, 24.144571]])
    close(batch_classification_loss(query, target), 0.694772160440, atol=6e-13)


def test_golden_whole_and_its_sum_with_the_regions():
    pooler = golden_pooler()
    query, target = (np.asarray(pooler(tokens)) for tokens in (QUERY_TOKENS, TARGET_TOKENS))
    close(query[0], [-0.145632, 1.677321, 2.680491, 2.445476])
    close(query @ target.T, [[14.833081, 15.632819], [15.685808, 15.941104]])
    close(batch_classification_loss(query, target), 0.872272168135, atol=6e-13)

    named = [
        {"global_1": vector, "local_1": golden_regions(side)[1]}
        for vector, side in ((query, "query"), (target, "target"))
    ]
    objective = BatchClassification(mask_duplicates=False, length="own")
    close(objective.loss(objective.views(*named, np.arange(2)), None), 1.567044328575, atol=6e-13)
    joined = [np.concatenate([each["global_1"], each["local_1"]], axis=1) for each in named]
    close(joined[0][0] @ joined[1].T, [38.873143, 39.545219])


def six_pairs():
    def rows(a, b):
        x = S((4, 5), a, b)
        return 4 * x / np.linalg.norm(x, axis=1, keepdims=True)

    names = [f"{kind}_{level}" for kind in ("global", "local") for level in (1, 2, 3)]
    query = {name: rows(0.5 + 0.05 * i, 0.1 * i) for i, name in enumerate(names)}
    return query, {name: rows(0.6 + 0.04 * i, 0.2 * i) for i, name in enumerate(names)}


def test_golden_loss_is_the_sum_of_six_terms():
    query, target = six_pairs()
    terms = [4.288817019348, 1.223778072046, 3.670254630939, 4.935364263219, 4.804604980091, 5.747316850283]
    close([batch_classification_loss(query[name], target[name]) for name in query], terms, atol=6e-13)
    objective = BatchClassification(mask_duplicates=False, length="own")
    views = objective.views(query, target, np.array([0, 1, 0, 1]))  # equal classes are negatives as published
    close(objective.loss(views, None), 24.670135815926, atol=1e-12)
    score = sum(query[name][0] @ target[name].T for name in query)
    close(score, [86.264884, -62.756665, 31.767991, -5.033813])
    np.testing.assert_array_equal(np.argsort(-score), [0, 2, 3, 1])


def golden_layer(e, name):
    """The layer of C4's stream e, weights set."""
    with policy("float64"):
        layer = CrossLayer(4, 2, 8, 0.0, name=name)
        layer.build((None, None, 4))
    for o, attention in enumerate((layer.attention, layer.cross_attention)):
        for r, dense in enumerate((attention.query, attention.key, attention.value, attention.output_dense)):
            kernel = 0.6 * S((4, 4), 0.21 + 0.03 * r + 0.11 * o + 0.017 * e, 0.1 * r + 0.05 * o)
            dense.set_weights([kernel, 0.1 * S((4,), 0.3 + 0.1 * r, 0.1 * o + 0.05 * e)])
    layer.mlp.dense_in.set_weights([0.5 * S((4, 8), 0.27 + 0.017 * e, 0.3), 0.1 * S((8,), 0.4, 0.1)])
    layer.mlp.dense_out.set_weights([0.5 * S((8, 4), 0.31 + 0.017 * e, -0.2), 0.1 * S((4,), 0.5, 0.2)])
    return layer


TEXT, IMAGE, REAL = S((1, 3, 4), 0.5, 0.1), S((1, 4, 4), 0.45, 0.2), np.array([[True, True, False]])
BIAS = np.array([0, 0, -10000.0])[None, None, None]
FIRST_MEAN = [-0.098786, -0.166291, -0.018429, 0.283506]


def test_golden_cross_layer():
    text, image = golden_layer(0, "text"), golden_layer(1, "image")
    close(
        text(TEXT, IMAGE, BIAS, None)[0],
        [
            [-1.620175, -0.035404, 0.868451, 0.787129],
            [1.209226, 0.586643, -0.358930, -1.436939],
            [0.335106, -1.135440, -0.667123, 1.467456],
        ],
    )
    got = image(IMAGE, TEXT, None, BIAS)[0].numpy()
    close(
        got,
        [
            [-1.597479, -0.096901, 0.807115, 0.887264],
            [1.179861, 0.605838, -0.324287, -1.461412],
            [1.417120, -0.764084, -1.099408, 0.446372],
            [-1.394648, -0.410016, 0.542862, 1.261802],
        ],
    )
    close(got.mean(0), FIRST_MEAN)
    # One after the other, which is wrong: the image would see the text of the same layer.
    wrong = image(IMAGE, text(TEXT, IMAGE, BIAS, None), None, BIAS)[0].numpy()
    close(wrong.mean(0), [-0.167615, -0.183709, 0.009656, 0.341668])


@pytest.mark.parametrize(("layers", "mean"), [(1, FIRST_MEAN), (2, [-0.220353, -0.198816, 0.031356, 0.387813])])
def test_golden_streams_read_each_others_last_states(layers, mean):
    with policy("float64"):
        streams = TwoStreams(4, 2, 8, layers, 0.0)
        streams(TEXT, IMAGE, REAL)
    assert len(streams.text_layers) == layers - 1  # nobody would read the last
    for e, stack in enumerate((streams.text_layers, streams.image_layers)):
        for layer in stack:
            layer.set_weights(golden_layer(e, "golden").get_weights())
    streams.types.assign(np.zeros((2, 4)))
    close(streams(TEXT, IMAGE, REAL)[0].numpy().mean(0), mean)


def test_golden_schedule():
    schedule = SCHEDULES["linear"](1.0, 150_000, warmup_percent=10.0)
    steps = [0, 1, 7500, 15_000, 15_001, 82_500, 149_999, 150_000]
    expected = [0, 6.6667e-5, 0.5, 1, 0.99999259, 0.5, 7.4074e-6, 0]
    np.testing.assert_allclose([float(schedule(step)) for step in steps], expected, rtol=1e-5, atol=1e-12)


def test_golden_optimizer():
    """C7: Keras' Adam adds epsilon to the uncorrected root, as the published optimizer does."""
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-6)
    weight = keras.Variable(1.0, dtype="float64")
    got = []
    for gradient in (0.5, -0.2, 0.1):
        optimizer.apply_gradients([(tf.constant(gradient, tf.float64), weight)])
        got.append(float(weight.numpy()))
    # Keras holds 0.999 in float32, which shows in the eighth digit; epsilon elsewhere would show in the seventh.
    np.testing.assert_allclose(got, [0.999000063242, 0.998654477696, 0.998275107834], rtol=0, atol=1.5e-8)


def test_scores_at_the_start():
    """C8: two equal vectors score 16 as wholes and 128 as eight regions; 24 orthonormal targets, 24 equal ones."""
    pooler, learner = Pooler(8), RegionLearner(8)
    whole, regions = pooler(S((1, 9, 8), 0.7, 0.2)), learner(S((1, 3, 3, 8), 0.7, 0.2))
    close(np.sum(whole**2), 16, atol=1e-5)
    close(np.sum(regions**2), 128, atol=1e-4)
    objective = BatchClassification(mask_duplicates=False, length="own")

    def loss(vectors_BD, names):
        named = dict.fromkeys(names, vectors_BD)
        return objective.loss(objective.views(named, named, np.arange(24)), None)

    np.testing.assert_allclose(loss(4 * np.eye(24), ["global_1"]), 2.5883e-6, rtol=1e-4)
    close(loss(np.ones((24, 3)), ["global_1"]), 3.178054)
    close(loss(np.ones((24, 3)), six_pairs()[0]), 19.068, atol=5.1e-4)


B, D, MAPS = 3, 8, ((4, 4, 3), (2, 3, 5))
LAYERS, HEADS, REGIONS = 3, 2, 2


def towers(taps):
    """(reference, text, target) in float64; with taps, each level has another text."""
    images = [Features(None, maps=tuple(S((B, *shape), 0.31, phase) for shape in MAPS)) for phase in (0.1, 0.9)]
    tokens = S((B, 4, 6), 0.47, 0.2)
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], bool)
    texts = (S((B, 4, 5), 0.59, 0.4), tokens) if taps else ()
    return images[0], Features(None, tokens, mask, texts), images[1]


def new(taps, **arguments):
    """A float64 compositor that has seen `towers`, its weights as they start."""
    arguments = {"layers": LAYERS, "heads": HEADS, "mlp_ratio": 2, "regions": REGIONS, "dropout": 0.0, **arguments}
    with policy("float64"):
        made = ComqueryFormer(width=D, **arguments)
        reference, text, target = towers(taps)
        made.compose(reference, text)
        made.project_target(target)
    return made


@pytest.mark.parametrize("taps", [True, False])
def test_vectors_and_gradients_are_those_of_pytorch(taps):
    torch = pytest.importorskip("torch")
    table = dataclasses.replace(families.COMPOSITOR, rules=families.rules(LAYERS), unused=())
    channels = [shape[-1] for shape in MAPS]
    state = published.filled(published.shapes(D, channels, (5 if taps else 6, 6), LAYERS, REGIONS, 2 * D))
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in state.items()}
    reference, text, target = towers(taps)
    expected = published.vectors(tensors, reference, text, target, LAYERS, HEADS)
    own = torch.arange(B)
    sum(torch.nn.functional.cross_entropy(q @ t.T, own) for q, t in expected.values()).backward()

    made = new(taps)
    weights.assign(made, apply(table, state))
    objective = BatchClassification(mask_duplicates=False, length="own")
    with tf.GradientTape() as tape:
        query, projected = made.compose(reference, text, training=True), made.project_target(target, training=True)
        loss = objective.loss(objective.views(query, projected, np.arange(B)), None)
    assert list(query) == list(projected) == ["global_1", "local_1", "global_2", "local_2"]
    for name, (query_BD, target_BD) in expected.items():
        # TensorFlow's GELU has the root of 2 in float32, also for float64.
        np.testing.assert_allclose(query[name], query_BD.detach(), atol=1e-7, err_msg=name)
        np.testing.assert_allclose(projected[name], target_BD.detach(), atol=1e-11, err_msg=name)
    gradients = apply(table, {name: tensor.grad.numpy() for name, tensor in tensors.items()})
    variables = weights.named(made)
    got = tape.gradient(loss, [variable.value for variable in variables.values()])
    for name, gradient in zip(variables, got, strict=True):
        np.testing.assert_allclose(gradient, gradients[name], atol=1e-6, err_msg=name)
        assert np.abs(gradients[name]).max() > 1e-4 or name.endswith("key/bias"), name


def test_starts_as_published():
    """2.6: N(0, 0.02^2) and zeros; the convolutions U(-1/sqrt(9 D), 1/sqrt(9 D)); scales 4."""
    width = 64
    made = ComqueryFormer(width=width, layers=2)
    features = Features(None, maps=(np.ones((1, 2, 2, 64), "float32"),))
    made.compose(features, Features(None, np.ones((1, 2, 64), "float32"), np.ones((1, 2), bool)))
    made.project_target(features)
    found = {name: variable.numpy() for name, variable in weights.named(made).items()}
    for name, values in found.items():
        kind = name.rpartition("/")[2]
        if "masks" in name:
            limit = (9 * width) ** -0.5
            assert 0.7 * limit < np.abs(values).max() <= limit, name
        elif kind in ("kernel", "types"):
            assert abs(values.std() / 0.02 - 1) < 0.2, name
        else:
            np.testing.assert_array_equal(values, {"gamma": 1, "beta": 0, "bias": 0, "scale": 4}[kind], err_msg=name)


@pytest.mark.parametrize(("switch", "kept"), [("use_local", "global"), ("use_global", "local")])
def test_a_switch_leaves_the_other_vectors_as_they_are(switch, kept):
    reference, text, target = towers(False)
    whole, made = new(False), new(False, **{switch: False})
    for name, variable in weights.named(made).items():
        variable.assign(weights.named(whole)[name])
    for one, other in (
        (made.compose(reference, text), whole.compose(reference, text)),
        (made.project_target(target), whole.project_target(target)),
    ):
        assert list(one) == [f"{kept}_1", f"{kept}_2"]
        for name, vectors in one.items():
            np.testing.assert_array_equal(vectors, other[name])


def test_fewer_levels_are_the_deepest():
    reference, text, _ = towers(False)
    made = new(False, levels=1)
    query = made.compose(reference, text)
    again = made.compose(reference._replace(maps=reference.maps[1:]), text)
    assert list(query) == ["global_1", "local_1"]
    for name, vectors in query.items():
        np.testing.assert_array_equal(vectors, again[name])


def test_shared_regions_are_one_layer_for_both_sides():
    made = new(False, share_regions=True)
    scales = {name for name in weights.named(made) if name.endswith("scale")}
    assert scales == {"pooler/scale", "regions_0/scale", "regions_1/scale"}
    _, _, target = towers(False)
    before = made.project_target(target)["local_1"].numpy()
    made.query_regions[0].scale.assign(2 * made.query_regions[0].scale)
    np.testing.assert_allclose(made.project_target(target)["local_1"], 2 * before)


def test_only_real_words_count():
    reference, text, _ = towers(False)
    made = new(False)
    query = made.compose(reference, text)
    changed = np.where(text.mask_BL[:, :, None], text.tokens_BLE, 7.0)
    for name, vectors in made.compose(reference, text._replace(tokens_BLE=changed)).items():
        np.testing.assert_allclose(vectors, query[name], atol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_global": False, "use_local": False}, "There must be vectors"),
        ({"layers": 0}, "Layers and levels count from 1. Received: layers=0"),
        ({"levels": 0}, "levels=0"),
        ({"heads": 3}, "Heads share the width"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        ComqueryFormer(width=8, **arguments)


def test_taps_must_be_as_many_as_levels():
    reference, text, _ = towers(taps=True)
    with pytest.raises(ValueError, match="2 taps of the text encoder, 1 levels"):
        ComqueryFormer(width=8, levels=1).compose(reference, text)
    with pytest.raises(ValueError, match="levels=3, 2 maps"):
        ComqueryFormer(width=8, levels=3).compose(reference, text._replace(maps=()))
    config = small_config(compositor={"name": "comqueryformer", "levels": 3})
    with pytest.raises(UserError, match=r"levels=3, 2 maps\. Use fewer levels, or None") as caught:
        assemble.retriever(config, ASSETS)
    assert "\n" not in str(caught.value)
