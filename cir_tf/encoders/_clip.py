"""What CLIP's towers share.

Dimension key: B batch, H W C image.
"""

import numpy as np
from keras import ops

from cir_tf.transformer import gelu, quick_gelu

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}  # of OpenAI's models, and of most of LAION's


def activation(name):
    """The function of a name.

    Raises:
        ValueError: none of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"Activations are {' and '.join(ACTIVATIONS)}. Received: activation={name!r}.")
    return ACTIVATIONS[name]


def clip_pixels(image_BHWC, dtype):
    """(image / 255 - mean) / deviation, each colour with its own.

    Args:
        image_BHWC: RGB, 0..255.
        dtype: of the computation.
    """
    scale = 1 / (255 * np.array(DEVIATION))
    shift = np.array(MEAN) / np.array(DEVIATION)
    return ops.cast(image_BHWC, dtype) * ops.cast(scale, dtype) - ops.cast(shift, dtype)
