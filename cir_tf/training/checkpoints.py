"""Saved states of a run: the newest that can be read counts."""

import logging
import re
import tempfile
from pathlib import Path

import tensorflow as tf

from cir_tf.errors import UserError

KEPT = 3


def exist(folder):
    """Whether a folder holds checkpoints, readable or not."""
    return bool(_paths(folder))


def _paths(folder):
    """The checkpoints of a folder, the newest first: by their files, as TensorFlow's list of them may be damaged."""
    numbered = {}
    for path in Path(folder).glob("ckpt-*.index"):
        if match := re.fullmatch(r"ckpt-(\d+)", path.stem):
            numbered[int(match[1])] = str(path.with_suffix(""))
    return [numbered[number] for number in sorted(numbered, reverse=True)]


class Checkpoints:
    """The checkpoints of a work folder.

    Args:
        checkpoint: `tf.train.Checkpoint` with a `step`.
        folder: where they lie.
        chief: whether this process writes to the folder. Every worker has to take part in saving and restoring, but
            what the others write is thrown away.
    """

    def __init__(self, checkpoint, folder, chief=True):
        self.checkpoint = checkpoint
        self.folder = Path(folder)
        self.thrown_away = None if chief else tempfile.TemporaryDirectory()
        place = str(self.folder) if chief else self.thrown_away.name
        try:
            self.manager = tf.train.CheckpointManager(checkpoint, place, max_to_keep=KEPT)
        except ValueError:  # its list is damaged; it goes on with a new one
            (Path(place) / "checkpoint").unlink()
            self.manager = tf.train.CheckpointManager(checkpoint, place, max_to_keep=KEPT)

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
        paths = _paths(self.folder)
        for path in paths:
            status = None
            try:
                status = self.checkpoint.restore(path)
                status.assert_existing_objects_matched()
                status.expect_partial() if partial else status.assert_consumed()
                return path
            except (tf.errors.OpError, ValueError, AssertionError, IndexError) as error:
                if status:
                    status.expect_partial()  # else TensorFlow warns of every variable it did not find
                logging.warning("checkpoint %s cannot be read, taking the one before: %s", path, _first_line(error))
        if paths:
            raise UserError(f"no checkpoint in {self.folder} can be read; remove the folder to start again")
        return ""


def _first_line(error):
    return str(error).strip().split("\n")[0]
