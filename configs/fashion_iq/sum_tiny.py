"""Sum of the two features on FashionIQ, all kinds together, with a small image tower.

Every caption is an example of its own, as in VAL. It is scored under three protocols in print, whose figures do not
compare. The data needs a copy of one's own; no numbers of ours.

python -m cir_tf.train --config=configs/fashion_iq/sum_tiny.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="fashion_iq",
        subset="all",
        sampler={"name": "stored", "captions": "each_caption"},
        fit="pad",
        evals=("fashion_iq_original", "fashion_iq_original_excluded", "fashion_iq_val"),
        total_steps=20_000,
        image_encoder={"name": "image_tiny", "image_size": 128, "widths": (32, 64, 128, 256)},
        text_encoder={"name": "text_lstm", "width": 256, "dropout": 0.1},
        compositor={"name": "sum"},
        augment={"shift_pixels": 6, "unknown_word_share": 0.1},
    )
    return small(
        config,
        arg,
        image_encoder={"image_size": 16, "widths": (4, 4, 4, 8)},
        text_encoder={"width": 16},
        augment={"shift_pixels": 1},
    )
