"""TIRG on Fashion200k with the settings of the released code (Vo et al., CVPR 2019), and its whole table.

The paper's table 1, recall in percent, mean and standard deviation of five runs; on the right what runs a row here,
--config.compositor.name=NAME. Han et al. is another system.

                             R@1          R@10         R@50    NAME
    Han et al.              6.3          19.9         38.3
    image only              3.5          22.7         43.7     image_only
    text only               1.0          12.3         21.8     text_only
    concatenation          11.9 ±1.0     39.7 ±1.0    62.6 ±0.7  concat
    Show and Tell          12.3 ±1.1     40.2 ±1.7    61.8 ±0.9  show_and_tell --config.text_encoder.name=text_words
    parameter hashing      12.2 ±1.1     40.0 ±1.1    61.7 ±0.8  parameter_hashing
    relationship           13.0 ±0.6     40.5 ±0.7    62.4 ±0.6  relationship
    MRN                    13.4 ±0.4     40.0 ±0.8    61.9 ±0.6  mrn
    FiLM                   12.9 ±0.7     39.5 ±2.1    61.9 ±1.9  film_lastconv
    TIRG                   14.1 ±0.6     42.5 ±0.7    63.8 ±0.8  tirg

The best run of the released code, in its readme: 16.1 R@1. The sizes of the baselines are not in print; they are the
arguments of the compositors. The data needs a copy of one's own; no numbers of ours.

As published: every target of a batch but a query's own is a negative, also one of the same caption; words are deleted
inside other words to find pairs; "replace" and "with" are known words only if a caption has them; the image tower
learns at a tenth of the rate, its last dense layer, which is the compositor's, at the full one.

--config.image_encoder.weights=FILE starts from ImageNet, as published: python -m cir_tf.convert makes FILE of
torchvision's `resnet18` (docs/weights.md). Without it the tower starts from random numbers, which a tenth of the rate
does not suit: --config.learning_rate_groups="()".

Cost: 64 pictures through ResNet-18 at 224 pixels, forth and back, are some 0.7 TFLOP a step; 160,000 steps are weeks
on a few CPU cores, and were not run or timed on a GPU.

python -m cir_tf.train --config=configs/fashion200k/tirg_resnet18.py
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
        fit="shorter_crop",
        evals=("fashion200k_test",),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_resnet", "variant": "resnet18", "image_size": 224, "weights": ""},
        text_encoder={"name": "text_lstm", "width": 512, "empty_reads_padding": True},
        compositor={"name": "tirg"},
        objective={"name": "batch_classification", "mask_duplicates": False},
        optimizer={"name": "torch_sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-6},
        learning_rate_groups=(("image_encoder/", 0.1),),
        schedule={"name": "step_decay", "every": 50_000},
    )
    return small(
        config,
        arg,
        batch_size=4,
        image_encoder={"image_size": 32, "stem_width": 4, "blocks": (1, 1, 1, 1)},
        text_encoder={"width": 16},
    )
