"""ComqueryFormer on CIRR (IEEE TMM 2023), scored on the validation split.

The paper's figures of the test split, in percent: R@1, 5, 10, 50 = 25.76, 61.76, 75.90, 95.13; R_subset@1, 2, 3 =
51.86, 76.26, 89.25; mean of R@5 and R_subset@1 56.81. They do not compare with the validation split;
python -m cir_tf.submit cirr_test makes the files for the server of the test split. The released code has nothing for
CIRR: the settings are those of FashionIQ, with one text a row. The data needs a copy of one's own; no numbers of ours.

How the towers start as published, and what the random test pictures of the released code are about:
configs/fashion_iq/comqueryformer_swin.py.

Cost: 3.1 TFLOP a step, forth and back, which took 53 s on two CPU cores (docs/training.md); 117,600 steps would take 72
days there. Not timed on a GPU.

python -m cir_tf.train --config=configs/cirr/comqueryformer_swin.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="cirr",
        subset="rc2",
        sampler={"name": "stored"},
        fit="shorter_crop",
        evals=("cirr_validation",),
        batch_size=24,
        total_steps=117_600,  # 100 epochs of 28,225 rows
        width=768,
        image_encoder={"name": "image_swin", "image_size": 224, "weights": ""},
        text_encoder={"name": "text_bert", "taps": (10, 11, 12), "max_length": 40, "weights": ""},
        compositor={"name": "comqueryformer"},
        objective={"name": "batch_classification", "length": "own", "mask_duplicates": False},
        optimizer={"name": "adam", "learning_rate": 5e-5, "epsilon": 1e-6},
        learning_rate_groups=(("image_encoder/|text_encoder/", 0.2),),
        schedule={"name": "linear", "warmup_percent": 10.0},
        augment={"reference": "crop_and_flip", "target": "crop_and_flip"},
    )
    return small(
        config,
        arg,
        batch_size=2,
        image_encoder={"image_size": 64, "stem_width": 4, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 4)},
        text_encoder={"width": 8, "heads": 2, "layers": 1, "mlp_width": 12, "taps": (1,)},
        compositor={"layers": 1, "heads": 2, "mlp_ratio": 2, "regions": 2, "levels": 1},
    )
