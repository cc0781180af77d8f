import numpy as np

from cir_tf import registry
from tests.golden import S


def test_baselines_are_the_image_the_text_and_their_sum():
    image_BD, text_BD = S((2, 4), 0.5, 0.2), S((2, 4), 0.8, -0.3)
    expected = {"image_only": image_BD, "text_only": text_BD, "sum": image_BD + text_BD}
    for name, query_BD in expected.items():
        np.testing.assert_array_equal(registry.create("compositors", name, width=4).fuse(image_BD, text_BD), query_BD)
