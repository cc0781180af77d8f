"""TIRG on MIT-States with the settings of the released code (Vo et al., CVPR 2019), and its whole table.

The paper's table 2, recall in percent, mean and standard deviation of five runs; on the right what runs a row here,
--config.compositor.name=NAME.

                             R@1          R@5          R@10    NAME
    image only              3.3 ±0.1     12.8 ±0.2    20.9 ±0.1  image_only
    text only               7.4 ±0.4     21.5 ±0.9    32.7 ±0.8  text_only
    concatenation          11.8 ±0.2     30.8 ±0.2    42.1 ±0.3  concat
    Show and Tell          11.9 ±0.1     31.0 ±0.5    42.0 ±0.8  show_and_tell --config.text_encoder.name=text_words
    Attribute as Operator   8.8 ±0.1     27.3 ±0.3    39.1 ±0.3  attribute_as_operator, and see below
    relationship           12.3 ±0.5     31.9 ±0.7    42.9 ±0.9  relationship
    MRN                    11.9 ±0.6     30.5 ±0.3    41.0 ±0.2  mrn
    FiLM                   10.1 ±0.3     27.7 ±0.7    38.3 ±0.7  film_lastconv
    TIRG                   12.2 ±0.4     31.9 ±0.3    43.1 ±0.3  tirg

The best run of the released code, in its readme: 13.2 R@1. The sizes of the baselines are not in print; they are the
arguments of the compositors. The data needs a copy of one's own; no numbers of ours.

Attribute as Operator has one matrix per adjective where its text is one vector per adjective, narrow but with more
numbers than there are adjectives (115): --config.text_encoder.name=text_words --config.text_encoder.width=128
These are 512 x 512 x 128 weights, 34 million, three times the image tower.

As published: two queries in a row share their reference, so that batches have an even number, and a target may have the
reference's own adjective; rows of a batch with the same answer are negatives of each other, and the gradient of the
triplets is halved; the image tower learns at a tenth of the rate, its last dense layer, which is the compositor's, at
the full one.

--config.image_encoder.weights=FILE starts from ImageNet, as published: python -m cir_tf.convert makes FILE of
torchvision's `resnet18` (docs/weights.md). Without it the tower starts from random numbers, which a tenth of the rate
does not suit: --config.learning_rate_groups="()".

Cost: 64 pictures through ResNet-18 at 224 pixels, forth and back, are some 0.7 TFLOP a step; 160,000 steps are weeks
on a few CPU cores, and were not run or timed on a GPU.

python -m cir_tf.train --config=configs/mit_states/tirg_resnet18.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="mit_states",
        subset="tirg",
        sampler={"name": "new_state", "own_state": True},
        fit="shorter_crop",
        evals=("mit_states_test", "mit_states_test_adjective", "mit_states_test_noun"),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_resnet", "variant": "resnet18", "image_size": 224, "weights": ""},
        text_encoder={"name": "text_lstm", "width": 512, "empty_reads_padding": True},
        compositor={"name": "tirg"},
        objective={"name": "soft_triplet", "half_gradient": True, "negatives_by_position": True},
        optimizer={"name": "torch_sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-5},
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
