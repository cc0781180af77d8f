"""VAL on FashionIQ, all kinds together, with the settings of the released code (Chen et al., CVPR 2020).

The paper's figures, R@10 / R@50 in percent, means over the three kinds under `fashion_iq_val`, where each caption is a
query of its own: 22.60 / 45.04 with this loss alone, 23.07 / 46.13 with a first stage on descriptions
(docs/training.md), 24.15 / 46.61 with GloVe. Others report that they could not reach them. The data needs a copy of
one's own; no numbers of ours.

As published, and what is sane instead:
* negatives are masked by the positive distance of their own pair: --config.objective.mask=row
* equally right targets are negatives: --config.objective.mask_duplicates=True
* in training, shorter texts take their maximum with zero: --config.text_encoder.padding_in_max=False
* words that stood once are unknown in the search: --config.text_encoder.unknown_singles=False
* captions are cut at ";": --config.sampler.captions=each_caption
* averages start before ImageNet's weights are read, so that after 25,000 steps 8.2 % of each averaged weight is still
  random: --config.averaging.start=restored

The released code counts an update as two steps: its 50,000 are 25,000 here, 22 epochs.

--config.image_encoder.weights=FILE starts from ImageNet: slim's `resnet_v2_50`, by python -m cir_tf.convert. GloVe:
--config.text_encoder.word_vectors=glove.6B.300d.txt --config.text_encoder.word_width=300

Cost: ResNet-50 at 256 pixels, forward and backward, on two pictures of each of 800,000 pairs. A
step took 48 s on two CPU cores (docs/training.md).

python -m cir_tf.train --config=configs/fashion_iq/val_resnet50v2.py
"""

from cir_tf.config import base, small

# Of every convolution and of the text's projection; not of the LSTM, the attention or the words.
DECAYED = r"image_encoder/.*kernel$|text_encoder/dense/kernel$|compositor/.*/conv/kernel$"


def get_config(arg=None):
    config = base(
        dataset="fashion_iq",
        subset="all",
        sampler={"name": "stored", "captions": "each_caption_as_published"},
        fit="tf1_squash",
        evals=("fashion_iq_val",),
        batch_size=32,
        total_steps=25_000,
        width=512,
        image_encoder={"name": "image_resnet_v2", "image_size": 256},
        text_encoder={
            "name": "text_gru",
            "width": 512,
            "word_width": 512,
            "padding_in_max": True,
            "unknown_singles": True,
        },
        compositor={"name": "val"},
        objective={"name": "semi_hard", "mask": "column", "mask_duplicates": False},
        optimizer={"name": "adam", "learning_rate": 2e-4, "epsilon": 1e-8},
        coupled_decay_groups=((DECAYED, 4e-5),),
        averaging={"decay": 0.9999, "start": "initial"},
        schedule={"name": "constant"},
        augment={"reference": "tf1_flip_and_crop", "target": "tf1_flip_and_crop"},
    )
    return small(
        config,
        arg,
        image_encoder={"image_size": 32, "stem_width": 2, "blocks": (1, 1, 1)},
        text_encoder={"width": 8, "word_width": 4, "state_width": 6},
    )
