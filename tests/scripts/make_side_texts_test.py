"""The file that the sampler `stored` reads, from a toy copy."""

import json

import pytest

from cir_tf.errors import UserError
from datasets_tfds.shoes import annotations
from scripts import make_side_texts
from tests.datasets_tfds.shoes import toy


def test_writes_texts_by_the_datasets_own_ids(tmp_path, capsys):
    copy, to = toy.write(tmp_path / "shoes"), tmp_path / "tags.json"
    arguments = ["shoes", f"--manual_dir={copy}", f"--to={to}"]
    with pytest.raises(UserError, match=r"captions_shoes\.json is missing"):
        make_side_texts.main(arguments)
    tags = [{"ImageName": f"img_{name}.jpg", "Caption": f"nice {name}"} for name in toy.NAMES["train_im_names.txt"]]
    (copy / annotations.TAGS).write_text(json.dumps(tags))
    assert make_side_texts.main(arguments) == 0
    assert "4 texts written to" in capsys.readouterr().out
    written = json.loads(to.read_text())
    assert written["img_womens_rain_boots_7"] == "nice womens_rain_boots_7"
    assert len(written) == 4
