"""Training batches: a pure function of (rows, seed, step), so that a run continues where it was stopped.

Dimension key: B global batch, b batch of one replica, N pictures, H W C image, L words.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from cir_tf.data import preprocess

CACHE_BYTES = 2**30  # pictures are kept decoded up to this size


class Pictures:
    """Pictures as pixels, by position.

    Args:
        encoded_N: picture files, array of bytes objects.
        size: side of the square they are brought to.
    """

    def __init__(self, encoded_N, size):
        self.encoded_N = tf.constant(encoded_N, tf.string)
        self.size = size

    def __len__(self):
        return int(self.encoded_N.shape[0])

    @functools.cached_property
    def decoded_NHWC(self):
        """All of them, uint8; None where that is more than `CACHE_BYTES`."""
        if len(self) * self.size * self.size * 3 > CACHE_BYTES:
            return None
        with tf.init_scope():  # once, also where the first use is inside a graph
            dataset = tf.data.Dataset.from_tensor_slices(self.encoded_N)
            dataset = dataset.map(lambda encoded: preprocess.decode(encoded, self.size), tf.data.AUTOTUNE)
            return next(iter(dataset.batch(len(self))))

    def take(self, position_B):
        """uint8 [B, H, W, 3] of the pictures at these positions; usable inside `tf.data`."""
        if self.decoded_NHWC is None:
            return preprocess.decode_batch(tf.gather(self.encoded_N, position_B), self.size)
        return tf.gather(self.decoded_NHWC, position_B)


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Training rows as arrays.

    Attributes:
        references, targets: `Pictures`.
        reference_R, target_R: position of each row's pictures, int32 [R].
        ids_RL: each row's text, int32 [R, L].
        target_class_R: int32 [R]; rows with equal numbers accept each other's targets.
        unknown_id: the tokenizer's id for an unknown word.
    """

    references: Pictures
    targets: Pictures
    reference_R: np.ndarray
    target_R: np.ndarray
    ids_RL: np.ndarray
    target_class_R: np.ndarray
    unknown_id: int

    def __len__(self):
        return len(self.reference_R)


def make_triplets(rows, reference_gallery, target_gallery, tokenizer, size):
    """The `Triplets` of rows joined with their galleries by id.

    Args:
        rows: as `source.read_rows` gives them; rows without a known target are left out.
        reference_gallery, target_gallery: `source.Gallery`; may be the same object.
        tokenizer: of the text encoder.
        size: side of the pictures in pixels.

    Raises:
        ValueError: a row whose picture is not in its gallery.
    """
    kept = np.flatnonzero(np.asarray(rows["has_target"], bool))
    take = {key: [rows[key][row] for row in kept] for key in ("reference_id", "target_id", "text", "target_class")}
    targets = Pictures(target_gallery.encoded_N, size)
    same = reference_gallery is target_gallery
    # Equal classes, where there are classes, else equal ids: either way an equally right answer.
    names = [name or f"id:{target}" for name, target in zip(take["target_class"], take["target_id"], strict=True)]
    return Triplets(
        references=targets if same else Pictures(reference_gallery.encoded_N, size),
        targets=targets,
        reference_R=positions(reference_gallery.ids, take["reference_id"]),
        target_R=positions(target_gallery.ids, take["target_id"]),
        ids_RL=tokenizer.tokenize(take["text"]),
        target_class_R=np.unique(names, return_inverse=True)[1].astype(np.int32),
        unknown_id=tokenizer.unknown_id,
    )


def check_batch(rows, batch_size, replicas=1):
    """Raise ValueError unless there are rows for a batch that the replicas can share equally."""
    if rows < batch_size:
        raise ValueError(f"A batch needs its rows. Received: batch_size={batch_size}, {rows} rows.")
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(f"Replicas share a batch equally. Received: batch_size={batch_size}, {replicas} replicas.")


def batches(triplets, batch_size, seed, start, augment, context=None):
    """Endless training batches from step `start` on, one element for each local replica and step.

    Every epoch is a new order of all rows; the incomplete last batch is left out. Which rows, and how they are
    augmented, depends on (seed, step) and the position in the global batch alone, not on the number of replicas.

    Args:
        triplets: `Triplets`.
        batch_size: B, over all replicas.
        seed: int.
        start: the first step, from 0.
        augment: {"shift_pixels": int, "unknown_word_share": float}.
        context: `tf.distribute.InputContext`, or None for one replica.

    Returns:
        `tf.data.Dataset` of {"reference_image", "target_image": uint8 [b, H, W, 3], "text_ids": int32 [b, L],
        "target_class": int32 [b]}.

    Raises:
        ValueError: fewer rows than a batch, or a batch that the replicas cannot share equally.
    """
    replicas = context.num_replicas_in_sync if context else 1
    pipelines, mine = (context.num_input_pipelines, context.input_pipeline_id) if context else (1, 0)
    check_batch(len(triplets), batch_size, replicas)
    per_epoch = len(triplets) // batch_size
    words = triplets.ids_RL.shape[1]

    def epoch_rows(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(len(triplets)), seed=[seed, epoch])
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    def split(step, rows_B):
        noise_BN = tf.random.stateless_uniform([batch_size, 4 + words], seed=[seed, step])
        share = slice(mine * batch_size // pipelines, (mine + 1) * batch_size // pipelines)
        parts = replicas // pipelines, batch_size // replicas
        reshape = lambda x: tf.reshape(x[share], [*parts, *x.shape[1:]])  # noqa: E731
        return tf.data.Dataset.from_tensor_slices((reshape(rows_B), reshape(noise_BN)))

    epochs = tf.data.Dataset.range(start // per_epoch, np.iinfo(np.int64).max)
    dataset = epochs.flat_map(epoch_rows).skip(start % per_epoch).enumerate(start).flat_map(split)
    load = functools.partial(_examples, triplets, augment)
    return dataset.map(load, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _examples(triplets, augment, rows_b, noise_bN):
    """One element of `batches`: these rows, augmented as the uniform noise says."""
    share, pixels = augment["unknown_word_share"], augment["shift_pixels"]
    ids_bL = tf.gather(triplets.ids_RL, rows_b)
    reference_bHWC = triplets.references.take(tf.gather(triplets.reference_R, rows_b))
    target_bHWC = triplets.targets.take(tf.gather(triplets.target_R, rows_b))
    if share:
        ids_bL = preprocess.forget_words(ids_bL, noise_bN[:, 4:], share, triplets.unknown_id)
    if pixels:
        reference_bHWC = preprocess.shift(reference_bHWC, noise_bN[:, 0:2], pixels)
        target_bHWC = preprocess.shift(target_bHWC, noise_bN[:, 2:4], pixels)
    return {
        "reference_image": reference_bHWC,
        "target_image": target_bHWC,
        "text_ids": ids_bL,
        "target_class": tf.gather(triplets.target_class_R, rows_b),
    }


def positions(ids, wanted):
    """Where each wanted id stands among `ids`: int32 array; ValueError names those that are not there."""
    position = {name: row for row, name in enumerate(ids)}
    lost = [name for name in wanted if name not in position]
    if lost:
        raise ValueError(f"Every row's picture must be in its gallery. Received: {len(lost)} that are not: {lost[:3]}.")
    return np.array([position[name] for name in wanted], np.int32)
