import numpy as np
import pytest

from cir_tf import glove
from cir_tf.errors import UserError

LINES = ["the 0.1 0.2 0.3", ". . . 9 8 7", "red -1 2e-1 3", "über 4 5 6", "red 7 7 7", "blue 1 1 1"]
WORDS = ["red", "unheard", "über", ". . ."]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_vectors_of_the_words_in_their_order(path):
    vectors_VE, known_V = glove.read(path, WORDS, 3)
    np.testing.assert_array_equal(known_V, [True, False, True, True])
    np.testing.assert_allclose(vectors_VE, [[-1, 0.2, 3], [0, 0, 0], [4, 5, 6], [9, 8, 7]], rtol=1e-6)
    assert vectors_VE.dtype == np.float32


def test_the_large_file_is_read_once(path, monkeypatch):
    first = glove.read(path, WORDS, 3)
    monkeypatch.setattr(glove, "_scan", None)
    again = glove.read(path, WORDS, 3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".npz", ".txt"]


def test_other_words_or_another_file_are_read_anew(path):
    glove.read(path, WORDS, 3)
    vectors_VE, _ = glove.read(path, ["blue", "the"], 3)
    np.testing.assert_allclose(vectors_VE, [[1, 1, 1], [0.1, 0.2, 0.3]])
    path.write_text("blue 2 2 2\n")
    vectors_VE, _ = glove.read(path, ["blue", "the"], 3)
    np.testing.assert_array_equal(vectors_VE, [[2, 2, 2], [0, 0, 0]])


def test_a_damaged_cache_is_replaced(path):
    expected = glove.read(path, WORDS, 3)
    kept = next(path.parent.glob("*.npz"))
    for content in (b"", b"PK\x03\x04 cut off", kept.read_bytes()[:200]):
        kept.write_bytes(content)
        got = glove.read(path, WORDS, 3)
        np.testing.assert_array_equal(got[0], expected[0])
        assert np.load(kept)["vectors"].shape == (4, 3)


def test_a_folder_that_cannot_be_written_costs_the_cache_only(path):
    (path.parent / "file").write_text("")
    with pytest.warns(UserWarning, match="read anew"):
        vectors_VE, _ = glove.read(path, WORDS, 3, cache=path.parent / "file" / "cache")
    assert vectors_VE[0, 0] == -1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("short 1 2", "line 7: a word and 3 numbers are wanted, there are 2"),
        ("", "line 7: a word and 3 numbers"),
        ("unheard 1 two 3", "line 7: .*two"),
        ("unheard 1 nan 3", "line 7: a number is not finite"),
    ],
)
def test_a_wrong_line_is_named(path, line, message):
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=message):
        glove.read(path, WORDS, 3)
    assert not list(path.parent.glob("*.npz*"))


def test_the_wrong_width_and_a_missing_file_are_refused(path):
    with pytest.raises(UserError, match="line 1: a word and 5 numbers are wanted, there are 3"):
        glove.read(path, WORDS, 5)
    with pytest.raises(UserError, match="there is no file"):
        glove.read(path.with_name("none.txt"), WORDS, 3)


def test_too_small_a_width_is_refused_too(path):
    """Else the word would be "red -1", which no vocabulary has, and every word unknown without a sound."""
    with pytest.raises(UserError, match="numbers"):
        glove.read(path, WORDS, 2)
