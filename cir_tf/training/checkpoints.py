"""Saved states of a run: the newest that can be read counts."""

import logging
from pathlib import Path

import tensorflow as tf

from cir_tf.errors import UserError

KEPT = 3


class Checkpoints:
    """The checkpoints of a work folder.

    Args:
        checkpoint: `tf.train.Checkpoint` with a `step`.
        folder: where they lie.
        chief: whether this process writes to the folder; other workers write beside it.
    """

    def __init__(self, checkpoint, folder, chief=True):
        self.checkpoint = checkpoint
        self.folder = Path(folder)
        # Every worker has to take part in saving; only the chief's files are ever read.
        place = self.folder if chief else self.folder / f"worker_{id(self)}"
        self.manager = tf.train.CheckpointManager(checkpoint, str(place), max_to_keep=KEPT)

    def save(self):
        """Save the state under its step; the path.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        try:
            return self.manager.save(checkpoint_number=int(self.checkpoint.step.numpy()))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"cannot save a checkpoint to {self.folder}: {_first_line(error)}") from error

    def restore(self, partial=False):
        """Restore the newest readable checkpoint; its path, or "" where there is none.

        A damaged one is passed over with a warning.

        Args:
            partial: whether the file may hold more than is asked for (a model without its optimizer).

        Raises:
            UserError: there are checkpoints and none can be read.
        """
        paths = self.manager.checkpoints[::-1]
        for path in paths:
            try:
                status = self.checkpoint.restore(path).assert_existing_objects_matched()
                status.expect_partial() if partial else status.assert_consumed()
                return path
            except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
                logging.warning("checkpoint %s cannot be read, taking the one before: %s", path, _first_line(error))
        if paths:
            raise UserError(f"no checkpoint in {self.folder} can be read; remove the folder to start again")
        return ""


def _first_line(error):
    return str(error).strip().split("\n")[0]
