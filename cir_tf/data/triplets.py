"""Training batches: a pure function of (rows, seed, step), so that a run continues where it was stopped.

Dimension key: B global batch, b batch of one replica, R rows of an epoch, N pictures, H W C image, T texts, L words.
"""

import functools

import numpy as np
import tensorflow as tf

from cir_tf.data import augment, preprocess, store

CACHE_BYTES = 2**30  # pictures are kept decoded up to this size
DECODED_TOGETHER = 256  # pictures decoded by one thread at a time
PADDING = -1  # of token ids


class Pictures:
    """Pictures as pixels, by position.

    Args:
        encoded_N: picture files: a sequence of bytes objects with a method `take`, such as an object array.
        size: side of the square they are brought to.
        fit: how, a name of `fits.FITS`.
        folder: where they are kept on the disk, see `store`; empty: in memory, up to `CACHE_BYTES`.

    Raises:
        ValueError: there is no such fit.
    """

    def __init__(self, encoded_N, size, fit="squash", folder=""):
        self.encoded_N = encoded_N
        self.size, self.fit, self.folder = size, fit, folder
        self._dtype = preprocess.fit_named(fit).dtype

    def __len__(self):
        return len(self.encoded_N)

    @functools.cached_property
    def decoded_NHWC(self):
        """All of them, on the disk where there is a folder; None where that is more than `CACHE_BYTES` of memory."""
        if not self.folder and len(self) * self.size * self.size * 3 * self._dtype.size > CACHE_BYTES:
            return None
        with tf.init_scope():  # once, also where the first use is inside a graph
            if self.folder:
                return store.pixels(self.folder, self.encoded_N, self.size, self.fit, self._parts())
            return tf.concat(list(self._parts()), axis=0)

    def prepare(self):
        """Decode what is kept now, not within the first `take`: there, TensorFlow wraps an error in many lines."""
        _ = self.decoded_NHWC

    def take(self, position_B):
        """[B, H, W, 3] of the pictures at these positions; usable inside `tf.data`."""
        if self.decoded_NHWC is None:
            return self._decode(position_B)
        if not self.folder:
            return tf.gather(self.decoded_NHWC, position_B)
        return self._read(lambda position_B: self.decoded_NHWC.take(position_B, axis=0), [position_B], self._dtype)

    def take_augmented(self, position_B, seed_B, name):
        """[B, H, W, 3] of the pictures at these positions, each changed at random as its seed says."""

        def read(position_B, seed_B):
            pairs = zip(self.encoded_N.take(position_B), seed_B.tolist(), strict=True)
            return np.stack([augment.pixels(data, self.size, name, seed) for data, seed in pairs])

        return self._read(read, [position_B, seed_B], augment.AUGMENTATIONS[name].dtype)

    def _read(self, function, inputs, dtype):
        return tf.ensure_shape(tf.numpy_function(function, inputs, dtype), [None, self.size, self.size, 3])

    def _parts(self):
        """All of them in their order, some at a time."""
        yield from tf.data.Dataset.range(len(self)).batch(DECODED_TOGETHER).map(self._decode, tf.data.AUTOTUNE)

    def _decode(self, position_B):
        return preprocess.decode_from(self.encoded_N, position_B, self.size, self.fit)


class Triplets:
    """Training examples: what a sampler draws, with its pictures and its tokens.

    Args:
        sampler: a `Sampler`.
        references, targets: `Pictures`.
        target_class_N: int32, a number for each picture of the targets; pictures with equal numbers are equally right.
        tokenizer: of the text encoder.
    """

    def __init__(self, sampler, references, targets, target_class_N, tokenizer):
        self.sampler, self.references, self.targets = sampler, references, targets
        self.unknown_id = tokenizer.unknown_id
        self._class_N, self._tokenizer = target_class_N, tokenizer
        self._rows = {}  # text -> its row of the table
        self._ids_TL = tokenizer.tokenize(sampler.texts())[:0]
        self.words = self._ids_TL.shape[1]

    def __len__(self):
        return len(self.sampler)

    def epoch(self, seed, epoch):
        """The examples of an epoch in their order: positions of references and of targets, tokens, classes; int32."""
        rows = self.sampler.epoch(seed, epoch)
        return rows.reference_R, rows.target_R, self._tokens(rows.texts_R), self._class_N[rows.target_R]

    def _tokens(self, texts_R):
        new = [text for text in dict.fromkeys(texts_R) if text not in self._rows]
        if new:
            ids_TL = self._tokenizer.tokenize(new)
            missing = [(0, 0), (0, self.words - ids_TL.shape[1])]
            self._rows |= {text: row for row, text in enumerate(new, len(self._rows))}
            self._ids_TL = np.concatenate([self._ids_TL, np.pad(ids_TL, missing, constant_values=PADDING)])
        return self._ids_TL[[self._rows[text] for text in texts_R]]


def make_triplets(sampler, reference_gallery, target_gallery, tokenizer, size, fit="squash", folder=""):
    """The `Triplets` of a sampler over its galleries.

    Args:
        sampler: a `Sampler`, made of the same galleries.
        reference_gallery, target_gallery: `source.Gallery`; may be the same object.
        tokenizer: of the text encoder.
        size: side of the pictures in pixels.
        fit: how they are brought to it, a name of `fits.FITS`.
        folder: where resized pictures are kept, or "".
    """
    targets = Pictures(target_gallery.encoded_N, size, fit, folder)
    same = reference_gallery is target_gallery
    references = targets if same else Pictures(reference_gallery.encoded_N, size, fit, folder)
    # Equal classes, where classes are asked for, else equal ids: either way an equally right answer.
    pairs = zip(target_gallery.target_class, target_gallery.ids, strict=True)
    names = [name if name and sampler.by_class else f"id:{target}" for name, target in pairs]
    target_class_N = np.unique(names, return_inverse=True)[1].astype(np.int32)
    return Triplets(sampler, references, targets, target_class_N, tokenizer)


def check_batch(rows, batch_size, replicas=1):
    """Raise ValueError unless there are rows for a batch that the replicas can share equally."""
    if rows < batch_size:
        raise ValueError(f"A batch needs its rows. Received: batch_size={batch_size}, {rows} rows.")
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(f"Replicas share a batch equally. Received: batch_size={batch_size}, {replicas} replicas.")


def batches(triplets, batch_size, seed, start, changes, context=None):
    """Endless training batches from step `start` on, one element for each local replica and step.

    An epoch is what the sampler draws; its incomplete last batch is left out. Which rows, and how they are
    augmented, depends on (seed, step) and the position in the global batch alone, not on the number of replicas.

    Args:
        triplets: `Triplets`.
        batch_size: B, over all replicas.
        seed: int.
        start: the first step, from 0.
        changes: {"shift_pixels": int, "unknown_word_share": float, and where pictures are changed by an
            augmentation, its name: "reference": str, "target": str}.
        context: `tf.distribute.InputContext`, or None for one replica.

    Returns:
        `tf.data.Dataset` of {"reference_image", "target_image": uint8 [b, H, W, 3], or float32 where the fit or the
        augmentation gives that, "text_ids": int32 [b, L] with L the longest text of the batch, "target_class":
        int32 [b]}.

    Raises:
        ValueError: fewer rows than a batch, a batch that the replicas cannot share equally, or an augmentation that
            does not exist.
    """
    plain = [side for side in ("reference", "target") if not augment.named(changes.get(side, ""))]
    replicas = context.num_replicas_in_sync if context else 1
    pipelines, mine = (context.num_input_pipelines, context.input_pipeline_id) if context else (1, 0)
    check_batch(len(triplets), batch_size, replicas)
    for side in plain:
        {"reference": triplets.references, "target": triplets.targets}[side].prepare()
    per_epoch = len(triplets) // batch_size

    def epoch_batches(epoch):
        arrays = tf.numpy_function(lambda e: triplets.epoch(seed, int(e)), [epoch], [tf.int32] * 4)
        shapes = [], [], [triplets.words], []
        cut = per_epoch * batch_size
        return tuple(
            tf.reshape(x[:cut], [per_epoch, batch_size, *shape]) for x, shape in zip(arrays, shapes, strict=True)
        )

    def split(step, rows):
        reference_B, target_B, ids_BL, class_B = rows
        # As wide as the longest text of the whole batch: less work, and what a network does at padding, as some
        # published ones do, is then the same on one replica and on many.
        longest = tf.reduce_max(tf.reduce_sum(tf.cast(ids_BL >= 0, tf.int32), axis=1))
        rows = reference_B, target_B, ids_BL[:, : tf.maximum(longest, 1)], class_B
        noise_BN = tf.random.stateless_uniform([batch_size, 4 + triplets.words], seed=[seed, step])
        share = slice(mine * batch_size // pipelines, (mine + 1) * batch_size // pipelines)
        parts = replicas // pipelines, batch_size // replicas
        sides = lambda x: [-1 if side is None else side for side in x.shape[1:]]  # noqa: E731
        reshape = lambda x: tf.reshape(x[share], [*parts, *sides(x)])  # noqa: E731
        return tf.data.Dataset.from_tensor_slices(tuple(map(reshape, (*rows, noise_BN))))

    epochs = tf.data.Dataset.range(start // per_epoch, np.iinfo(np.int64).max).map(epoch_batches).prefetch(1)
    steps = epochs.flat_map(lambda *rows: tf.data.Dataset.from_tensor_slices(rows)).skip(start % per_epoch)
    dataset = steps.enumerate(start).flat_map(split)
    load = functools.partial(_examples, triplets, changes)
    return dataset.map(load, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _examples(triplets, changes, reference_b, target_b, ids_bL, target_class_b, noise_bN):
    """One element of `batches`: these rows, augmented as the uniform noise says."""
    share, pixels = changes["unknown_word_share"], changes["shift_pixels"]
    if share:
        noise_bL = noise_bN[:, 4 : 4 + tf.shape(ids_bL)[1]]
        ids_bL = preprocess.forget_words(ids_bL, noise_bL, share, triplets.unknown_id)

    def pictures(source, position_b, name, noise_b2):
        if name:
            seed_b = tf.cast(noise_b2[:, 0] * 2.0**23, tf.int64)  # all that float32 noise can tell apart
            return source.take_augmented(position_b, seed_b, name)
        return preprocess.shift(source.take(position_b), noise_b2, pixels) if pixels else source.take(position_b)

    return {
        "reference_image": pictures(triplets.references, reference_b, changes.get("reference", ""), noise_bN[:, 0:2]),
        "target_image": pictures(triplets.targets, target_b, changes.get("target", ""), noise_bN[:, 2:4]),
        "text_ids": ids_bL,
        "target_class": target_class_b,
    }
