"""TIRG on MIT-States with a small image tower; states are drawn at run time, as published (Vo et al., CVPR 2019).

Two examples in a row share their reference, so batches have an even number. The paper's 12.2 R@1 (table 2, ResNet-18)
does not compare: the tower is small here. The data needs a copy of one's own; no numbers of ours.

python -m cir_tf.train --config=configs/mit_states/tirg_tiny.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="mit_states",
        subset="tirg",
        sampler={"name": "new_state", "own_state": True},
        evals=("mit_states_test", "mit_states_test_adjective", "mit_states_test_noun"),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_tiny", "image_size": 128, "widths": (32, 64, 128, 256)},
        text_encoder={"name": "text_lstm", "width": 512, "dropout": 0.1, "empty_reads_padding": True},
        compositor={"name": "tirg"},
        objective={"name": "soft_triplet", "half_gradient": True, "negatives_by_position": True},
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
