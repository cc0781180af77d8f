"""Inference of each tower at its published size, against PyTorch in as many threads; random weights.

Where other work is on the machine, PyTorch's threads wait for each other, ours do not; compare single threads there:
TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 python scripts/bench.py encoders

The references are transformers' Swin, BERT and EVA, and plain PyTorch for what it does not have: torchvision's, slim's
and OpenAI's networks, and LSTMs. Of the largest towers, whose blocks are all alike, only a few blocks are run.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cir_tf import registry
from cir_tf.encoders import (
    image_blip2_vit,
    image_clip_resnet,
    image_clip_vit,
    image_mobilenet,
    image_resnet,
    image_resnet_v2,
    image_swin,
    text_bert,
    text_clip,
)
from cir_tf.errors import UserError
from scripts.benchmarks.base import WORDS, compare

BIG = True
BATCH = 8
SIDE, NARROW_SIDE = 224, 64


class Tower(NamedTuple):
    """A tower at its published size, and what makes it small."""

    encoder: str
    sizes: dict
    narrow: dict
    words: int = 0  # of a text


NARROW_VIT = {"patch": 32, "heads": 2, "layers": 1}
TOWERS = {
    "ResNet-18": Tower("image_resnet", image_resnet.VARIANTS["resnet18"], {"stem_width": 4}),
    "ResNet-50": Tower("image_resnet", image_resnet.VARIANTS["resnet50"], {"stem_width": 4}),
    "ResNet-50 v2": Tower("image_resnet_v2", image_resnet_v2.VARIANTS["resnet50_v2"], {"stem_width": 4}),
    "MobileNet": Tower("image_mobilenet", image_mobilenet.VARIANTS["mobilenet_v1"], {"widths": (4,) * 13}),
    "CLIP RN50x4": Tower(
        "image_clip_resnet", image_clip_resnet.VARIANTS["RN50x4"], {"stem_width": 4, "heads": 2, "image_size": 64}
    ),
    "CLIP ViT-B/32": Tower(
        "image_clip_vit",
        image_clip_vit.VARIANTS["ViT-B/32"],
        {**NARROW_VIT, "token_width": 8, "image_size": 64},
    ),
    "BLIP-2 ViT-L, 4 blocks": Tower(
        "image_blip2_vit",
        image_blip2_vit.VARIANTS["vit_l"] | {"layers": 4},
        {**NARROW_VIT, "width": 8, "mlp_width": 32},
    ),
    "BLIP-2 EVA, 2 blocks": Tower(
        "image_blip2_vit", image_blip2_vit.VARIANTS["eva_g"] | {"layers": 2}, {**NARROW_VIT, "width": 8, "mlp_width": 9}
    ),
    "EVA block, Q-Former": Tower(
        "image_blip2",
        {"variant": "eva_g", "tower": {"layers": 1}, "qformer": {}},
        {
            "tower": {**NARROW_VIT, "width": 8, "mlp_width": 9},
            "qformer": {"width": 8, "heads": 2, "layers": 1, "mlp_width": 9, "queries": 3},
        },
    ),
    "Swin-T": Tower(
        "image_swin", image_swin.VARIANTS["swin_tiny"], {"stem_width": 4, "heads": (1, 1, 2, 2), "blocks": (1, 1, 1, 1)}
    ),
    "BERT": Tower(
        "text_bert",
        {key: text_bert.VARIANTS["bert_base"][key] for key in ("width", "heads", "layers", "mlp_width", "positions")},
        {"width": 8, "heads": 2, "layers": 1, "mlp_width": 9},
        40,
    ),
    "CLIP ViT-B/32 text": Tower(
        "text_clip", text_clip.VARIANTS["ViT-B/32"], {"token_width": 8, "heads": 2, "layers": 1}, 77
    ),
    "TIRG's LSTM": Tower("text_lstm", {"width": 512}, {"width": 8}, 12),
    "VAL's LSTM": Tower("text_gru", {"width": 512, "word_width": 512, "state_width": 1024}, {"state_width": 8}, 12),
}


def rows(sizes, repeat):
    """A `Row` for each tower.

    Raises:
        UserError: PyTorch or transformers is not installed.
    """
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise UserError(f"towers are compared with PyTorch's: pip install torch transformers ({error})") from error
    return (row(sizes, name, repeat) for name in TOWERS)


def row(sizes, name, repeat):
    """One tower of `TOWERS`, a batch at a time."""
    tower = TOWERS[name]
    arguments = {**tower.sizes, **(tower.narrow if sizes.narrow else {})}
    rng = np.random.default_rng(0)
    if tower.words:
        inputs = rng.integers(1, len(WORDS) // 2, (BATCH, tower.words), np.int32)
        ours = ours_of(tower, {**arguments, "assets": registry.part("encoders", tower.encoder).make_assets(WORDS)})
    else:
        arguments = {"image_size": NARROW_SIDE if sizes.narrow else SIDE, **arguments}
        inputs = rng.uniform(0, 255, (BATCH, *[arguments["image_size"]] * 2, 3)).astype(np.float32)
        ours = ours_of(tower, arguments)
    bare = reference_of(tower, arguments)
    runs = (lambda: len(ours(inputs).pooled_BE.numpy()), lambda: bare(inputs))
    return compare(f"encode {name}, batch {BATCH}", "ms", *runs, repeat)


def ours_of(tower, arguments):
    """A compiled function of pictures or ids."""
    encoder = registry.create("encoders", tower.encoder, **arguments)
    return tf.function(encoder, reduce_retracing=True)


def reference_of(tower, sizes):
    """A function of the same inputs that runs PyTorch's network and returns how many items there were."""
    import torch

    from scripts.benchmarks import _torch_towers

    model = _torch_towers.MAKE[tower.encoder](sizes).eval()
    lengths = torch.full((BATCH,), tower.words)

    def run(inputs):
        inputs = torch.tensor(inputs, dtype=torch.long) if tower.words else torch.tensor(inputs).permute(0, 3, 1, 2)
        with torch.inference_mode():
            model(inputs, lengths) if tower.encoder in ("text_lstm", "text_gru") else model(inputs)
        return len(inputs)

    return run
