"""What every sampler must do, on data that any of them can draw from."""

import itertools

import numpy as np
import pytest

from cir_tf import registry
from cir_tf.tokenizers import WordTokenizer
from tests.samplers.draws import gallery

CLASSES = [
    *("red apple", "green apple", "red apple", "ripe apple", "green pear"),
    *("old pear", "ripe pear", "red pear", "well-worn shoe", "old shoe", "old shoe"),
]


def stored_rows(classes):
    """Every pair of the same noun in another state, with all that a dataset's rows can say of it."""
    parts = [name.split() for name in classes]
    pairs = [
        (i, j)
        for i, j in itertools.permutations(range(len(classes)), 2)
        if parts[i][1] == parts[j][1] and parts[i][0] != parts[j][0]
    ]
    texts = [f"make it {parts[j][0]}" for _, j in pairs]
    return {
        "query_id": [f"train-{row}" for row in range(len(pairs))],
        "has_target": np.array([row % 7 > 0 for row in range(len(pairs))]),
        "reference_id": [str(i) for i, _ in pairs],
        "target_id": [str(j) for _, j in pairs],
        "target_class": [classes[j] for _, j in pairs],
        "reference_class": [classes[i] for i, _ in pairs],
        "category": [parts[i][1] for i, _ in pairs],
        "text": texts,
        "captions": [[text, f"{text} please"] for text in texts],
        "modification_id": [parts[j][0] for _, j in pairs],
    }


@pytest.fixture(params=registry.available("samplers"))
def name(request):
    return request.param


def make(name, classes=CLASSES):
    """The sampler, given rows only if it asks for them."""
    both = gallery(classes)
    rows = stored_rows(classes) if registry.part("samplers", name).needs_rows else None
    return registry.create("samplers", name, rows=rows, references=both, targets=both)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_depends_on_seed_and_number_alone(name):
    sampler = make(name)
    wanted = sampler.epoch(3, 2)
    for seed, epoch in ((3, 0), (9, 2), (3, 3)):
        sampler.epoch(seed, epoch)
    np.random.random(7)
    assert same(sampler.epoch(3, 2), wanted)
    assert same(make(name).epoch(3, 2), wanted)  # as after a restart


def test_epochs_differ_and_seeds_differ(name):
    sampler = make(name)
    drawn = [
        sampler.epoch(seed, epoch) for seed, epoch in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (-1, 0), (2**31, 1))
    ]
    assert not any(same(a, b) for a, b in itertools.combinations(drawn, 2))


def test_an_epoch_that_was_given_away_can_be_changed(name):
    sampler = make(name)
    for array in sampler.epoch(1, 1):
        array[:] = array[0]
    assert same(sampler.epoch(1, 1), make(name).epoch(1, 1))


def test_every_epoch_has_the_length_of_the_sampler(name):
    sampler = make(name)
    assert len(sampler) > 1
    for epoch in range(20):
        assert {len(array) for array in sampler.epoch(4, epoch)} == {len(sampler)}


def test_types_of_the_rows(name):
    rows = make(name).epoch(0, 0)
    assert rows.reference_R.dtype == rows.target_R.dtype == np.int32
    assert rows.texts_R.dtype == object
    assert {type(text) for text in rows.texts_R} == {str}


def test_positions_are_in_their_galleries_and_pictures_differ(name):
    sampler = make(name)
    for epoch in range(20):
        rows = sampler.epoch(4, epoch)
        for position_R in (rows.reference_R, rows.target_R):
            assert position_R.min() >= 0 and position_R.max() < len(CLASSES)
        assert (rows.reference_R != rows.target_R).all()


def test_no_text_is_longer_than_the_longest_of_texts(name):
    sampler = make(name)
    assert isinstance(sampler.texts(), list)
    for tokenizer in (WordTokenizer.from_texts(sampler.vocabulary()), Letters()):
        width = tokenizer.tokenize(sampler.texts()).shape[1]
        for epoch in range(20):
            assert tokenizer.tokenize(sampler.epoch(4, epoch).texts_R.tolist()).shape[1] <= width


def test_all_words_of_an_epoch_are_in_the_vocabulary(name):
    sampler = make(name)
    tokenizer = WordTokenizer.from_texts(sampler.vocabulary())
    for epoch in range(20):
        assert tokenizer.unknown_id not in tokenizer.tokenize(sampler.epoch(4, epoch).texts_R.tolist())


def test_no_pictures_are_nothing_to_draw(name):
    with pytest.raises(ValueError):
        make(name, [])


class Letters:
    """A tokenizer whose tokens are letters."""

    def tokenize(self, texts):
        return np.zeros((len(texts), max(map(len, texts))))
