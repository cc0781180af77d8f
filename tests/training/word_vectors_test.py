"""Word vectors of a GloVe file: where a run starts from them, and where it does not."""

import numpy as np
import pytest
import tensorflow as tf

from cir_tf import assemble, train, weights
from cir_tf import config as configs
from cir_tf.errors import UserError
from cir_tf.samplers.stored import Stored
from tests.small import small_config, small_gallery, small_rows

GLOVE = "green 1 -2 0.5\nother 9 9 9\nred 0.25 4 8\n"
WORDS = {"vocabulary.txt": "red\t6\ngreen\t4\nblue\t4\n"}


def config_of(path, **changes):
    encoder = {"name": "text_gru", "width": 8, "word_width": 3, "state_width": 4, "word_vectors": str(path)}
    config = small_config(**changes)
    with config.unlocked():
        config.text_encoder = encoder
    return config


def table(task):
    return task.retriever.text_encoder.embedding.embeddings.numpy()


def make(config, **arguments):
    return assemble.task(config, WORDS, tf.distribute.get_strategy(), **arguments)


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE)
    return path


def test_a_fresh_run_starts_from_the_file(glove, capsys):
    found = table(make(config_of(glove)))
    np.testing.assert_array_equal(found[1:3], [[0.25, 4, 8], [1, -2, 0.5]])
    assert 0 < np.abs(found[[0, 3]]).max() < 0.5  # drawn with a deviation of 0.09
    assert f"2 of 3 words start from {glove}" in capsys.readouterr().out
    np.testing.assert_array_equal(found, table(make(config_of(glove))))
    assert (found[0] != table(make(config_of(glove, seed=1)))[0]).all()


def test_averages_that_start_from_what_was_drawn_start_from_the_vectors(glove):
    task = make(config_of(glove, averaging={"decay": 0.9, "start": "initial"}))
    names = [variable.path for variable in task.retriever.trainable_variables]
    (place,) = [i for i, name in enumerate(names) if name.endswith("embedding/embeddings")]
    np.testing.assert_array_equal(task.averages_start[place], table(task))


def test_a_run_that_goes_on_needs_the_file_no_more(glove, tmp_path, capsys):
    gallery = small_gallery()
    data = Stored(small_rows(), gallery, gallery), gallery, gallery
    workdir, strategy = tmp_path / "run", tf.distribute.get_strategy()
    first = train.train(config_of(glove, total_steps=2), data, workdir, strategy)
    glove.unlink()
    for kept in glove.parent.glob("*.npz"):
        kept.unlink()
    capsys.readouterr()
    again = train.train(config_of(glove, total_steps=4), data, workdir, strategy)
    printed = capsys.readouterr().out
    assert "from step 2 to 4" in printed and "start from" not in printed
    assert np.abs(first.text_encoder.embedding.embeddings - again.text_encoder.embedding.embeddings).max() < 0.1
    assert make(config_of(glove), fresh=False)
    with pytest.raises(UserError, match="there is no file of word vectors"):
        train.train(config_of(glove), data, tmp_path / "another", strategy)


def test_a_file_of_another_width_is_refused(glove):
    config = config_of(glove)
    with config.unlocked():
        config.text_encoder.word_width = 4
    with pytest.raises(UserError, match=r"line 1: a word and 4 numbers are wanted, there are 3"):
        make(config)


def test_weights_are_stronger_than_word_vectors(glove, tmp_path):
    donor = make(config_of(""))
    weights.save(donor.retriever.text_encoder, tmp_path / "text.safetensors")
    config = config_of(glove)
    with config.unlocked():
        config.text_encoder.weights = str(tmp_path / "text.safetensors")
    np.testing.assert_array_equal(table(make(config)), table(donor))


def test_a_config_can_name_the_file_in_its_group():
    config = configs.base(text_encoder={"name": "text_gru", "word_vectors": "glove.42B.300d.txt", "word_width": 300})
    assert assemble.part("encoders", config.text_encoder, assets=WORDS).word_vectors == "glove.42B.300d.txt"
