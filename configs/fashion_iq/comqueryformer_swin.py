"""ComqueryFormer on FashionIQ, all kinds together, with the settings of the released code (IEEE TMM 2023).

The paper's figures, R@10 / R@50 in percent; their gap is that of the galleries. Which test pictures and which of the
evaluated epochs they are of is not in print.

                                      dress          shirt          toptee         mean
    fashion_iq_val_both_orders        33.86 / 61.08  35.57 / 62.19  42.07 / 69.30  37.17 / 64.19, both 50.68
    fashion_iq_original_both_orders   28.85 / 55.38  25.64 / 50.22  33.61 / 60.48  29.37 / 55.36, both 42.36

The data needs a copy of one's own; no numbers of ours.

As published: each row is two examples, its captions in either order; crops and mirrors of both pictures; all targets
of a batch but a query's own are negatives; the towers learn at a fifth of the rate. The released code crops and mirrors
the pictures of the test at random as well, which makes its figures noisy. Here they are resized and cut in the middle;
--config.fit=crop_and_flip --no_export gives the published way, except that a picture is cut alike as a reference and
in the gallery, and in every evaluation.

The towers start from ImageNet and from BERT as published with files that python -m cir_tf.convert makes of timm's
`swin_tiny_patch4_window7_224` and of Hugging Face's `bert-base-uncased`, and with the latter's vocabulary:
--config.image_encoder.weights=FILE --config.text_encoder.weights=FILE --config.tokenizer_file=vocab.txt
Without, they start from random numbers, which a fifth of the rate does not suit, and the vocabulary is made of the
training texts.

Cost: 3.1 TFLOP a step, forth and back, over 24 pairs of pictures, which took 52 s on two CPU cores (docs/training.md);
150,000 steps would take 90 days there. Not timed on a GPU.

python -m cir_tf.train --config=configs/fashion_iq/comqueryformer_swin.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="fashion_iq",
        subset="all",
        sampler={"name": "stored", "captions": "both_orders"},
        fit="shorter_crop",
        evals=("fashion_iq_original_both_orders", "fashion_iq_val_both_orders"),
        batch_size=24,
        total_steps=150_000,  # 100 epochs of 36,000 examples
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
        image_encoder={"image_size": 64, "stem_width": 4, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 4)},
        text_encoder={"width": 8, "heads": 2, "layers": 1, "mlp_width": 12, "taps": (1,)},
        compositor={"layers": 1, "heads": 2, "mlp_ratio": 2, "regions": 2, "levels": 1},
    )
