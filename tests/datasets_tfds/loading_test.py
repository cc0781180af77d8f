"""Prepared data is read without the code that has made it."""

import json
import os
import subprocess
import sys

import pytest

from datasets_tfds import build
from tests.datasets_tfds.fashion_iq import toy as fashion_iq
from tests.datasets_tfds.shoes import toy as shoes

READER = """
import json, sys
sys.modules["datasets_tfds"] = sys.modules["cir_tf"] = None  # an import of either fails
import tensorflow_datasets as tfds
name, config, split, data_dir = sys.argv[1:]
opened = tfds.core.read_only_builder.builder_from_files(name, config=config, data_dir=data_dir)
loaded = tfds.load(f"{name}/{config}", split=split, data_dir=data_dir)
shapes = [row["reference_image"].shape for row in tfds.as_numpy(opened.as_dataset(split=split))]
texts = [row["text"].decode() for row in tfds.as_numpy(loaded)]
supervised = opened.info.supervised_keys
print(json.dumps([shapes, texts, opened.info.metadata["pictures"], len(supervised)]))
"""


@pytest.mark.parametrize(
    ("name", "toy", "config", "expected"),
    [
        ("shoes", shoes, "guo2018", ["is flat and closed", "is a sneaker"]),
        ("fashion_iq", fashion_iq, "dress", ["is longer, with lace and More formal and navy", "has no sleeves"]),
    ],
)
def test_a_prepared_copy_loads_where_no_builder_can_be_imported(tmp_path, name, toy, config, expected):
    toy.write(tmp_path / "copy")
    arguments = [name, f"--config={config}", f"--manual_dir={tmp_path / 'copy'}", f"--data_dir={tmp_path / 'data'}"]
    assert build.main(arguments) == 0
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", READER, name, config, "test", str(tmp_path / "data")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    shapes, texts, pictures, keys = json.loads(done.stdout.splitlines()[-1])
    assert texts[:2] == expected
    assert all(shape[0] == 2 and shape[2] == 3 for shape in shapes)
    assert pictures > 0
    assert keys == 2
