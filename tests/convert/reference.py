"""What the comparisons with PyTorch share: random weights, by way of a published layout and the command's file."""

import numpy as np
import tensorflow as tf
import torch

from cir_tf import registry, weights
from cir_tf.convert import __main__ as command
from cir_tf.convert import families, sources


def shaken(model, pixels_BCHW=None, gain=1.0):
    """The model in inference, its norms and biases not ones and zeros, its moving statistics near those of pictures.

    With exactly theirs, every batch normalisation of random weights would magnify the rounding of the layers before it.
    """
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.mul_(gain).add_(0.1 * torch.randn_like(parameter))
        if pixels_BCHW is not None:
            for layer in model.modules():
                layer.momentum = 0.7
            model.train()(pixels_BCHW)
    return model.eval()


def save_tensorflow(path, arrays):
    """A checkpoint of TensorFlow 1; where it is."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, array in arrays.items():
            tf.compat.v1.get_variable(name, initializer=np.ascontiguousarray(array))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V2)
        saver.save(session, str(path), write_meta_graph=False)
    return path


def converted(source, family="", **changes):
    """The encoder of a published file, filled from the file that the command makes of it.

    Args:
        source: path.
        family: which, if several fit.
        changes: other arguments of the encoder than the converter finds.
    """
    states, _ = sources.read([source])
    (job,) = command.jobs(states, families.everything(), family)
    arrays, _ = command.convert(job)
    file = (source if source.is_dir() else source.parent) / f"{job.family.name}.safetensors"
    weights.write(file, arrays, {})
    del arrays  # of the largest towers, gigabytes
    encoder = registry.create("encoders", **{**job.family.part(job.state), **changes})
    size = getattr(encoder, "image_size", 0)
    encoder(np.zeros((1, size, size, 3)) if size else np.zeros((1, 3), "int32"))
    weights.load(encoder, file)
    return encoder


def pictures(side, count=2):
    """(blobs and noise [B, H, W, 3] in 0..255, the same as PyTorch's [B, 3, H, W])."""
    rng = np.random.default_rng(2)
    blobs_BHWC = np.kron(rng.uniform(50, 200, (count, 4, 4, 3)), np.ones((1, side // 4, side // 4, 1)))
    pixels_BHWC = (blobs_BHWC + rng.uniform(-50, 50, (count, side, side, 3))).astype("float32")
    return pixels_BHWC, torch.tensor(pixels_BHWC.transpose(0, 3, 1, 2))


def texts(words, length, lengths, first=1):
    """int32 [B, L], -1 behind each text's length."""
    ids_BL = np.random.default_rng(2).integers(first, words, (len(lengths), length)).astype("int32")
    return np.where(np.arange(length) < np.array(lengths)[:, None], ids_BL, -1)


def check(name, got, expected):
    """Equal to 1e-4; maps of PyTorch have their channels first."""
    got, expected = np.asarray(got), expected.numpy()
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 and expected.shape != got.shape else expected
    assert got.shape == expected.shape
    difference = np.abs(got - expected).max()
    size = np.sqrt(np.mean(expected**2))
    print(f"{name}: largest difference {difference:.1e}; outputs {size:.2g} (root mean square)")
    assert size > 0.05
    assert difference < 1e-4
