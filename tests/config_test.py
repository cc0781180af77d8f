import json
import re

import pytest

from cir_tf import assemble, registry
from cir_tf import config as configs
from cir_tf.errors import UserError
from tests import toy_copies
from tests.conftest import ROOT, run_module

RECIPES = sorted((ROOT / "configs").glob("*/*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_names_its_own_command(path):
    assert f"--config=configs/{path.parent.name}/{path.name}" in path.read_text().split('"""')[1]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_runs_in_its_small_form(path, data_dir, tmp_path):
    toy_copies.prepare(path.parent.name, data_dir, tmp_path)
    done = run_module("cir_tf.train", f"--config={path}:runlocal", f"--workdir={tmp_path / 'run'}", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results) == list(configs.load(f"{path}:runlocal").evals)
    for result in results.values():
        for estimate in result["metrics"]["model"]["overall"].values():
            assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1


def test_overrides_keep_the_type():
    config = configs.load(
        "", ["seed=7", "optimizer.learning_rate=0.5", "image_encoder.widths=(8, 16)", "precision=mixed_bfloat16"]
    )
    assert config.seed == 7
    assert config.optimizer.learning_rate == 0.5
    assert config.image_encoder.widths == (8, 16)
    assert config.precision == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sead=1", "no key 'sead'; its keys are .*seed"),
        ("augment.shift=1", "no key 'augment.shift'"),
        ("seed.deeper=1", "no key 'seed.deeper'"),
        ("seed=many", "seed wants a value of type int, like 0, not 'many'"),
        ("seed=0.5", "seed wants a value of type int"),
        ("seed=__import__('os')", "seed wants a value of type int"),
        ("optimizer=adam", "'optimizer' is a group of keys: set one of optimizer.learning_rate, optimizer.name"),
        ("seed", "write --config.seed=VALUE"),
    ],
)
def test_a_wrong_override_is_one_line(override, message):
    with pytest.raises(UserError, match=message) as caught:
        configs.load("", [override])
    assert "\n" not in str(caught.value)


def test_arguments_of_a_part_can_be_added():
    config = configs.load("", ["compositor.name=tirg", "compositor.mix=(1.0, 1.0)", "objective.mask_duplicates=false"])
    assert config.compositor.to_dict() == {"name": "tirg", "mix": (1.0, 1.0)}
    assert config.objective.mask_duplicates is False


def test_a_new_name_leaves_out_what_its_part_does_not_know(capsys):
    overrides = ["objective.name=batch_classification", "schedule.name=constant", "compositor.name=show_and_tell"]
    overrides += ["objective.mask_duplicates=False", "text_encoder.name=text_words", "image_encoder.name=image_resnet"]
    config = configs.load("css/tirg_lastconv_resnet18.py", overrides, assemble.arguments_of)
    assert config.objective.to_dict() == {"name": "batch_classification", "mask_duplicates": False}
    assert config.schedule.to_dict() == {"name": "constant"}
    kept = configs.load("css/tirg_lastconv_resnet18.py").text_encoder.to_dict()
    assert config.text_encoder.to_dict() == {**kept, "name": "text_words"}
    said = capsys.readouterr().out.splitlines()
    assert "objective: batch_classification does not know the recipe's half_gradient, negatives_by_position" in said[0]
    assert len(said) == 2, "of the image encoder, whose name is the same, nothing"


def test_what_a_part_can_be_given():
    assert {"assets", "width", "dropout", "name"} <= assemble.arguments_of("text_encoder", "text_lstm")
    assert {"mask", "length"} <= assemble.arguments_of("objective", "semi_hard")  # the length is its base's
    assert "momentum" in assemble.arguments_of("optimizer", "torch_sgd")
    assert "momentum" not in assemble.arguments_of("optimizer", "adam")
    assert assemble.arguments_of("schedule", "cosine") == {"learning_rate", "total", "warmup_percent"}
    assert assemble.arguments_of("schedule", "magic") is assemble.arguments_of("compositor", "magic") is None


@pytest.mark.parametrize("group", ["image_encoder", "text_encoder", "compositor", "objective", "sampler", "index"])
def test_no_part_takes_just_anything(group):
    """Else a misspelt key would be kept for it."""
    for name in registry.available(assemble.KINDS[group]):
        assert "magic" not in assemble.arguments_of(group, name)


def test_a_missing_recipe_lists_those_there_are():
    with pytest.raises(UserError, match=r"no config nowhere.py; there are .*emoji_edits/"):
        configs.load("nowhere.py")


def test_an_unknown_form_of_a_recipe_is_an_error():
    with pytest.raises(UserError, match="':runlocal' only"):
        configs.load("emoji_edits/sum_tiny.py:fast")


def test_a_work_folder_keeps_its_config(tmp_path):
    config = configs.load("", ["seed=3"])
    configs.save(config, tmp_path)
    assert configs.read(tmp_path).to_dict() == config.to_dict()
    configs.save(config, tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match=r"another config: seed \(3 there, 4 now\); choose another --workdir"):
        configs.save(configs.load("", ["seed=4"]), tmp_path)


def test_a_mistake_before_the_first_step_does_not_lock_the_folder(tmp_path):
    configs.save(configs.load("", ["dataset=typo"]), tmp_path)
    (tmp_path / "assets").mkdir()
    configs.save(configs.load(""), tmp_path)
    assert configs.read(tmp_path).to_dict() == configs.load("").to_dict()
    assert not (tmp_path / "assets").exists()


def test_a_folder_without_a_run_and_a_broken_one(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        configs.read(tmp_path)
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(UserError, match="cannot be read"):
        configs.read(tmp_path)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(UserError, match=re.escape(f"cannot write to {tmp_path}: No space left on device")):
        configs.save(configs.load(""), tmp_path)
    assert list(tmp_path.iterdir()) == []
