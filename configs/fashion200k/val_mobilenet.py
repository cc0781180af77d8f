"""VAL on Fashion200k, with the settings of the released code (Chen et al., CVPR 2020).

The paper's figures, R@1 / R@10 / R@50 in percent: 21.2 / 49.0 / 68.8 with this loss alone, 21.5 / 53.8 / 73.3 with a
first stage on descriptions (docs/training.md), 22.9 / 50.8 / 72.7 with GloVe; a survey has the last two R@50 the other
way round. The data needs a copy of one's own; no numbers of ours.

As published, and what is sane instead:
* negatives are masked by the positive distance of their own pair: --config.objective.mask=row
* pictures of one caption are each other's negatives: --config.objective.mask_duplicates=True
* in training, shorter texts take their maximum with zero: --config.text_encoder.padding_in_max=False
* "replace" and "with" are words only if a caption has them: --config.sampler.vocabulary_from_captions_alone=False

The published MobileNet has averages of its weights, from which averages start; here they start from the weights, which
after 80,000 steps leaves a share of 0.0003. The released code counts an update as two steps: its 160,000 are 80,000
here, and it is scored after 150,000, too: --config.total_steps=75_000; the learning rate falls to a tenth at 40,000.
Differs in that texts stay with their pictures, which its queue can mix up within a batch, and in having one tokenizer,
where it trains with another than it searches with.

--config.image_encoder.weights=FILE starts from ImageNet: slim's `mobilenet_v1_1.0_224`, by python -m cir_tf.convert.
GloVe: --config.text_encoder.word_vectors=FILE --config.text_encoder.word_width=300

Cost: MobileNet at 224 pixels, forward and backward, on two pictures of each of 2,560,000 pairs. A step
took 7 s on two CPU cores (docs/training.md).

python -m cir_tf.train --config=configs/fashion200k/val_mobilenet.py
"""

from cir_tf.config import base, small

# Of every convolution but the depthwise ones and of the text's projection; not of the LSTM, the attention or the words.
DECAYED = r"image_encoder/(stem|pointwise_\d+)/.*kernel$|text_encoder/dense/kernel$|compositor/.*/conv/kernel$"
NEW = {"norm_momentum": 0.9997, "norm_epsilon": 1e-3, "stddev": 0.09}


def get_config(arg=None):
    config = base(
        dataset="fashion200k",
        subset="tirg",
        sampler={
            "name": "replaced_word",
            "deletes_inside_words": True,
            "vocabulary_from_captions_alone": True,
            "distinct_pairs": True,
        },
        fit="tf1_squash",
        evals=("fashion200k_test",),
        batch_size=32,
        total_steps=80_000,
        width=512,
        image_encoder={"name": "image_mobilenet", "image_size": 224},
        text_encoder={"name": "text_gru", "width": 512, "word_width": 512, "padding_in_max": True, **NEW},
        compositor={"name": "val", "activation": "relu6", **NEW},
        objective={"name": "semi_hard", "mask": "column", "mask_duplicates": False},
        optimizer={"name": "adam", "learning_rate": 2e-4, "epsilon": 1e-8},
        coupled_decay_groups=((DECAYED, 4e-5),),
        averaging={"decay": 0.9999, "start": "restored"},
        schedule={"name": "step_decay", "every": 40_000},
        augment={"reference": "tf1_flip", "target": "tf1_flip"},
    )
    return small(
        config,
        arg,
        batch_size=2,
        image_encoder={"image_size": 32, "stem_width": 4, "widths": (4, 4, 8), "strides": (1, 2, 1), "taps": (1, 2, 3)},
        text_encoder={"width": 8, "word_width": 4, "state_width": 6},
    )
