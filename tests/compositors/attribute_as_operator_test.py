import numpy as np

from cir_tf.compositors.attribute_as_operator import AttributeAsOperator
from tests.golden import S, close, policy

IMAGE, TEXT = S((3, 4), 0.5, 0.2), S((3, 2), 0.8, -0.3)


def make(text_BE):
    with policy("float64"):
        compositor = AttributeAsOperator(width=4)
        compositor.fuse(IMAGE, text_BE)
    compositor.operator.kernel.assign(S((text_BE.shape[1], 4, 4), 0.37, 0.6))
    return compositor


def test_query_is_the_texts_matrix_times_the_image():
    dense = S((2, 4, 4), 0.37, 0.6)  # [E, n, m]
    expected = []
    for image_D, text_E in zip(IMAGE, TEXT, strict=True):
        operator = np.eye(4) + text_E[0] * dense[0].T + text_E[1] * dense[1].T
        expected.append(operator @ image_D)
    close(make(TEXT).fuse(IMAGE, TEXT), expected, atol=1e-12)


def test_one_vector_per_adjective_is_one_matrix_per_adjective():
    one_hot_BE = np.eye(5)[[3, 0, 3]]
    compositor = make(one_hot_BE)
    kernel = S((5, 4, 4), 0.37, 0.6)
    expected = [image_D + kernel[number].T @ image_D for image_D, number in zip(IMAGE, (3, 0, 3), strict=True)]
    close(compositor.fuse(IMAGE, one_hot_BE), expected, atol=1e-12)


def test_starts_near_the_identity():
    compositor = AttributeAsOperator(width=256)
    rng = np.random.default_rng(5)
    image_BD, text_BE = rng.normal(size=(8, 256)).astype("float32"), rng.normal(size=(8, 48)).astype("float32")
    moved = np.linalg.norm(compositor.fuse(image_BD, text_BE) - image_BD) / np.linalg.norm(image_BD)
    assert 0.05 < moved < 0.07  # 0.1 / sqrt(3)
