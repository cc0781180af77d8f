"""The training loop: one call into the graph for several steps, and what a person wants to know in between."""

import json
import os
import signal
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cir_tf.data import triplets
from cir_tf.errors import UserError
from cir_tf.training.checkpoints import Checkpoints
from cir_tf.training.strategy import is_chief


def run(task, data, config, workdir):
    """Train to `config.total_steps`, going on from the newest checkpoint of the work folder.

    Args:
        task: a `RetrievalTask`.
        data: `Triplets`.
        config: the run's `ConfigDict`.
        workdir: where checkpoints, metrics.jsonl and TensorBoard files go.

    Raises:
        UserError: the loss is no longer a number, or the folder cannot be written.
        KeyboardInterrupt: stopped by the user, with everything saved.
    """
    workdir, strategy, total = Path(workdir), task.strategy, config.total_steps
    _build(task, data, config)
    checkpoints = Checkpoints(task.checkpoint(), workdir / "checkpoints", chief=is_chief(strategy))
    restored = checkpoints.restore()
    start = int(task.step.numpy())
    if start >= total:
        print(f"already trained: {restored} is at step {start} of {total}")
        return
    print(f"training from step {start} to {total}" + (f", continuing {restored}" if restored else ""))
    iterator = iter(
        strategy.distribute_datasets_from_function(
            lambda context: triplets.batches(data, config.batch_size, config.seed, start, config.augment, context)
        )
    )
    log = Log(workdir, start, config.batch_size) if is_chief(strategy) else None
    saved = restored
    with Interrupted() as interrupted, tqdm(total=total, initial=start, unit="step", dynamic_ncols=True) as bar:
        step = start
        while step < total:
            stops = (_next(step, config.log_steps), _next(step, config.checkpoint_steps), total)
            count = min(config.steps_per_call, *(stop - step for stop in stops))
            losses = task.train_steps(iterator, tf.constant(count)).numpy()
            _check_finite(losses, step, saved)
            step += count
            bar.update(count)
            if log and (step % config.log_steps == 0 or step == total):
                bar.set_postfix(log.write(step, losses[-1], _number(task.optimizer.learning_rate)))
            if step % config.checkpoint_steps == 0 or step == total or interrupted:
                saved = checkpoints.save()
            if interrupted:
                bar.close()
                print(f"stopped at step {step} of {total}, saved as {saved}; the same command goes on from there")
                raise KeyboardInterrupt


class Log:
    """metrics.jsonl and TensorBoard scalars, without the lines of steps that will be taken again.

    Args:
        workdir: `Path`.
        start: the step from which the run goes on.
        batch_size: examples per step.
    """

    def __init__(self, workdir, start, batch_size):
        self.path = workdir / "metrics.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= start]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(f"{line}\n" for line in kept))
        temporary.replace(self.path)
        self.writer = tf.summary.create_file_writer(str(workdir / "tensorboard"))
        self.batch_size = batch_size
        self.step, self.time = start, time.monotonic()

    def write(self, step, loss, learning_rate):
        """Note the figures of a step; what a progress bar shows of them."""
        now = time.monotonic()
        speed = (step - self.step) * self.batch_size / (now - self.time)
        self.step, self.time = step, now
        figures = {"loss": float(loss), "learning_rate": learning_rate, "examples_per_second": round(speed, 1)}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        return {"loss": f"{loss:.3f}", "examples/s": f"{speed:.0f}"}


class Interrupted:
    """True once Ctrl-C or a polite kill came; a second one ends the process at once."""

    def __enter__(self):
        self.came = False
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __bool__(self):
        return self.came

    def _note(self, number, frame):
        if self.came:
            os._exit(130)
        self.came = True


def _build(task, data, config):
    """Variables and their first values, from a small batch whose content does not matter."""
    example = next(iter(triplets.batches(data, config.batch_size, config.seed, 0, config.augment)))
    task.build({key: value[:2] for key, value in example.items()})


def _number(value):
    """A float of a tensor, or of a variable that every replica has."""
    return float(keras.ops.convert_to_numpy(value))


def _next(step, every):
    return (step // every + 1) * every


def _check_finite(losses, step, saved):
    lost = np.flatnonzero(~np.isfinite(losses))
    if len(lost):
        last = f"the last good checkpoint is {saved}" if saved else "there is no checkpoint yet"
        raise UserError(
            f"the loss is {losses[lost[0]]} at step {step + lost[0] + 1}; {last}. "
            "Lower the learning rate, or train in float32, in another --workdir"
        )


def _step_of(line):
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return np.inf  # a line cut off by a kill
