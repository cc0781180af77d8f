import numpy as np

from cir_tf.compositors.film import FiLM, modulate
from tests.golden import S, close


def test_golden_modulation():
    query = modulate(S((3, 4), 0.5, 0.2), S((3, 4), 0.3, 0.5), S((3, 4), 0.2, -0.1))
    close(query[0], [-0.004586, 0.561967, 1.126160, 1.456661])
    close(query.sum(), 11.591581497698, atol=6e-13)


def test_layers_give_gamma_less_one_and_beta():
    film = FiLM(width=4)
    image_BD, text_BD = S((3, 4), 0.5, 0.2).astype("float32"), S((3, 2), 0.8, -0.3).astype("float32")
    film.fuse(image_BD, text_BD)
    film.gamma_dense.set_weights([S((2, 4), 0.3, 0.1), S((4,), 0.2, 0.4)])
    film.beta_dense.set_weights([S((2, 4), 0.5, 0.6), S((4,), 0.9, 0.7)])
    gamma = 1 + text_BD @ S((2, 4), 0.3, 0.1) + S((4,), 0.2, 0.4)
    beta = text_BD @ S((2, 4), 0.5, 0.6) + S((4,), 0.9, 0.7)
    np.testing.assert_allclose(film.fuse(image_BD, text_BD), gamma * image_BD + beta, atol=1e-6)
