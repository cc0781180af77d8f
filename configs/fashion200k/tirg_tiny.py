"""TIRG on Fashion200k with a small image tower; pairs are drawn at run time, as published (Vo et al., CVPR 2019).

Every epoch draws a pair of captions that differ by one word for each training picture. The paper's 14.1 R@1 (table 1,
ResNet-18) does not compare: the tower is small here. The data needs a copy of one's own; no numbers of ours.

python -m cir_tf.train --config=configs/fashion200k/tirg_tiny.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="fashion200k",
        subset="tirg",
        sampler={
            "name": "replaced_word",
            "deletes_inside_words": True,
            "pairs_reordered_captions": True,
            "vocabulary_from_captions_alone": True,
        },
        evals=("fashion200k_test",),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_tiny", "image_size": 128, "widths": (32, 64, 128, 256)},
        text_encoder={"name": "text_lstm", "width": 512, "dropout": 0.1, "empty_reads_padding": True},
        compositor={"name": "tirg"},
        optimizer={"name": "torch_sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-6},
        schedule={"name": "step_decay", "every": 50_000},
    )
    return small(
        config,
        arg,
        batch_size=4,
        image_encoder={"image_size": 16, "widths": (4, 4, 4, 8)},
        text_encoder={"width": 16},
    )
