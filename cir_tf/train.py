"""Train, evaluate and export: `python -m cir_tf.train [--config=FILE] [--config.key=value] [--workdir=FOLDER]`.

Without arguments it trains the default on `emoji_edits`. The same command goes on with a run that was stopped, and so
does `python -m cir_tf.train --workdir=FOLDER`.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.data import preprocess
from cir_tf.errors import UserError, run_command
from cir_tf.evaluate import check_data, evaluate_run, find_protocol
from cir_tf.export import export_run
from cir_tf.training import checkpoints, loop
from cir_tf.training.strategy import is_chief, make_strategy


def train(config, data, workdir, strategy):
    """Train a config on its `assemble.training_data` in its work folder; the trained `Retriever`."""
    assets = keep_assets(workdir, lambda: assemble.make_assets(config, data[0].vocabulary()), is_chief(strategy))
    task = assemble.task(config, assets, strategy, fresh=not checkpoints.exist(Path(workdir) / "checkpoints"))
    loop.run(task, assemble.training_triplets(config, data, task.retriever, strategy), config, workdir)
    task.use_averages()
    return task.retriever


def keep_assets(workdir, make, write):
    """The text encoder's files of a run: from its folder, or made and, where `write` says so, put there."""
    folder = Path(workdir) / "assets"
    if folder.is_dir():
        return assemble.load_assets(workdir)
    assets = make()
    if write:
        unfinished = folder.with_name("assets.part")
        for name, content in assets.items():
            configs.write_text(unfinished / name, content)
        unfinished.rename(folder)
    return assets


def parse(argv, prog, doc):
    """(config, workdir, other arguments) of a command line with `--config`, `--config.key=value` and `--workdir`.

    Where nothing but a folder with a run is given, the config is that run's.
    """
    parser = argparse.ArgumentParser(prog=prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="", metavar="FILE", help="a recipe; FILE:runlocal shrinks it for a test")
    parser.add_argument("--workdir", default="", help="default: runs/<dataset>/<recipe>")
    parser.add_argument("--no_export", action="store_true", help="train and evaluate only")
    arguments, rest = parser.parse_known_args(argv)
    unknown = [word for word in rest if not word.startswith("--config.")]
    if unknown:
        raise UserError(f"unknown argument {unknown[0]}; see python -m cir_tf.train --help")
    workdir = Path(arguments.workdir or f"runs/{configs.run_name(arguments.config)}")
    if (workdir / "config.json").is_file() and not (arguments.config or rest):
        return configs.read(workdir), workdir, arguments
    overrides = [word.removeprefix("--config.") for word in rest]
    return configs.load(arguments.config, overrides, assemble.arguments_of), workdir, arguments


def main(argv):
    """The command line; the exit code."""
    config, workdir, arguments = parse(argv, "python -m cir_tf.train", __doc__)
    configs.check(config)
    for name in config.evals:
        find_protocol(name)
    if not arguments.no_export:
        preprocess.check_export(config.fit)
    strategy = make_strategy(config.strategy)
    if is_chief(strategy):
        configs.save(config, workdir)
        print(f"work folder {workdir}")
    data = assemble.training_data(config)
    if is_chief(strategy):
        check_data(config)  # before hours of training, not after
    model = train(config, data, workdir, strategy)
    if is_chief(strategy):
        evaluate_run(config, model, workdir)
        if not arguments.no_export:
            export_run(config, model, workdir)
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
