"""The flat drawing to the pixel, and what must be told apart in the 3-D pictures."""

import numpy as np
import pytest

from datasets_tfds.css import render, samples, scenes


def _object(shape="circle", color="red", size="large", cell=4):
    return {"shape": shape, "color": color, "size": size, "pos": (scenes.CENTERS[cell // 3], scenes.CENTERS[cell % 3])}


def _picture(*objects, seed=0):
    return render.draw_3d(objects, np.random.default_rng(seed)).astype(int)


def _bare(seed):
    """The same light without the objects."""
    return _picture(seed=seed)


@pytest.mark.parametrize(
    ("shape", "size", "pixels"),
    [
        ("rectangle", "small", 64),
        ("rectangle", "large", 256),
        ("circle", "small", 32),
        ("circle", "large", 128),
        ("triangle", "small", 28),
        ("triangle", "large", 120),
    ],
)
def test_flat_shapes_cover_the_published_pixel_counts(shape, size, pixels):
    """Golden numbers of TIRG's drawing, centre (0.5, 0.5), red."""
    drawing = render.draw_2d([{"shape": shape, "size": size, "color": "red", "pos": (0.5, 0.5)}])
    assert drawing.shape == (64, 64, 3)
    assert drawing.dtype == np.uint8
    assert np.all(drawing == (244, 35, 35), axis=2).sum() == pixels
    assert np.all(drawing == 255, axis=2).sum() == 64 * 64 - pixels


def test_flat_square_lies_where_its_position_says():
    drawing = render.draw_2d([{"shape": "rectangle", "size": "small", "color": "blue", "pos": (0.25, 0.75)}])
    rows, columns = np.nonzero(np.any(drawing != 255, axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 19, 44, 51)


def test_flat_triangle_points_up_and_circle_is_a_diamond():
    triangle = np.any(render.draw_2d([_object("triangle")]) != 255, axis=2).sum(axis=1)
    diamond = np.any(render.draw_2d([_object("circle")]) != 255, axis=2).sum(axis=1)
    np.testing.assert_array_equal(triangle[24:40], np.arange(16))
    np.testing.assert_array_equal(diamond[24:41], 2 * (8 - np.abs(np.arange(-8, 9))))


def test_flat_objects_at_the_rim_are_cut_off_and_later_ones_lie_on_top():
    rim = render.draw_2d([{"shape": "rectangle", "size": "large", "color": "green", "pos": (0.0, 1.0)}])
    assert np.any(rim != 255, axis=2).sum() == 64
    both = [_object("rectangle", "red"), _object("rectangle", "blue")]
    assert render.draw_2d(both)[32, 32].tolist() == list(render.RGB["blue"])


def test_picture_is_a_function_of_scene_and_seed():
    objects = [_object(), _object("rectangle", "blue", "small", 2)]
    np.testing.assert_array_equal(_picture(*objects, seed=5), _picture(*objects, seed=5))
    assert np.abs(_picture(*objects, seed=5) - _picture(*objects, seed=6)).max() > 20
    assert render.draw_3d(objects, np.random.default_rng(0)).shape == (render.SIDE, render.SIDE, 3)


@pytest.mark.parametrize("shape", scenes.SHAPES)
def test_small_covers_less_than_half_of_large_in_every_cell(shape):
    """Red against grey ground: pixels whose red stands out, the largest small one against the smallest large one."""
    covered = {
        size: [
            np.sum(picture[..., 0] - picture[..., 1] > 40)
            for cell in range(9)
            for picture in (_picture(_object(shape, "red", size, cell), seed=cell),)
        ]
        for size in scenes.SIZES
    }
    assert min(covered["small"]) > 25
    assert all(2 * small < large for small, large in zip(*covered.values(), strict=True))
    assert max(covered["small"]) < min(covered["large"])


@pytest.mark.parametrize("shape", scenes.SHAPES)
@pytest.mark.parametrize("size", scenes.SIZES)
def test_every_colour_is_nearest_to_itself(shape, size):
    """Mean colour of an object, up to brightness, against the eight colours up to brightness."""
    reference = np.array(list(render.RGB.values())) / 255
    reference = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    for k, color in enumerate(render.RGB):
        difference = np.abs(_picture(_object(shape, color, size)) - _bare(0)).sum(axis=2)
        region = difference > 0.6 * difference.max()
        mean = _picture(_object(shape, color, size))[region].mean(axis=0)
        assert np.argmax(reference @ mean) == k, (color, mean)


def test_objects_stand_in_their_cells_and_inside_the_picture():
    centre = {}
    for cell in range(9):
        for seed in range(3):
            picture = _picture(_object("rectangle", "red", "large", cell), seed=seed)
            rows, columns = np.nonzero(picture[..., 0] - picture[..., 1] > 60)
            centre[cell] = rows.mean(), columns.mean()
            assert rows.min() > 0
            assert rows.max() < render.SIDE - 1
            assert columns.min() >= 0
    for cell in range(9):
        if cell % 3:
            assert centre[cell][1] > centre[cell - 1][1] + 12  # to the right
        if cell >= 3:
            assert centre[cell][0] > centre[cell - 3][0] + 12  # nearer, hence lower


class _Still:
    """A generator without chance, so that the order of the objects cannot change their places."""

    def uniform(self, low, high, size=()):
        return np.full(size, (low + high) / 2)


def test_nearer_object_hides_the_one_behind_whatever_their_order():
    behind, front = _object("triangle", "yellow"), _object("triangle", "blue") | {"pos": (0.65, 0.5)}
    picture = render.draw_3d([behind, front], _Still()).astype(int)
    np.testing.assert_array_equal(picture, render.draw_3d([front, behind], _Still()))
    blue = [render.draw_3d(objects, _Still()).astype(int) for objects in ([front], [front, behind])]
    alone, together = ((p[..., 2] - p[..., 0] > 60).sum() for p in blue)
    assert abs(alone - together) < 4  # pixels along its rim
    yellow = [render.draw_3d(objects, _Still()).astype(int) for objects in ([behind], [front, behind])]
    alone, together = ((p[..., 0] - p[..., 2] > 60).sum() for p in yellow)
    assert 0 < together < alone - 10


def test_shadow_darkens_the_ground_on_the_far_side_of_the_light():
    lit, bare = _picture(_object("circle", "gray"), seed=0), _bare(0)
    change = (lit - bare).sum(axis=2)
    left, right = change[30:42, 14:24].mean(), change[30:42, 46:56].mean()
    assert right < left - 5


def test_cones_are_steeper_than_every_line_of_sight():
    steepest = render.CAMERA_ELEVATION + np.arctan(render.HALF_VIEW)
    assert np.tan(steepest) < render.CONE_HEIGHT


def test_samples_picture_is_small_and_holds_every_kind(tmp_path):
    sheet = samples.sheet()
    sheet.save(tmp_path / "samples.png", optimize=True)
    assert sheet.size[1] > len(scenes.KINDS) * samples.SCALE * render.SIDE
    assert (tmp_path / "samples.png").stat().st_size < 60_000
    assert samples.PATH.exists()
