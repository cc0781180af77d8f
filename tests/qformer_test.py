import numpy as np
import pytest
import tensorflow as tf

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import blip2
from cir_tf.qformer import QFormer
from tests.golden import FILL, HP, close, policy
from tests.lavis import heads, language_model, qformer, size

FAMILY = blip2.LAYERS["qformer"]
TINY = {"width": 8, "layers": 3, "mlp_width": 16, "image_width": 6, "queries": 3, "words": 11, "positions": 12}
STATE = FILL(qformer(**TINY) | heads(8, 4))
IMAGE = HP((2, 5, 6), 7, 2)
IDS = np.array([[1, 4, 5, 2], [1, 7, 2, -1]])


def tiny(**changes):
    """Built in the current precision."""
    made = QFormer(6, **{**FAMILY.part(STATE), "heads": 2, "vocabulary_size": 11, "dropout": 0.0, **changes})
    made.build()
    return made


@pytest.fixture(scope="module")
def golden():
    """Tiny Q-Former (c) of the specification, through the family's table."""
    assert len(STATE) == 97
    with policy("float64"):
        made = tiny()
    weights.assign(made, apply(FAMILY, STATE))
    return made


def unit(name, x):
    x = x @ STATE[f"{name}.weight"].T + STATE[f"{name}.bias"]
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_golden_image_mode(golden):
    query_BQE, text = golden(IMAGE)
    assert text is None
    close(
        query_BQE[:, 0],
        [
            [0.750654, 1.333307, -1.512920, 1.283864, 0.296544, -1.041917, -0.052319, -1.028291],
            [0.710176, 0.945590, -2.281823, -0.728477, 0.826332, 1.007629, -0.240679, -0.091570],
        ],
    )
    assert abs(np.abs(query_BQE).sum() - 37.958418) < 1e-6


def test_golden_text_mode(golden):
    query, text_BLE = golden(ids_BL=IDS)
    assert query is None
    close(
        text_BLE[:, 0],
        [
            [-0.034864, -1.950648, 0.417391, 1.272572, -0.514060, 1.118227, -0.928671, 0.419582],
            [1.052027, -2.131567, 0.187290, 0.748563, -0.160903, 0.853199, -0.939914, 0.123514],
        ],
    )
    assert abs(np.abs(text_BLE).sum() - 52.598332) < 1e-6


def test_golden_multimodal_mode(golden):
    query_BQE, text_BLE = golden(IMAGE, IDS)
    assert text_BLE.shape == (2, 4, 8)
    close(
        query_BQE[:, 0],
        [
            [0.577904, 1.270391, -1.672672, 1.033050, 0.729469, -0.603236, 0.057529, -1.375848],
            [1.041841, 0.977474, -2.156025, -0.869711, 1.018707, 0.548201, -0.080299, -0.328119],
        ],
    )
    assert abs(np.abs(query_BQE).sum() - 39.019221) < 1e-6
    logits = (query_BQE.numpy() @ STATE["itm_head.weight"].T + STATE["itm_head.bias"]).mean(1)
    close(logits, [[0.247518, -0.754276], [-1.171603, -0.217947]])


def test_golden_projections(golden):
    query = unit("vision_proj", golden(IMAGE)[0].numpy())
    text = unit("text_proj", golden(ids_BL=IDS)[1][:, 0].numpy())
    close(query[:, 0], [[-0.203636, 0.732175, -0.495631, -0.420479], [0.366250, 0.767130, -0.363544, 0.381062]])
    close(text, [[-0.287785, -0.398019, 0.362185, 0.792201], [-0.333246, -0.352757, 0.690047, 0.536977]])
    similarity = np.einsum("iqd,td->iqt", query, text).max(1)
    close(similarity, [[0.488277, 0.586179], [-0.001339, -0.122683]])


def test_padding_is_not_seen(golden):
    longer = np.pad(IDS, ((0, 0), (0, 3)), constant_values=-1)
    for image in (None, IMAGE):
        for one, other in zip(golden(image, IDS), golden(image, longer), strict=True):
            if one is not None:
                np.testing.assert_allclose(other[:, : one.shape[1]][0], one[0], atol=1e-6)
                np.testing.assert_allclose(other[1, :3], one[1, :3], atol=1e-6)


def test_without_words_only_the_image_mode_is_left():
    made = tiny(vocabulary_size=0)
    names = set(weights.named(made))
    assert not [name for name in names if "text" in name]
    assert names < set(weights.named(tiny()))
    weights.assign(made, {name: array for name, array in apply(FAMILY, STATE).items() if name in names})
    full = tiny()
    weights.assign(full, apply(FAMILY, STATE))
    np.testing.assert_allclose(made(IMAGE)[0], full(IMAGE)[0], atol=1e-6)


def test_dropout_acts_in_training_only():
    made = tiny(dropout=0.5)
    still = made(IMAGE, IDS)[0]
    np.testing.assert_array_equal(made(IMAGE, IDS)[0], still)
    assert np.abs(made(IMAGE, IDS, training=True)[0] - still).max() > 1e-2


def test_mixed_precision_is_close():
    full = tiny()
    weights.assign(full, apply(FAMILY, STATE))
    with policy("mixed_bfloat16"):
        half = tiny()
    weights.assign(half, apply(FAMILY, STATE))
    for one, other in zip(full(IMAGE, IDS), half(IMAGE, IDS), strict=True):
        np.testing.assert_allclose(tf.cast(other, "float32"), one, atol=0.1)


def test_any_number_of_images_in_a_graph(golden):
    run = tf.function(
        lambda image, ids: golden(image, ids)[0],
        input_signature=[tf.TensorSpec([None, None, 6]), tf.TensorSpec([None, None], tf.int32)],
    )
    np.testing.assert_allclose(run(IMAGE[:1].astype("float32"), IDS[:1]), golden(IMAGE, IDS)[0][:1], atol=1e-6)
    assert run(IMAGE[:0].astype("float32"), IDS[:0]).shape == (0, 3, 8)


def built(layer):
    layer.build()
    return layer


@pytest.mark.parametrize(("image_width", "parameters"), [(1024, 182_121_216), (1408, 185_660_160)])
def test_published_size(image_width, parameters):
    shapes = weights.planned(lambda: built(QFormer(image_width)))
    queries = shapes.pop("queries")
    assert (queries, len(shapes), size(shapes)) == ((32, 768), 328, parameters)


def test_heads_and_language_model_are_known_and_unused():
    """On the whole published file, without numbers: each name is used or known, each of our weights is set."""
    names = qformer() | heads() | language_model() | {"ln_vision.weight": (1024,), "visual_encoder.conv1.weight": (1,)}
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in names.items()}
    assert FAMILY.fits(state)
    got = {name: array.shape for name, array in apply(FAMILY, state).items()}
    assert got == weights.planned(lambda: built(QFormer(1024, **FAMILY.part(state))))


def test_an_unknown_size_is_refused():
    with pytest.raises(ValueError, match=r"width, heads.*depth"):
        QFormer(6, depth=3)
