"""VAL's recipes: which weights decay, by how much, and that the two stages of training fit each other."""

import re

import keras
import numpy as np
import pytest

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.samplers.stored import Stored
from cir_tf.training import optimizers
from tests.golden import S
from tests.small import small_gallery, small_rows

RECIPES = {  # how many kernels decay in the small form: image tower, 3 levels with 4 convolutions, the projection
    "fashion_iq/val_resnet50v2.py": 1 + 3 * 4 + 12 + 1,
    "shoes/val_resnet50v2.py": 1 + 3 * 4 + 12 + 1,
    "fashion200k/val_mobilenet.py": 1 + 3 + 12 + 1,
}
FREE = "norm|forward|embedding|initial|head_|mix|depthwise|bias"


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


def test_decay_is_of_the_convolutions_and_the_projection(recipe):
    config = configs.load(f"{recipe}:runlocal")
    assets = assemble.make_assets(config, ["red shoe", "blue shoe"])
    model = assemble.retriever(config, assets)
    ((pattern, rate),) = config.coupled_decay_groups
    assert rate == 4e-5
    for variable in model.trainable_variables:
        assert bool(re.search(pattern, variable.path)) != bool(re.search(FREE, variable.path)), variable.path
    assert sum(bool(re.search(pattern, variable.path)) for variable in model.trainable_variables) == RECIPES[recipe]


def test_golden_decay():
    """V7: a step of rate 1 without a gradient takes off wd w, and half the product of w with that is the penalty."""
    kernel = keras.Variable(S((3, 3, 2, 2), 0.3, 0.1), dtype="float64", name="kernel")
    optimizer = optimizers.grouped(keras.optimizers.SGD, coupled_decays=((r"kernel$", 4e-5),))(learning_rate=1.0)
    before = kernel.numpy()
    optimizer.apply([np.zeros_like(before)], [kernel])
    penalty = 0.5 * (before * (before - kernel.numpy())).sum()
    np.testing.assert_allclose(penalty, 3.503310771e-4, rtol=1e-8)


def test_settings_are_the_published_ones(recipe):
    config = configs.load(recipe)
    assert config.optimizer.to_dict() == {"name": "adam", "learning_rate": 2e-4, "epsilon": 1e-8}
    assert config.objective.to_dict() == {"name": "semi_hard", "mask": "column", "mask_duplicates": False}
    assert (config.batch_size, config.fit, config.averaging.decay) == (32, "tf1_squash", 0.9999)
    rate = optimizers.StepDecay(2e-4, config.schedule.every) if "every" in config.schedule else lambda step: 2e-4
    middle, last = rate(config.total_steps // 2 - 1), rate(config.total_steps - 1)
    falls = recipe.startswith("fashion200k")
    np.testing.assert_allclose([middle, last], [2e-4, 2e-5 if falls else 2e-4], rtol=1e-6)
    left = 0.9999**config.total_steps  # V6
    expected = {25_000: 0.082075, 15_000: 0.223113, 80_000: 3.3533e-4}[config.total_steps]
    np.testing.assert_allclose(left, expected, rtol=1e-5)


def test_the_second_stage_has_the_words_of_the_first(tmp_path):
    """Tags first, then modifications, each word once; the second stage reads them from the first one's folder."""
    gallery, file = small_gallery(), tmp_path / "side.json"
    file.write_text('{"picture 1": "Black strappy heels.", "picture 3": "red heels"}')
    config = configs.load("shoes/val_resnet50v2.py:runlocal", [f"sampler.side_texts={file}"])
    sampler = Stored(small_rows(), gallery, gallery, side_texts=config.sampler.side_texts)
    assets = assemble.make_assets(config, sampler.vocabulary())
    words = [line.split("\t")[0] for line in assets["vocabulary.txt"].splitlines()]
    assert words == ["black", "strappy", "heelsdotmark", "red", "heels", "green", "blue"]
    configs.save(config, tmp_path / "first")
    for name, content in assets.items():
        configs.write_text(tmp_path / "first" / "assets" / name, content)
    second = configs.load("shoes/val_resnet50v2.py:runlocal", [f"init_from={tmp_path / 'first'}"])
    assert assemble.make_assets(second, Stored(small_rows(), gallery, gallery).vocabulary()) == assets
