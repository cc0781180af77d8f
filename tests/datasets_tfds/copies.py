"""What tests of builders that read a user's copy have in common."""

import dataclasses
import tempfile
from pathlib import Path

import tensorflow_datasets as tfds


class ToyCopy:
    """For TFDS' own checks: a toy copy as their example, while the tests of the class run.

    A class that inherits this and `tfds.testing.DatasetBuilderTestCase` has `write`, a static function folder -> None.
    """

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = Path(folder.name) / "copy"
        cls.write(cls.EXAMPLE_DIR)
        super().setUpClass()


def prepare(builder_class, root, name, on_missing="error"):
    """Prepares the config `name` from the copy in `root`, and returns its builder."""
    config = next(config for config in builder_class.BUILDER_CONFIGS if config.name == name)
    config = dataclasses.replace(config, name=f"{name}_{on_missing}", on_missing=on_missing)
    builder = builder_class(data_dir=tempfile.mkdtemp(dir=root.parent), config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=root))
    return builder


def read(builder):
    """Split -> rows as they are read back."""
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}
