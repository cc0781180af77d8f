"""Weights files: what is saved comes back, and what does not fit is refused before anything is changed."""

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from cir_tf import assemble, registry, weights
from cir_tf import config as configs
from cir_tf.errors import UserError
from tests.golden import policy


def image(**sizes):
    encoder = registry.create("encoders", "image_tiny", **{"image_size": 16, "widths": (4, 6), **sizes})
    encoder(np.zeros([1, encoder.image_size, encoder.image_size, 3]))
    return encoder


def text():
    encoder = registry.create("encoders", "text_lstm", assets={"vocabulary.txt": "blue\nred\n"}, width=3)
    encoder(np.zeros([1, 2], np.int32))
    return encoder


def values(layer):
    return {name: variable.numpy() for name, variable in weights.named(layer).items()}


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize("make", [image, text])
@pytest.mark.parametrize("ending", weights.FILES)
def test_what_is_saved_comes_back(tmp_path, make, ending):
    first, second = make(), make()
    path = tmp_path / f"tower{ending}"
    if ending == weights.OURS:
        weights.save(first, path, family="toy")
    else:
        keras.saving.save_weights(first, path)
    weights.load(second, path)
    assert_same(values(second), values(first))
    assert path.stat().st_mode & 0o044 == 0o044  # others may read it too


def test_names_are_relative_to_the_layer_wherever_it_was_built():
    class Parent(keras.Model):
        def __init__(self):
            super().__init__(name="parent")
            self.encoder = registry.create("encoders", "image_tiny", image_size=16, widths=(4,))

        def call(self, image_BHWC):
            return self.encoder(image_BHWC).pooled_BE

    parent = Parent()
    parent(np.zeros([1, 16, 16, 3]))
    expected = ["conv_0/kernel", *(f"norm_0/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance"))]
    assert list(weights.named(parent.encoder)) == list(weights.named(image(widths=(4,)))) == expected


def test_parts_made_in_the_constructor_have_names_too():
    class Early(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="early")
            self.scale = self.add_weight(shape=(), name="scale")
            self.dense = keras.layers.Dense(2, name="dense")
            self.dense.build((None, 3))
            self.built = True

    assert list(weights.named(Early())) == ["scale", "dense/kernel", "dense/bias"]


def test_two_weights_of_one_name_are_refused():
    layer = keras.layers.Layer(name="layer")
    for _ in range(2):
        layer.add_weight(shape=(), name="same")
    layer.built = True
    with pytest.raises(ValueError, match="Received: 'same' twice"):
        weights.named(layer)
    with pytest.raises(ValueError, match="built"):
        weights.named(keras.layers.Dense(2))


def test_half_and_double_precision_are_cast_to_the_variables_type():
    encoder = image()
    expected = values(encoder)
    for kind in (np.float16, np.float64, ml_dtypes.bfloat16):
        weights.assign(encoder, {name: array.astype(kind) for name, array in expected.items()})
        assert all(variable.dtype == "float32" for variable in encoder.weights)
        assert_same(values(encoder), {name: array.astype(kind).astype("f4") for name, array in expected.items()})


def test_layers_of_low_precision_are_saved_and_loaded(tmp_path):
    with policy("bfloat16"):
        first, second = image(), image()
    weights.save(first, tmp_path / "low.safetensors")
    weights.load(second, tmp_path / "low.safetensors")
    assert_same(values(second), values(first))


def test_replicas_all_get_the_weights(tmp_path):
    first = image()
    weights.save(first, tmp_path / "x.safetensors")
    strategy = tf.distribute.MirroredStrategy(tf.config.list_logical_devices("CPU"))
    with strategy.scope():
        second = image()
        weights.load(second, tmp_path / "x.safetensors")
    held = strategy.experimental_local_results(second.weights[0].value)
    assert len(held) == 2
    for each in held:
        np.testing.assert_array_equal(each, first.weights[0])


def test_what_does_not_fit_is_told_and_nothing_changes():
    encoder = image()
    before = values(encoder)
    arrays = {name: array + 1 for name, array in before.items()}
    lacking = {name: array for name, array in arrays.items() if name != "conv_1/kernel"}
    transposed = arrays | {"conv_1/kernel": arrays["conv_1/kernel"].transpose(3, 2, 0, 1)}
    for wrong, message in (
        (lacking, r"lacks conv_1/kernel: not the weights"),
        (arrays | {"extra": np.zeros(2)}, r"has also extra: not the weights"),
        (lacking | {"extra": np.zeros(2)}, r"lacks conv_1/kernel and has also extra"),
        (transposed, r"conv_1/kernel is \[6, 4, 3, 3\], not \[3, 3, 4, 6\]"),
        ({}, r"lacks conv_0/kernel, conv_1/kernel, norm_0/beta and 7 more"),
    ):
        with pytest.raises(UserError, match=message):
            weights.assign(encoder, wrong)
    assert_same(values(encoder), before)


def test_broken_and_strange_files_are_told(tmp_path):
    encoder = image()
    before = values(encoder)
    good = tmp_path / "good.safetensors"
    weights.save(encoder, good)
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-7])
    (tmp_path / "page.safetensors").write_text("<html>not found</html>" * 9)
    (tmp_path / "page.weights.h5").write_text("<html>not found</html>" * 9)
    safetensors.numpy.save_file({"conv_0/kernel": np.zeros(2)}, tmp_path / "other.safetensors")
    keras.saving.save_weights(text(), tmp_path / "text.weights.h5")
    weights.save(text(), tmp_path / "text.safetensors")
    for name, message in (
        ("none.safetensors", "there is no weights file"),
        ("cut.safetensors", "no safetensors file, or cut off"),
        ("page.safetensors", "no safetensors file, or cut off"),
        ("page.weights.h5", "does not fit image_encoder"),
        ("other.safetensors", r"is not of this library: python -m cir_tf\.convert"),
        ("text.weights.h5", "holds 7 arrays, image_encoder has 10"),
        ("text.safetensors", r"text\.safetensors lacks conv_0/kernel.* and has also dense/bias"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            weights.load(encoder, tmp_path / name)
        assert "\n" not in str(caught.value)
    assert_same(values(encoder), before)


def test_a_file_is_replaced_in_one_step(tmp_path):
    """Who has the old file open goes on with the old one."""
    path, old = tmp_path / "x.safetensors", tmp_path / "old.safetensors"
    weights.save(image(), path)
    old.hardlink_to(path)
    before = old.read_bytes()
    weights.save(text(), path)
    assert old.read_bytes() == before != path.read_bytes()


def test_no_half_file_is_left(tmp_path, monkeypatch):
    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    path = tmp_path / "x.safetensors"
    weights.save(image(), path)
    before = path.read_bytes()
    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        weights.save(image(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match="a weights file ends in"):
        weights.save(image(), tmp_path / "x.pt")


def tiny(**image_encoder):
    return configs.base(
        width=5,
        image_encoder={"name": "image_tiny", "image_size": 16, "widths": (4, 6), **image_encoder},
        text_encoder={"name": "text_lstm", "width": 5},
    )


def test_a_config_names_the_file_to_start_from(tmp_path):
    first = image()
    path = tmp_path / "x.safetensors"
    weights.save(first, path)
    assets = {"vocabulary.txt": "red\n"}
    model = assemble.retriever(tiny(weights=str(path)), assets)
    assert_same(values(model.image_encoder), values(first))
    path.unlink()
    assemble.retriever(tiny(weights=str(path)), assets, load_weights=False)  # a checkpoint follows: no file is needed
    assemble.retriever(tiny(weights=""), assets)
    with pytest.raises(UserError, match="there is no weights file"):
        assemble.retriever(tiny(weights=str(path)), assets)


def test_a_preset_is_the_encoders_own_matter(monkeypatch):
    with pytest.raises(UserError, match=r"weights='dino' is a preset, as it does not end in .*preset"):
        assemble.retriever(tiny(weights="dino"), {"vocabulary.txt": "red\n"})
    given = {}
    monkeypatch.setattr(registry, "create", lambda kind, name, **arguments: given.update(arguments))
    assemble.part("encoders", {"name": "image_any", "weights": "dino", "image_size": 8})
    assert given == {"preset": "dino", "image_size": 8}
