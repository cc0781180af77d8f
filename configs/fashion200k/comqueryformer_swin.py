"""ComqueryFormer on Fashion200k (IEEE TMM 2023); pairs are drawn at run time, as in TIRG.

The paper prints 52.2 R@10 and 72.2 R@50, in percent, under `fashion200k_test`, and no R@1. The released code has no
command for this dataset, and its evaluation stops with an error; what is not said here is its options' plain values:
batches of 64, 100 epochs. The data needs a copy of one's own; no numbers of ours.

As published: pictures are resized and cut in the middle in training, too; all targets of a batch but a query's own are
negatives; words are deleted inside other words to find pairs. How the towers start as published:
configs/fashion_iq/comqueryformer_swin.py.

Cost: some 8 TFLOP a step, forth and back, 64 / 24 of FashionIQ's; at its speed 269,000 steps would take more than a
year on two CPU cores, and one did not fit in 23 GiB (docs/training.md). Not timed on a GPU.

python -m cir_tf.train --config=configs/fashion200k/comqueryformer_swin.py
"""

from cir_tf.config import base, small


def get_config(arg=None):
    config = base(
        dataset="fashion200k",
        subset="tirg",
        sampler={"name": "replaced_word", "deletes_inside_words": True, "pairs_reordered_captions": True},
        fit="shorter_crop",
        evals=("fashion200k_test",),
        batch_size=64,
        total_steps=268_800,  # 100 epochs of 172,049 pictures
        width=768,
        image_encoder={"name": "image_swin", "image_size": 224, "weights": ""},
        text_encoder={"name": "text_bert", "taps": (10, 11, 12), "max_length": 40, "weights": ""},
        compositor={"name": "comqueryformer"},
        objective={"name": "batch_classification", "length": "own", "mask_duplicates": False},
        optimizer={"name": "adam", "learning_rate": 5e-5, "epsilon": 1e-6},
        learning_rate_groups=(("image_encoder/|text_encoder/", 0.2),),
        schedule={"name": "linear", "warmup_percent": 10.0},
    )
    return small(
        config,
        arg,
        batch_size=4,
        image_encoder={"image_size": 64, "stem_width": 4, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 4)},
        text_encoder={"width": 8, "heads": 2, "layers": 1, "mlp_width": 12, "taps": (1,)},
        compositor={"layers": 1, "heads": 2, "mlp_ratio": 2, "regions": 2, "levels": 1},
    )
