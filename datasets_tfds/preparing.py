"""What goes on around the writing of a dataset: one process at a time, no remains, pictures made ahead."""

import collections
import concurrent.futures
import contextlib
import fcntl
import os
import shutil

from absl import logging

LOCK, REPLACING = ".lock", ".replacing"


@contextlib.contextmanager
def alone(folder, version):
    """While it is entered, no other process prepares the config of a folder; what killed ones left is removed first.

    The lock goes with the process that holds it, however that ends. Where the file system knows no locks, nothing is
    waited for and nothing removed.

    Args:
        folder: Path of the config's folder, which holds one folder for each version.
        version: the version that is to be prepared.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        if _lock(file, folder):
            for remains in folder.glob(f"incomplete.*_{version}"):  # as TFDS names what it has not finished
                logging.warning("%s is what a killed build has left: removed", remains)
                shutil.rmtree(remains)
        yield


@contextlib.contextmanager
def replacing(folder, overwrite):
    """While it is entered, what a folder held stands beside it; it comes back unless a new one has taken its place.

    Args:
        folder: Path of a prepared dataset, which need not exist.
        overwrite: whether it is to make room; otherwise only what a killed process set aside comes back.
    """
    if folder.exists() and not overwrite:
        yield
        return
    aside = folder.with_name(f".{folder.name}.old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / REPLACING).open("w") as file:
        _lock(file, folder.parent)  # what another process has set aside is not to come back while it still builds
        if not folder.exists() and aside.exists():
            aside.rename(folder)
        if overwrite and folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        try:
            yield
        finally:
            if not folder.exists() and aside.exists():
                aside.rename(folder)
            shutil.rmtree(aside, ignore_errors=True)


def _lock(file, folder):
    """Whether the file is locked now, for which it may have waited; False where the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logging.warning("another process prepares %s: waiting for it", folder)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def in_order(function, items):
    """Yields `function(item)` of all items, in their order, from as many threads as there are cores.

    A few results at most wait to be taken, so that memory does not grow with the items.
    """
    threads, waiting = os.cpu_count(), collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
