"""TIRG on generated `css`, 3-D to 3-D, with a small image tower.

The data is generated: the paper's 73.7 R@1 (CSS3D, Vo et al., CVPR 2019, table 3) was reached on other pictures.

python -m cir_tf.train --config=configs/css/tirg_tiny.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="css",
        subset="css3d_generated",
        evals=("css3d_generated_test", "css3d_generated_validation"),
        image_encoder={"name": "image_tiny", "image_size": 72, "widths": (32, 64, 128, 256)},
        text_encoder={"name": "text_lstm", "width": 256},
        compositor={"name": "tirg"},
        augment={"shift_pixels": 2, "unknown_word_share": 0.0},
    )
    return small(
        config,
        arg,
        subset="css3d_tiny",
        evals=("css3d_tiny_test",),
        image_encoder={"widths": (4, 4, 4, 8)},
        text_encoder={"width": 16},
    )
