"""What README.md of own_images tells a user to type, typed: look, build, train, score, search."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import DEFAULT_SMALL, ROOT

PICTURES = 200
README = ROOT / "datasets_tfds/own_images/README.md"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder that holds `photos`: JPEG files of several sizes and a table without splits."""
    desk = tmp_path_factory.mktemp("desk")
    photos = desk / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        blobs = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
        blobs.resize((40 + number % 30, 30 + number % 7)).save(photos / f"IMG_{number:04d}.jpg")
    with (photos / "triplets.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("reference", "target", "text"))
        for number in range(PICTURES):
            table.writerow((f"IMG_{number:04d}.jpg", f"IMG_{(number * 7 + 1) % PICTURES:04d}", f"in red, {number % 9}"))
    return desk


def commands():
    """Module -> the first command of it in the README, on one line."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = {}
    for line in filter(None, lines):
        found.setdefault(line.split()[2], line)
    return found


def _type(desk, command):
    """The finished process of a line typed into a shell."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TFDS_DATA_DIR": str(desk / "data"),
    }
    return subprocess.run(
        ["bash", "-c", command], cwd=desk, env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def test_the_readme_leads_from_a_folder_to_a_search(desk):
    known = commands()
    looked = _type(desk, known["datasets_tfds.doctor"])
    assert (looked.returncode, "no problems" in looked.stdout) == (0, True), looked.stdout + looked.stderr

    broken = desk / "photos/IMG_0007.jpg"
    data = broken.read_bytes()
    broken.write_bytes(data[:-300])
    looked = _type(desk, known["datasets_tfds.doctor"])
    assert looked.returncode == 1
    assert "broken: IMG_0007 (cut off)" in looked.stdout
    broken.write_bytes(data)

    built = _type(desk, known["datasets_tfds.build"])
    assert built.returncode == 0, built.stderr
    assert f"rows: pictures {PICTURES}" in built.stdout
    assert "missing 0, bad 0, reencoded 0" in built.stdout

    trained = _type(desk, f"{known['cir_tf.train']} --config={DEFAULT_SMALL}")
    assert trained.returncode == 0, trained.stderr
    assert "queries own_images/own test; gallery pictures; reference removed" in trained.stdout
    assert len((desk / "runs/own/metrics.jsonl").read_text().splitlines()) == 2

    before = json.loads((desk / "runs/own/results.json").read_text())
    scored = _type(desk, known["cir_tf.evaluate"])
    assert scored.returncode == 0, scored.stderr
    after = json.loads((desk / "runs/own/results.json").read_text())
    assert set(before) == {"own_images_test", "own_images_validation"}
    for name, result in before.items():
        assert after[name]["metrics"] == result["metrics"]

    found = _type(desk, known["cir_tf.search"])
    assert found.returncode == 0, found.stderr
    names = re.findall(r"IMG_\d{4}", found.stdout)
    assert len(set(names)) >= 10
    assert "IMG_0001" not in names  # the picture one starts from
    assert (desk / "search.png").is_file()
