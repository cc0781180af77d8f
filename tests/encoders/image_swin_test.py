import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply
from cir_tf.convert.families import swin
from cir_tf.encoders.image_swin import ImageSwin, four_pixels, relative_position_index
from cir_tf.errors import UserError
from tests.encoders.numpy_nets import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    fill,
    gelu,
    images,
    layer_norm,
    softmax,
)
from tests.golden import policy

SMALL = {"stem_width": 4, "blocks": (2, 3, 2, 2), "heads": (1, 2, 4, 2)}


def timm_shapes(width, blocks, heads, window):
    """Names and shapes of timm's state dictionary, as of version 0.4."""
    shapes = {"patch_embed.proj.weight": (width, 3, 4, 4), "patch_embed.proj.bias": (width,)}
    shapes |= pair("patch_embed.norm", width)
    for stage, (count, heads_here) in enumerate(zip(blocks, heads, strict=True)):
        here = width * 2**stage
        for block in range(count):
            start = f"layers.{stage}.blocks.{block}."
            shapes |= pair(f"{start}norm1", here) | pair(f"{start}norm2", here)
            shapes[f"{start}attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads_here)
            shapes[f"{start}attn.relative_position_index"] = (window**2, window**2)
            shapes |= pair(f"{start}attn.qkv", 3 * here, here) | pair(f"{start}attn.proj", here, here)
            shapes |= pair(f"{start}mlp.fc1", 4 * here, here) | pair(f"{start}mlp.fc2", here, 4 * here)
        if stage < 3:
            shapes |= pair(f"layers.{stage}.downsample.norm", 4 * here)
            shapes[f"layers.{stage}.downsample.reduction.weight"] = (2 * here, 4 * here)
    return shapes | pair("norm", 8 * width) | pair("head", 7, 8 * width)


def pair(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def oracle(state, image_BHWC, blocks, heads, window):
    """The taps after stages 2, 3 and 4, with attention over all pixels at once instead of windows."""

    def dense(x, name):
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    def norm(x, name):
        return layer_norm(x, state[f"{name}.weight"], state[f"{name}.bias"])

    pixels = (image_BHWC / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION
    batch, side = len(pixels), image_BHWC.shape[1] // 4
    patches = pixels.reshape(batch, side, 4, side, 4, 3)
    x = np.einsum("bhiwjc,ocij->bhwo", patches, state["patch_embed.proj.weight"]) + state["patch_embed.proj.bias"]
    x = norm(x, "patch_embed.norm")
    maps = []
    for stage, count in enumerate(blocks):
        for block in range(count):
            start, width = f"layers.{stage}.blocks.{block}.", x.shape[-1]
            shift = window // 2 if block % 2 and side > window else 0
            flat = norm(x, f"{start}norm1").reshape(batch, side**2, width)
            query, key, value = np.split(dense(flat, f"{start}attn.qkv"), 3, axis=-1)
            outputs = []
            for head in range(heads[stage]):
                part = slice(head * width // heads[stage], (head + 1) * width // heads[stage])
                score = query[..., part] @ key[..., part].transpose(0, 2, 1) / (width // heads[stage]) ** 0.5
                table = state[f"{start}attn.relative_position_bias_table"][:, head]
                outputs.append(softmax(score + pixel_bias(side, window, shift, table)) @ value[..., part])
            attended = dense(np.concatenate(outputs, axis=-1), f"{start}attn.proj")
            x = x + attended.reshape(x.shape)
            x = x + dense(gelu(dense(norm(x, f"{start}norm2"), f"{start}mlp.fc1")), f"{start}mlp.fc2")
        if stage < 3:
            corners = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
            merge = f"layers.{stage}.downsample."
            x = dense(norm(np.concatenate(corners, axis=-1), f"{merge}norm"), f"{merge}reduction")
            side //= 2
        else:
            x = norm(x, "norm")
        maps.append(x)
    return maps[1:]


def pixel_bias(side, window, shift, table):
    """What is added to the score of each two pixels of the whole map; minus infinity in different windows."""
    row, column = np.divmod(np.arange(side**2), side)
    moved = [(each - shift) % side for each in (row, column)]
    down, right = (each[:, None] - each for each in moved)
    together = np.all([each[:, None] // window == each // window for each in moved], axis=0)
    crossing = np.any([each < shift for each in (row, column)], axis=0)  # came round from the other side
    round_row, round_column = row < shift, column < shift
    apart = (round_row[:, None] != round_row) | (round_column[:, None] != round_column)
    assert not shift or crossing.any()
    near = np.where(together, (down + window - 1) * (2 * window - 1) + right + window - 1, 0)
    return np.where(together, table[near] - 100.0 * apart, -np.inf)


def small(side, dtype="float32"):
    with policy(dtype):
        encoder = ImageSwin(image_size=side, **SMALL)
    encoder(images(1, side))
    state = fill(timm_shapes(SMALL["stem_width"], SMALL["blocks"], SMALL["heads"], side // 32))
    weights.assign(encoder, apply(swin.FAMILY, state))
    return encoder, state


@pytest.mark.parametrize("side", [64, 96])  # windows of 2 and, with a shift that is not the half, of 3
def test_equals_timms_network_written_in_numpy(side):
    encoder, state = small(side)
    image = images(2, side)
    features = encoder(image)
    expected = oracle(state, image.astype("float64"), SMALL["blocks"], SMALL["heads"], side // 32)
    for got, each in zip(features.maps, expected, strict=True):
        np.testing.assert_allclose(got, each, atol=2e-5 * np.abs(each).max())
    np.testing.assert_allclose(features.pooled_BE, expected[-1].mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(features.tokens_BLE, expected[-1].reshape(2, -1, 32), atol=5e-5)
    assert np.all(features.mask_BL) and features.mask_BL.shape == features.tokens_BLE.shape[:2]


def test_golden_relative_positions():
    expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    np.testing.assert_array_equal(relative_position_index(2), expected)
    index = relative_position_index(7)
    np.testing.assert_array_equal(index[0, :8], [84, 83, 82, 81, 80, 79, 78, 71])
    assert (index[48, 0], index[0, 48]) == (168, 0)


def test_golden_merging_order():
    rows = np.asarray(four_pixels(np.arange(16.0).reshape(1, 4, 4, 1))).reshape(4, 4)
    np.testing.assert_array_equal(rows, [[0, 4, 1, 5], [2, 6, 3, 7], [8, 12, 9, 13], [10, 14, 11, 15]])


def test_golden_rates_of_dropped_paths():
    encoder = ImageSwin()
    blocks = [block for stage, _ in encoder.stages for block in stage]
    rates = [[drop.rate for drop in block.drops] for block in blocks]
    np.testing.assert_allclose(rates, np.repeat(np.arange(12)[:, None] * 0.1 / 11, 2, axis=1))
    shifts = [block.shift for block in blocks]
    assert shifts == [0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 0]


def test_the_levels_have_the_published_sizes_and_parameters():
    """28,288,354 of Swin-T without the classifier's 769,000."""
    encoder = ImageSwin()
    features = encoder(np.zeros((1, 224, 224, 3), "uint8"))
    assert [tuple(each.shape[1:]) for each in features.maps] == [(14, 14, 384), (7, 7, 768), (7, 7, 768)]
    assert encoder.map_widths == (384, 768, 768) and encoder.width == 768
    assert sum(np.prod(each.shape) for each in encoder.trainable_weights) == 28_288_354 - 769_000


def test_dropped_paths_leave_whole_examples_unchanged():
    encoder = ImageSwin(image_size=64, drop_path=0.5, **SMALL)
    image = np.repeat(images(1, 64), 40, axis=0)
    np.testing.assert_array_equal(encoder(image).pooled_BE, encoder(image).pooled_BE)
    block = encoder.stages[3][0][-1]
    x = np.repeat(np.arange(32.0, dtype="float32").reshape(1, 1, 1, 32) % 5, 40, axis=0) * np.ones(
        (1, 2, 2, 1), "float32"
    )
    dropped = np.asarray(block.drops[0](x, training=True)).reshape(40, -1)
    kept = [dropped[:, i] for i in (1, 127)]
    np.testing.assert_array_equal(kept[0] == 0, kept[1] == 0)
    assert set(kept[0]) == {0, 2 * x[0, 0, 0, 1]}
    trained = np.asarray(encoder(image, training=True).pooled_BE)
    assert len(np.unique(trained.round(5), axis=0)) > 3


def test_newer_timm_names_a_merging_by_the_stage_it_starts():
    shapes = timm_shapes(SMALL["stem_width"], SMALL["blocks"], SMALL["heads"], 2)
    older = fill(shapes)
    newer = {}
    for name, array in older.items():
        parts = name.split(".")
        if "downsample" in parts:
            parts[1] = str(int(parts[1]) + 1)
        newer[".".join(parts).replace("head.", "head.fc.")] = array
    found, expected = apply(swin.NEWER, newer), apply(swin.FAMILY, older)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    assert swin.NEWER.fits(newer) and not swin.FAMILY.fits(newer)
    assert swin.FAMILY.fits(older) and not swin.NEWER.fits(older)


def test_comqueryformer_checkpoint_gives_the_same_tower():
    plain = fill(timm_shapes(SMALL["stem_width"], SMALL["blocks"], SMALL["heads"], 2))
    state = {f"image_transformer.{name}": array for name, array in plain.items()}
    state |= {"image_linears.0.weight": np.ones((4, 4)), "text_transformer.pooler.dense.bias": np.ones(4)}
    found, expected = apply(swin.COMQUERYFORMER, state), apply(swin.FAMILY, plain)
    assert found.keys() == expected.keys()
    assert swin.COMQUERYFORMER.fits(state) and not swin.FAMILY.fits(state)


@pytest.mark.parametrize(("family", "prefix"), [(swin.FAMILY, ""), (swin.COMQUERYFORMER, "image_transformer.")])
def test_tensors_that_no_rule_knows_are_refused(family, prefix):
    shapes = timm_shapes(SMALL["stem_width"], SMALL["blocks"], SMALL["heads"], 2) | {"absolute_pos_embed": (1, 4, 4)}
    with pytest.raises(UserError, match="absolute_pos_embed"):
        apply(family, {prefix + name: array for name, array in fill(shapes).items()})


@pytest.mark.parametrize("family", [swin.FAMILY, swin.COMQUERYFORMER])
def test_sizes_are_read_from_the_file(family):
    prefix = "" if family is swin.FAMILY else "image_transformer."
    state = {
        prefix + name: array
        for name, array in fill(timm_shapes(SMALL["stem_width"], SMALL["blocks"], SMALL["heads"], 3)).items()
    }
    assert family.part(state) == {"name": "image_swin", "image_size": 96, **SMALL}


def test_mixed_precision_is_finite():
    encoder, _ = small(64, "mixed_bfloat16")
    features = encoder(images(2, 64), training=True)
    assert all(np.isfinite(np.asarray(each, "float32")).all() for each in (features.pooled_BE, *features.maps))
    assert weights.named(encoder)["stage_0_block_0/relative_position"].dtype == "float32"


def test_a_side_that_windows_do_not_tile_is_refused():
    with pytest.raises(ValueError, match="image_size=80"):
        ImageSwin(image_size=80)
