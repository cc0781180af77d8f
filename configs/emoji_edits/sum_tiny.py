"""Sum of the two features on `emoji_edits`.

python -m cir_tf.train --config=configs/emoji_edits/sum_tiny.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="emoji_edits",
        subset="people",
        train_gallery="people",
        evals=(
            "emoji_edits_test",
            "emoji_edits_test_all",
            "emoji_edits_test_roles",
            "emoji_edits_test_paraphrase",
            "emoji_edits_validation",
        ),
        image_encoder={"name": "image_tiny", "image_size": 72, "widths": (32, 64, 128, 256)},
        text_encoder={"name": "text_lstm", "width": 256},
        compositor={"name": "sum"},
        augment={"shift_pixels": 4, "unknown_word_share": 0.2},
    )
    return small(
        config,
        arg,
        image_encoder={"widths": (4, 4, 4, 8)},
        text_encoder={"width": 16},
        evals=("emoji_edits_validation",),
    )
