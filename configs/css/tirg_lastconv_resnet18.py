"""TIRG on CSS, on the last map, with the settings of the released code (Vo et al., CVPR 2019), and its whole table.

The paper's table 3, R@1 in percent, mean and standard deviation of five runs; on the right what runs a row here,
--config.compositor.name=NAME.

                           3-D to 3-D   2-D to 3-D   NAME
    image only              6.3          6.3         image_only
    text only               0.1          0.1         text_only
    concatenation          60.6 ±0.8    27.3         concat
    Show and Tell          33.0 ±3.2     6.0         show_and_tell --config.text_encoder.name=text_words
    parameter hashing      60.5 ±1.9    31.4         parameter_hashing
    relationship           62.1 ±1.2    30.6         relationship
    MRN                    60.1 ±2.7    26.8         mrn
    FiLM                   65.6 ±0.5    43.7         film_lastconv
    TIRG                   73.7 ±1.0    46.6         tirg_lastconv

TIRG after the last dense layer (tirg): 71.2 in the paper. The best run of the released code, in its readme: 76.0. The
sizes of the baselines are not in print; they are the arguments of the compositors. 2-D to 3-D, which the released code
does not train: --config.subset=css2d --config.train_reference_gallery=train_2d --config.evals="('css2d_test',)".

The data is the authors' archive, of which one needs a copy (datasets_tfds/css/README.md); no numbers of ours. On
generated pictures, whose numbers do not compare: --config.subset=css3d_generated
--config.evals="('css3d_generated_test',)".

As published: two queries in a row share their reference, so that batches have an even number; rows of a batch with the
same answer are negatives of each other, and the gradient of the triplets is halved; everything learns at one rate,
which never falls. The released code takes pictures at their own size; here they fill a square, whole, as nothing of a
scene may be cut off: set --config.image_encoder.image_size to the side of your pictures (72 is that of the generated
ones).

--config.image_encoder.weights=FILE starts from ImageNet, as published: python -m cir_tf.convert makes FILE of
torchvision's `resnet18` (docs/weights.md). Without it the tower starts from random numbers.

Cost: 64 pictures through ResNet-18 at 72 pixels, forth and back, are some 0.1 TFLOP a step; 160,000 steps are days on a
few CPU cores, and were not run or timed on a GPU.

python -m cir_tf.train --config=configs/css/tirg_lastconv_resnet18.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="css",
        subset="css3d",
        sampler={"name": "modifications"},
        fit="squash",
        evals=("css3d_test",),
        batch_size=32,
        total_steps=160_000,
        width=512,
        image_encoder={"name": "image_resnet", "variant": "resnet18", "image_size": 72, "weights": ""},
        text_encoder={"name": "text_lstm", "width": 512, "empty_reads_padding": True},
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
        image_encoder={"image_size": 32, "stem_width": 4, "blocks": (1, 1, 1, 1)},
        text_encoder={"width": 16},
    )
