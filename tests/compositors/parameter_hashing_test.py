import numpy as np
import pytest

from cir_tf.compositors.parameter_hashing import ParameterHashing, hashes
from cir_tf.types import Features
from tests.golden import S, policy

IMAGE, TEXT = S((3, 4), 0.5, 0.2), S((3, 2), 0.8, -0.3)


def murmur(place):
    """The last step of MurmurHash3 in Python's own integers."""
    place ^= place >> 16
    place = place * 0x85EBCA6B % 2**32
    place ^= place >> 13
    place = place * 0xC2B2AE35 % 2**32
    return place ^ place >> 16


def test_golden_hash():
    assert [murmur(place) for place in (1, 2)] == [0x514E28B7, 0x30F4C306]  # published values of the mixing step
    index_DE, sign_DE = hashes(5, 7, 11)
    for place in range(35):
        bits = murmur(place)
        assert index_DE.flat[place] == bits % 2**31 % 11
        assert sign_DE.flat[place] == (-1 if bits >= 2**31 else 1)


def test_places_and_signs_are_spread_evenly():
    index_DE, sign_DE = hashes(512, 512, 4096)
    count_K = np.bincount(index_DE.ravel(), minlength=4096)
    assert abs(count_K.std() - 8) < 0.5  # 64 places each, as if thrown at random: a deviation of 8
    assert abs(sign_DE.mean()) < 5e-3
    assert np.abs(sign_DE.mean(axis=0)).max() < 0.25 > np.abs(sign_DE.mean(axis=1)).max()
    assert abs(np.corrcoef(index_DE.ravel(), sign_DE.ravel())[0, 1]) < 5e-3


def test_query_is_the_hashed_matrix_times_the_image():
    with policy("float64"):
        compositor = ParameterHashing(width=5, length=3)
        query_BD = compositor.compose(Features(IMAGE), Features(TEXT))["main"]
    kernel, bias = (weight.numpy() for weight in compositor.hashed.parameters.weights)
    index_DE, sign_DE = hashes(5, 4, 3)
    for image_E, text_E, query_D in zip(IMAGE, TEXT, query_BD.numpy(), strict=True):
        p_K = text_E @ kernel + bias
        for m in range(5):
            expected = sum(sign_DE[m, n] * p_K[index_DE[m, n]] * image_E[n] for n in range(4))
            np.testing.assert_allclose(query_D[m], expected, atol=1e-12)


@pytest.mark.parametrize(("text_size", "least", "most"), [(0.1, 0.8, 1.2), (1.0, 1.1, 1.7)])
def test_query_starts_as_large_as_the_target(text_size, least, most):
    compositor = ParameterHashing(width=256)
    rng = np.random.default_rng(5)
    image, text = Features(rng.uniform(0, 2, (8, 320))), Features(text_size * rng.normal(size=(8, 48)))
    query_BD, target_BD = compositor.compose(image, text)["main"], compositor.project_target(image)["main"]
    assert least < np.linalg.norm(query_BD) / np.linalg.norm(target_BD) < most


def test_a_text_makes_at_least_one_parameter():
    with pytest.raises(ValueError, match="Received: length=0"):
        ParameterHashing(length=0)
