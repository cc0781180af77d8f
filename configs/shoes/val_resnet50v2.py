"""VAL on Shoes, with the settings of the released code (Chen et al., CVPR 2020).

The paper's figures, R@1 / R@10 / R@50 in percent on VAL's gallery (`shoes_test_val`): 16.49 / 49.12 / 73.53 with this
loss alone, 16.98 / 49.83 / 73.91 with a first stage on descriptions (docs/training.md), 17.18 / 51.52 / 75.83 with
GloVe. A copy without VAL's list has `shoes_test` alone: --config.evals="('shoes_test',)". The data needs a copy of
one's own; no numbers of ours.

As published, and what is sane instead:
* negatives are masked by the positive distance of their own pair: --config.objective.mask=row
* equally right targets are negatives: --config.objective.mask_duplicates=True
* in training, shorter texts take their maximum with zero: --config.text_encoder.padding_in_max=False
* averages start before ImageNet's weights are read, so that after 15,000 steps 22.3 % of each averaged weight is still
  random: --config.averaging.start=restored

The released code counts an update as two steps: its 30,000 are 15,000 here, and it is scored after 20,000, too:
--config.total_steps=10_000. Differs in the rows, which its files hold twice (17,954 lines of 8,990 rows, 3,492 of 1,761
test rows), so that its 27 epochs are 53 here; in the vocabulary, which has the descriptions' words there without a
first stage, too. Words that stood once are unknown in its search, but in files that hold each row twice hardly one is:
here they are read as they were trained.

--config.image_encoder.weights=FILE starts from ImageNet: slim's `resnet_v2_50`, by python -m cir_tf.convert. GloVe:
--config.text_encoder.word_vectors=glove.42B.300d.txt --config.text_encoder.word_width=300

Cost: ResNet-50 at 256 pixels, forward and backward, on two pictures of each of 480,000 pairs. A
step took 41 s on two CPU cores (docs/training.md).

python -m cir_tf.train --config=configs/shoes/val_resnet50v2.py
"""

from cir_tf.config import base, small

# Of every convolution and of the text's projection; not of the LSTM, the attention or the words.
DECAYED = r"image_encoder/.*kernel$|text_encoder/dense/kernel$|compositor/.*/conv/kernel$"


def get_config(arg=None):
    config = base(
        dataset="shoes",
        subset="guo2018",
        fit="tf1_squash",
        evals=("shoes_test_val", "shoes_test"),
        batch_size=32,
        total_steps=15_000,
        width=512,
        image_encoder={"name": "image_resnet_v2", "image_size": 256},
        text_encoder={"name": "text_gru", "width": 512, "word_width": 512, "padding_in_max": True},
        compositor={"name": "val"},
        objective={"name": "semi_hard", "mask": "column", "mask_duplicates": False},
        optimizer={"name": "adam", "learning_rate": 2e-4, "epsilon": 1e-8},
        coupled_decay_groups=((DECAYED, 4e-5),),
        averaging={"decay": 0.9999, "start": "initial"},
        schedule={"name": "constant"},
        augment={"reference": "tf1_flip", "target": "tf1_flip"},
    )
    return small(
        config,
        arg,
        batch_size=2,
        image_encoder={"image_size": 32, "stem_width": 2, "blocks": (1, 1, 1)},
        text_encoder={"width": 8, "word_width": 4, "state_width": 6},
    )
