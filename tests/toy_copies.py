"""Toy copies of the datasets that need one's own, prepared in a TFDS folder."""

import importlib

from PIL import Image

from tests.conftest import ROOT, run_module


def prepare(dataset, data_dir, folder):
    """Write a toy copy below `folder` and build its index and gallery views; nothing for datasets that are generated.

    Args:
        dataset: name of the builder.
        data_dir: TFDS folder; what is prepared there stays.
        folder: for the copy.
    """
    if (data_dir / dataset).exists() or not (ROOT / "tests" / "datasets_tfds" / dataset / "toy.py").exists():
        return
    copy = folder / "copy"
    copy.mkdir()
    importlib.import_module(f"tests.datasets_tfds.{dataset}.toy").write(copy)
    MORE.get(dataset, lambda root: None)(copy)
    module = importlib.import_module(f"datasets_tfds.{dataset}.{dataset}_dataset_builder")
    names = [config.name for config in module.Builder.BUILDER_CONFIGS if config.view != "triplets"]
    options = [f"--config={name}" for name in names]
    done = run_module("datasets_tfds.build", dataset, f"--manual_dir={copy}", *options, data_dir=data_dir)
    assert done.returncode == 0, done.stderr


def _a_second_state_to_train_on(root):
    for number, state in enumerate(("new car", "new car", "raw apple")):
        place = root / "images" / state / f"n{number}.jpg"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20 + number, 9), "blue").save(place)


MORE = {"mit_states": _a_second_state_to_train_on}
