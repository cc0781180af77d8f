"""A training step of every recipe, full and small, against its bare products; and the peak memory of the process.

Each is measured in a process of its own. Pictures and texts are generated, weights are random.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from cir_tf import config as configs
from cir_tf.errors import UserError
from scripts.benchmarks.base import Row, Sizes

ROOT = Path(__file__).resolve().parent.parent.parent
BIG = True  # the full recipes need gigabytes, and a step takes up to minutes


def rows(sizes, repeat):
    """Two `Row`s for each recipe: small, then full."""
    for recipe in sizes.recipes or sorted(str(file.relative_to(configs.folder())) for file in recipes()):
        for form in [recipe] if ":" in recipe else [f"{recipe}:runlocal", recipe]:
            try:
                yield row(form, sizes._replace(steps=1), repeat)
            except UserError as error:
                print(f"not measured: {error}", file=sys.stderr)


def recipes():
    """The files of all recipes."""
    return configs.folder().glob("*/*.py")


def row(recipe, sizes, repeat):
    """The `Row` of a recipe, measured in a process of its own.

    Raises:
        UserError: that process failed, for want of memory as a rule.
    """
    asked = json.dumps([recipe, sizes._asdict(), repeat])
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        killed = f"ended by signal {-done.returncode}, 9 for want of memory"
        said = killed if done.returncode < 0 else (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(f"{recipe}: {said}")
    made = json.loads(done.stdout.splitlines()[-1])
    return Row(*made[:2], *map(np.array, made[2:]))


def _measure(recipe, sizes, repeat):
    from scripts.benchmarks.train import step_row

    def peak():
        return f", {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"

    made = step_row(recipe, configs.load(recipe), Sizes(**sizes), repeat, warm=peak)
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in made]


if __name__ == "__main__":
    print(json.dumps(_measure(*json.loads(sys.argv[1]))))
