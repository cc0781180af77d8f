"""TIRG's published settings, but for the image tower: SGD, batches of 32, soft triplets with their half gradient.

Pairs of queries with one reference are drawn at run time; they share a batch, as batches have an even number.

Differs from Vo et al., CVPR 2019 (released code, `--dataset css3d --model tirg_lastconv`) in the tower, which is small
here instead of ResNet-18, and in the pictures, which are generated. 160,000 steps are days on two cores.

python -m cir_tf.train --config=configs/css/tirg_published.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="css",
        subset="css3d_generated",
        sampler={"name": "modifications"},
        evals=("css3d_generated_test",),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_tiny", "image_size": 72, "widths": (64, 128, 256, 512)},
        text_encoder={"name": "text_lstm", "width": 512, "dropout": 0.1, "empty_reads_padding": True},
        compositor={"name": "tirg_lastconv"},
        objective={"name": "soft_triplet", "half_gradient": True, "negatives_by_position": True},
        optimizer={"name": "torch_sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-6},
        schedule={"name": "step_decay", "every": 9_999_999},
    )
    return small(
        config,
        arg,
        subset="css3d_tiny",
        evals=("css3d_tiny_test",),
        image_encoder={"widths": (4, 4, 4, 8)},
        text_encoder={"width": 16},
    )
