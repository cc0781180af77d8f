import numpy as np
import pytest

from cir_tf.encoders.image_tiny import ImageTiny
from tests.golden import S


def test_every_block_halves_the_side():
    features = ImageTiny(image_size=20, widths=(3, 5, 7))(np.zeros((2, 20, 20, 3), "uint8"))
    assert [tuple(each.shape) for each in features.maps] == [(2, 10, 10, 3), (2, 5, 5, 5), (2, 3, 3, 7)]
    np.testing.assert_allclose(features.pooled_BE, np.mean(features.maps[-1], axis=(1, 2)), atol=1e-6)


def test_pixels_are_centred():
    encoder = ImageTiny(image_size=8, widths=(4,))
    image = np.full((1, 8, 8, 3), 127.5, "float32")
    np.testing.assert_allclose(encoder(image).pooled_BE, np.zeros((1, 4)))  # grey is zero, and there is no bias
    picture = (127.5 + 127.5 * S((1, 8, 8, 3), 0.9, 0.1)).astype("float32")
    conv, _ = encoder.blocks[0]
    expected = np.maximum(conv(picture / 127.5 - 1), 0) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(encoder(picture).maps[0], expected, atol=1e-6)


@pytest.mark.parametrize("widths", [(), (2, 2, 2, 2)])
def test_no_block_or_too_many_are_refused(widths):
    with pytest.raises(ValueError, match="image_size=8"):
        ImageTiny(image_size=8, widths=widths)
