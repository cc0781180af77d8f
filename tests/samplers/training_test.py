"""Training on rows that are drawn at run time: as with stored rows, a run goes on exactly where it was stopped."""

import numpy as np
import pytest

from cir_tf import assemble
from cir_tf import config as configs
from cir_tf.data import triplets
from cir_tf.tokenizers import WordTokenizer
from tests import toy_copies

RECIPES = ("fashion200k/tirg_tiny.py", "mit_states/tirg_tiny.py", "css/tirg_lastconv_resnet18.py")


def take(recipe, data_dir, start, count):
    """Batches of a recipe's small form, from everything made anew, as a run that is started again makes it."""
    config = configs.load(f"{recipe}:runlocal", [f"data_dir={data_dir}"])
    data = assemble.training_data(config)
    made = triplets.make_triplets(*data, WordTokenizer.from_texts(data[0].vocabulary()), 8, config.fit)
    batches = triplets.batches(made, 4, config.seed, start, {"shift_pixels": 1, "unknown_word_share": 0.3})
    return len(made) // 4, [{key: value.numpy() for key, value in batch.items()} for batch in batches.take(count)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_goes_on_with_the_same_batches(recipe, data_dir, tmp_path):
    toy_copies.prepare(recipe.split("/")[0], data_dir, tmp_path)
    epoch, whole = take(recipe, data_dir, 0, 90)
    assert epoch < 80, "the second epoch is drawn too"
    _, rest = take(recipe, data_dir, 85, 5)
    for one, other in zip(whole[85:], rest, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
    assert any(not np.array_equal(whole[0][key], whole[epoch][key]) for key in whole[0])
