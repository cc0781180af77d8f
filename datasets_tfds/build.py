"""Prepare a dataset: `python -m datasets_tfds.build NAME [--config=…] [--data_dir=…] [--manual_dir=…]`."""

import argparse
import contextlib
import importlib
import io
import os
import pkgutil
import sys
from pathlib import Path

import datasets_tfds

INTERRUPTED = 130  # the exit code of a command that was stopped by Ctrl-C


def names():
    """The datasets that can be built."""
    return sorted(module.name for module in pkgutil.iter_modules(datasets_tfds.__path__) if module.ispkg)


def main(argv):
    """Build the views of a dataset's first subset, or the configs that are named; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m datasets_tfds.build", description=main.__doc__)
    parser.add_argument("name", help=f"one of {', '.join(names())}")
    parser.add_argument("--config", action="append", help="this config; may be repeated. Default: the first subset's")
    parser.add_argument("--data_dir", default=os.environ.get("TFDS_DATA_DIR"), help="where prepared data goes")
    parser.add_argument("--manual_dir", default=None, help="where your copy of the dataset lies")
    parser.add_argument(
        "--on_missing",
        choices=("error", "skip"),
        default="error",
        help="what a picture that is missing or broken means: stop, or leave out the rows and gallery entries it is in",
    )
    parser.add_argument("--overwrite", action="store_true", help="build again what is there, after your copy changed")
    arguments = parser.parse_args(argv)
    if arguments.name not in names():
        return complain(f"there is no dataset {arguments.name!r}; there are {', '.join(names())}")
    manual_dir = arguments.manual_dir and Path(arguments.manual_dir).expanduser()
    if manual_dir and not manual_dir.is_dir():
        return complain(f"--manual_dir={manual_dir} is not a folder")
    try:
        return _build(arguments, manual_dir)
    except KeyboardInterrupt:
        print("stopped; nothing unfinished is left, the same command begins again", file=sys.stderr)
        return INTERRUPTED


def summary(info):
    """Lines about what a build has put in and left out.

    Args:
        info: the `tfds.core.DatasetInfo` of a prepared dataset.
    """
    rows = ", ".join(f"{name} {split.num_examples:,}" for name, split in info.splits.items())
    found = dict(info.metadata or {})
    dropped = [f"{split} {count:,}" for split, count in found.pop("dropped", {}).items() if count]
    left_out = [f"{split} ({reason})" for split, reason in found.pop("left_out", {}).items()]
    parts = [f"rows: {rows}"]
    parts += [f"dropped for want of pictures: {', '.join(dropped)}"] if dropped else []
    parts += [f"no split {', '.join(left_out)}"] if left_out else []
    lines = ["; ".join(parts)]
    if "stamp" in found:
        counts = {key: found.pop(key) for key in ("pictures", "missing", "bad", "reencoded")}
        counted = ", ".join(f"{key} {count:,}" for key, count in counts.items())
        lines.append(f"data stamp: {counted}, {found.pop('stamp')}")
    sizes = {key: len(value) if isinstance(value, list) else value for key, value in found.items()}
    others = [
        f"{key} {size:,}" for key, size in sizes.items() if isinstance(size, int) and size and key != "missing_ids"
    ]
    return lines + ([f"also counted: {', '.join(others)}"] if others else [])


def complain(message):
    """Prints an error in one line; the exit code."""
    print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)
    return 2


def _build(arguments, manual_dir):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow_datasets as tfds

    from datasets_tfds import preparing

    package = f"datasets_tfds.{arguments.name}.{arguments.name}_dataset_builder"
    builder_class = importlib.import_module(package).Builder
    configs = {config.name: config for config in builder_class.BUILDER_CONFIGS}
    default = builder_class.BUILDER_CONFIGS[0].subset
    chosen = arguments.config or [name for name, config in configs.items() if config.subset == default]
    unknown = [name for name in chosen if name not in configs]
    if unknown:
        return complain(f"{arguments.name} has no config {unknown[0]!r}; it has {', '.join(configs)}")
    tfds.disable_progress_bar()  # the builders have one that knows the end
    for name in chosen:
        try:
            data_dir = arguments.data_dir and Path(arguments.data_dir).expanduser()
            place = Path(builder_class(config=name, data_dir=data_dir).data_dir)
            with (
                preparing.replacing(place, arguments.overwrite),
                _policy(configs[name], arguments.on_missing),
                contextlib.redirect_stdout(io.StringIO()),  # TFDS speaks of a download of unknown size
            ):
                builder = builder_class(config=name, data_dir=data_dir)  # looks whether it is there
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
        except (OSError, ValueError) as error:
            return complain(f"cannot build {arguments.name}/{name}: {error}")
        except RuntimeError as error:  # how TFDS passes on what TensorFlow's writer says, of a full disk for one
            if error.__cause__ is None:
                raise
            return complain(f"cannot build {arguments.name}/{name}: {error.__cause__}")
        except AssertionError as error:  # how TFDS says that the manual folder is missing
            instructions = " ".join(str(builder_class.MANUAL_DOWNLOAD_INSTRUCTIONS or error).split())
            return complain(
                f"{arguments.name}/{name} is made from your own copy: {instructions} Then run "
                f"python -m datasets_tfds.build {arguments.name} --config={name} --manual_dir=FOLDER"
            )
        print(f"{arguments.name}/{name} is ready in {builder.data_dir}")
        for line in summary(builder.info):
            print(f"  {line}")
    return 0


@contextlib.contextmanager
def _policy(config, on_missing):
    """The config with another policy, for TFDS admits no second config of the same name."""
    before, config.on_missing = config.on_missing, on_missing
    try:
        yield
    finally:
        config.on_missing = before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
