"""Tables of names: every tensor is used once or known to be unused, and layouts become ours."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest

from cir_tf.convert import Family, apply, base, count, families
from cir_tf.errors import UserError
from tests.golden import S


def family(*rules, unused=(), detect=(".*",), constants=()):
    return Family("toy", "a toy", detect, lambda state: {}, rules, unused, constants)


def test_each_transform_turns_pytorchs_layout_into_ours():
    dense, conv = S((4, 3), 0.7, 0.1), S((5, 2, 3, 4), 0.7, 0.1)
    for name, source, expected in (
        ("same", dense, dense),
        ("linear", dense, np.einsum("oi->io", dense)),
        ("conv", conv, np.einsum("oihw->hwio", conv)),
        ("depthwise", conv[:, :1], np.einsum("cmhw->hwcm", conv[:, :1])),
        ("conv_linear", conv[:, :, :1, :1], np.einsum("oihw->io", conv[:, :, :1, :1])),
        ("squeeze", conv[:1, :1, :1], conv[0, 0, 0]),
        ("scalar", np.array([[2.5]]), np.array(2.5)),
        (lambda array: array[::-1], dense, dense[::-1]),
    ):
        (array,) = apply(family(("x", "y", name)), {"x": source}).values()
        np.testing.assert_array_equal(array, expected)
        assert array.flags.c_contiguous and array.shape == expected.shape
    assert {"same", "linear", "conv", "depthwise", "conv_linear", "squeeze", "scalar"} == base.TRANSFORMS.keys()


def test_braces_cut_a_packed_tensor_into_equal_parts():
    packed, bias = S((6, 3), 0.7, 0.1), S((6,), 0.3, 0.2)
    table = family(
        (r"h(\d)\.qkv\.weight", r"block_\1/{query,key,value}/kernel", "linear"),
        (r"h(\d)\.qkv\.bias", r"block_\1/{query,key,value}/bias", "same"),
    )
    got = apply(table, {"h1.qkv.weight": packed, "h1.qkv.bias": bias})
    assert len(got) == 6
    np.testing.assert_array_equal(got["block_1/key/kernel"], packed[2:4].T)
    np.testing.assert_array_equal(got["block_1/value/bias"], bias[4:])
    with pytest.raises(UserError, match=r"h1\.qkv\.bias \[5\] cannot become block_1/query/bias"):
        apply(table, {"h1.qkv.bias": bias[:5]})


def test_the_first_rule_that_fits_counts():
    table = family(("a", "special", "same"), (r"(\w)", r"general_\1", "same"))
    assert apply(table, {"a": np.ones(1), "b": np.ones(1)}).keys() == {"special", "general_b"}


def test_half_precision_becomes_single_and_the_rest_stays():
    for kind, expected in (("f2", "f4"), (ml_dtypes.bfloat16, "f4"), ("f4", "f4"), ("f8", "f8"), ("i8", "i8")):
        (array,) = apply(family(("x", "y", "same")), {"x": np.array([1.5, 3.25]).astype(kind)}).values()
        assert array.dtype == expected
        np.testing.assert_array_equal(array, np.array([1.5, 3.25]).astype(kind).astype(expected))


def test_what_a_family_does_not_know_is_told():
    table = family(("a", "y", "same"), unused=(r"left\..*",))
    assert apply(table, {"a": np.ones(1), "left.over": np.ones(1)}).keys() == {"y"}
    strange = {f"b{i}": np.ones(1) for i in range(5)}
    with pytest.raises(UserError, match="not known to family toy: b0, b1, b2 and 2 more"):
        apply(table, {"a": np.ones(1)} | strange)
    with pytest.raises(UserError, match="not known to family toy: xa"):  # names are matched whole
        apply(table, {"xa": np.ones(1)})


def test_two_tensors_for_one_weight_are_refused():
    table = family((r"a\d", "y", "same"))
    with pytest.raises(UserError, match="a1 and a2 both become y"):
        apply(table, {"a1": np.ones(1), "a2": np.ones(1)})


def test_a_tensor_of_the_wrong_rank_is_told():
    for name in ("linear", "conv", "depthwise", "conv_linear", "scalar"):
        with pytest.raises(UserError, match=r"x \[2, 3, 4\] cannot become y of family toy"):
            apply(family(("x", "y", name)), {"x": np.ones([2, 3, 4])})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(UserError, match="x holds values that are not finite"):
        apply(family(("x", "y", "same")), {"x": np.array([1, value], "f2")})


def test_a_family_is_detected_when_each_expression_finds_a_name():
    table = family(detect=(r"a\d", "b"))
    assert table.fits(["a1", "b", "c"])
    assert not table.fits(["a1", "bb"])
    assert not table.fits(["b"])


def test_constants_fill_what_no_file_holds():
    table = family(constants=((r"norm/(gamma|variance)", 1), ("norm/beta", 0)))
    got = base.constants(table, {"norm/gamma": (2,), "norm/beta": (3,), "dense/kernel": (4, 5)})
    np.testing.assert_array_equal(got["norm/gamma"], [1, 1])
    np.testing.assert_array_equal(got["norm/beta"], [0, 0, 0])
    assert len(got) == 2


def test_blocks_are_counted():
    assert count({"h.0.a": 1, "h.0.b": 1, "h.10.a": 1, "g.3.a": 1}, r"h\.(\d+)\..*") == 2


def test_every_family_has_a_name_of_its_own_and_known_transforms():
    for name, each in families.everything().items():
        assert name == each.name
        assert each.about and each.detect and each.rules
        for _, _, transform in each.rules:
            assert callable(transform) or transform in base.TRANSFORMS, (name, transform)


def test_two_families_of_one_name_are_refused(monkeypatch):
    one = family()
    monkeypatch.setattr(families, "__path__", [])
    assert families.everything() == {}
    modules = {"first": type("M", (), {"FAMILY": one, "SAME": one}), "second": type("M", (), {"X": one})}
    monkeypatch.setattr(families.pkgutil, "iter_modules", lambda _: [type("I", (), {"name": name}) for name in modules])
    monkeypatch.setattr(families.importlib, "import_module", lambda name: modules[name.rpartition(".")[2]])
    assert families.everything() == {"toy": one}
    modules["second"].X = dataclasses.replace(one, about="another")
    with pytest.raises(ValueError, match="Received: two families 'toy'"):
        families.everything()
