"""Time parts of the library against bare references: `python scripts/bench.py [NAME]`, see `--help`.

A time says little away from its machine; its ratio to the bare work, measured in turn with it in the same run, says how
much the library adds. Medians (smallest - largest). "ms": lower is better; "pictures/s": higher is better. The CPU
ratio compares processor time over all threads, which other work on the machine disturbs less.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees its own folder only

from cir_tf import config as configs
from cir_tf.errors import run_command
from scripts import benchmarks
from scripts.benchmarks.base import FULL, HEAD, line, machine


def available():
    """The names of the benchmarks, sorted."""
    names = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in names if name != "base" and not name.startswith("_"))


def rows(name, sizes, repeat, big=False):
    """Yield the `Row`s of a benchmark, or of "all"; of those, the big ones only if `big`."""
    for each in available() if name == "all" else [name]:
        benchmark = importlib.import_module(f"scripts.benchmarks.{each}")
        if name != "all" or big or not getattr(benchmark, "BIG", False):
            yield from benchmark.rows(sizes, repeat)


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="all", choices=[*available(), "all"])
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--big", action="store_true", help="with all: also what takes minutes and gigabytes")
    parser.add_argument("--json", default="", metavar="FILE", help="write every figure there, too")
    arguments = parser.parse_args(argv)
    print(f"{machine()}\n\n{HEAD}")
    done = []
    for row in rows(arguments.name, FULL, arguments.repeat, arguments.big):
        print(line(row), flush=True)
        done.append(row._asdict() | {key: list(value) for key, value in row._asdict().items() if key.endswith("_R")})
    if arguments.json:
        configs.write_json(arguments.json, {"machine": machine(), "rows": done})
    return 0


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
