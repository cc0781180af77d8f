"""Prepare a dataset: `python -m datasets_tfds.build NAME [--config=…] [--data_dir=…] [--manual_dir=…]`."""

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path

import datasets_tfds


def names():
    """The datasets that can be built."""
    return sorted(module.name for module in pkgutil.iter_modules(datasets_tfds.__path__) if module.ispkg)


def main(argv):
    """Build all configs of a dataset, or one; the exit code."""
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
        return _complain(f"there is no dataset {arguments.name!r}; there are {', '.join(names())}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow_datasets as tfds

    package = f"datasets_tfds.{arguments.name}.{arguments.name}_dataset_builder"
    builder_class = importlib.import_module(package).Builder
    configs = {config.name: config for config in builder_class.BUILDER_CONFIGS}
    default = builder_class.BUILDER_CONFIGS[0].subset
    chosen = arguments.config or [name for name, config in configs.items() if config.subset == default]
    unknown = [name for name in chosen if name not in configs]
    if unknown:
        return _complain(f"{arguments.name} has no config {unknown[0]!r}; it has {', '.join(configs)}")
    manual_dir = arguments.manual_dir and Path(arguments.manual_dir).expanduser()
    if manual_dir and not manual_dir.is_dir():
        return _complain(f"--manual_dir={manual_dir} is not a folder")
    again = {"download_mode": tfds.GenerateMode.REUSE_CACHE_IF_EXISTS} if arguments.overwrite else {}
    for name in chosen:
        try:
            configs[name].on_missing = arguments.on_missing  # TFDS admits no second config of the same name
            builder = builder_class(config=name, data_dir=arguments.data_dir and Path(arguments.data_dir).expanduser())
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **again))
        except (OSError, ValueError) as error:
            return _complain(f"cannot build {arguments.name}/{name}: {error}")
        except AssertionError as error:  # how TFDS says that the manual folder is missing
            instructions = " ".join(str(builder_class.MANUAL_DOWNLOAD_INSTRUCTIONS or error).split())
            return _complain(
                f"{arguments.name}/{name} is made from your own copy: {instructions} Then run "
                f"python -m datasets_tfds.build {arguments.name} --config={name} --manual_dir=FOLDER"
            )
        print(f"{arguments.name}/{name} is ready in {builder.data_dir}")
    return 0


def _complain(message):
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
