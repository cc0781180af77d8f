import numpy as np
import pytest

from cir_tf.compositors.mrn import MRN
from tests.golden import S, close, policy

IMAGE, TEXT = S((3, 4), 0.5, 0.2), S((3, 4), 0.8, -0.3)


def make(blocks=1, text=TEXT):
    with policy("float64"):
        mrn = MRN(width=4, blocks=blocks)
        mrn.fuse(IMAGE, text)
    return mrn


def test_golden_query():
    mrn = make()
    weights = {"image_1": (0.3, 0.1), "image_2": (0.35, 0.2), "question": (0.25, 0.3), "shortcut": (0.45, 0.4)}
    for name, (step, start) in weights.items():
        getattr(mrn.blocks[0], name).set_weights([0.5 * S((4, 4), step, start), np.zeros(4)])
    query = mrn.fuse(IMAGE, TEXT).numpy()
    close(query[0], [-0.331549, -0.406369, -0.423382, -0.361367])
    close(query.sum(), -1.613310977157, atol=6e-13)


def test_blocks_chain_and_each_sees_the_image():
    text_BE = S((3, 2), 0.8, -0.3)
    mrn = make(blocks=3, text=text_BE)
    h_BD = text_BE
    for block in mrn.blocks:
        shortcut, question, image_1, image_2 = (
            [weight.numpy() for weight in layer.weights]
            for layer in (block.shortcut, block.question, block.image_1, block.image_2)
        )
        image_BD = np.tanh(np.tanh(IMAGE @ image_1[0] + image_1[1]) @ image_2[0] + image_2[1])
        h_BD = h_BD @ shortcut[0] + shortcut[1] + np.tanh(h_BD @ question[0] + question[1]) * image_BD
    assert len(mrn.blocks) == 3
    close(mrn.fuse(IMAGE, text_BE), h_BD, atol=1e-12)


def test_dropout_acts_before_each_dense_layer_in_training_only():
    mrn = MRN(width=64, dropout=0.5)
    image_BD, text_BD = S((3, 64), 0.5, 0.2).astype("float32"), S((3, 64), 0.8, -0.3).astype("float32")

    def values(training):
        """How many different values an element has in ten passes, at most."""
        passes = np.array([mrn.fuse(image_BD, text_BD, training=training) for _ in range(10)])
        return (np.diff(np.sort(passes, axis=0), axis=0) > 1e-5).sum(0).max() + 1

    assert values(training=False) == 1
    block = mrn.blocks[0]
    # all layers are constant but those named, which pass their input: each doubles or kills an element
    for passing, expected in (
        ([block.shortcut], 2),
        ([block.question], 2),
        ([block.image_2], 2),
        ([block.image_1, block.image_2], 3),
    ):
        for layer in (block.shortcut, block.question, block.image_1, block.image_2):
            layer.set_weights([0.3 * np.eye(64) * (layer in passing), np.full(64, 0.5)])
        assert values(training=True) == expected


def test_without_a_block_there_is_no_model():
    with pytest.raises(ValueError, match="Received: blocks=0"):
        MRN(blocks=0)
