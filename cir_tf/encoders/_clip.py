"""What CLIP's towers share.

Dimension key: B batch, H W C image.
"""

import numpy as np
from keras import ops

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(image_BHWC, dtype):
    """(image / 255 - mean) / deviation, each colour with its own.

    Args:
        image_BHWC: RGB, 0..255.
        dtype: of the computation.
    """
    scale = 1 / (255 * np.array(DEVIATION))
    shift = np.array(MEAN) / np.array(DEVIATION)
    return ops.cast(image_BHWC, dtype) * ops.cast(scale, dtype) - ops.cast(shift, dtype)
