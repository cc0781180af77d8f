"""Pictures of scenes: the flat drawing of TIRG's code, and a small ray caster for the 3-D look.

World of `draw_3d`: x right, y away from the viewer, z up; neighbouring cells are 1 apart and the middle cell is at 0.

Dimension key: R rows of rays, C columns of rays, K slices of a solid, 3 colour channels or coordinates.
"""

import functools
from typing import NamedTuple

import numpy as np

RGB = {
    "gray": (87, 87, 87),
    "red": (244, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 205, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}

FLAT_SIDE = 64
FLAT_HALF = {"small": 4, "large": 8}

SIDE = 72
SAMPLES = 3  # rays per pixel along each axis
CELL = 0.3125  # a step between cells, as a fraction of the canvas
HALF = {"small": 0.2, "large": 0.38}
CUBE_HALF = 0.8  # of that: a cube of the same width looks much larger, and hides what is behind it
CONE_HEIGHT = 2.3  # in base radii; steeper than every line of sight, which `_cone` relies on
CAMERA_DISTANCE, CAMERA_ELEVATION, CAMERA_AIM_Y, HALF_VIEW = 8.5, np.deg2rad(54.0), 0.05, 0.197
LIGHT = np.array([-0.55, -0.4, 1.0])
SHADOW, SLICES = 0.55, 7


def draw_2d(objects):
    """The flat drawing of a scene: squares, diamonds ("circles") and triangles on white, in list order.

    Args:
        objects: list of {"shape", "color", "size", "pos": (row, column) as fractions of the canvas}.

    Returns:
        uint8 [64, 64, 3].

    Reference: Vo et al., CVPR 2019, the drawing of the authors' released code.
    """
    canvas = np.full((FLAT_SIDE, FLAT_SIDE, 3), 255, np.uint8)
    row, column = np.ogrid[:FLAT_SIDE, :FLAT_SIDE]
    for item in objects:
        y, x = (FLAT_SIDE * place for place in item["pos"])
        s = FLAT_HALF[item["size"]]
        down = row - y
        half = {"rectangle": s + 0 * down, "circle": s - np.abs(down), "triangle": (down + s) / 2}[item["shape"]]
        in_rows = (row >= int(y - s)) & (row < int(y + s)) & (half > 0)
        in_columns = (column >= np.trunc(x - half)) & (column < np.trunc(x + half))
        canvas[in_rows & in_columns] = RGB[item["color"]]
    return canvas


def draw_3d(objects, rng):
    """A picture of a scene in perspective: cubes (rectangle), spheres (circle), cones (triangle) and soft shadows.

    Args:
        objects: as for `draw_2d`.
        rng: NumPy Generator; places, turns and light vary a little with it.

    Returns:
        uint8 [72, 72, 3].
    """
    light_3 = LIGHT + np.array([*rng.uniform(-0.15, 0.15, 2), 0.0])
    light_3 /= np.linalg.norm(light_3)
    brightness = rng.uniform(0.93, 1.05)
    solids = [_solid(item, rng) for item in objects]

    side = SIDE * SAMPLES
    depth_RC = np.full((side, side), np.inf, np.float32)
    color_RC3 = np.zeros((side, side, 3), np.float32)
    for solid in solids:
        _paint(solid, light_3, depth_RC, color_RC3)
    cover_RC = np.isfinite(depth_RC).astype(np.float32)

    picture = _ground(solids, light_3)[..., None] * (1 - _pool(cover_RC[..., None])) + _pool(color_RC3)
    return np.clip(255 * brightness * picture + 0.5, 0, 255).astype(np.uint8)


class _Solid(NamedTuple):
    shape: str
    x: float
    y: float
    half: float  # radius, or half an edge
    turn: float  # of a cube about the vertical, in radians
    color_3: np.ndarray

    @property
    def height(self):
        return self.half * (CONE_HEIGHT if self.shape == "triangle" else 2)


def _solid(item, rng):
    row, column = item["pos"]
    dx, dy = rng.uniform(-0.07, 0.07, 2)
    return _Solid(
        shape=item["shape"],
        x=(column - 0.5) / CELL + dx,
        y=(0.5 - row) / CELL + dy,
        half=HALF[item["size"]] * (CUBE_HALF if item["shape"] == "rectangle" else 1) * rng.uniform(0.97, 1.03),
        turn=rng.uniform(0, np.pi / 2),
        color_3=np.array(RGB[item["color"]], np.float32) / 255,
    )


@functools.cache
def _camera():
    """Place [3] and axes [3, 3] (right, up, forward) of the camera."""
    back_3 = np.array([0, -np.cos(CAMERA_ELEVATION), np.sin(CAMERA_ELEVATION)])
    right_3 = np.array([1.0, 0, 0])
    place_3 = CAMERA_DISTANCE * back_3 + [0, CAMERA_AIM_Y, 0]
    return place_3, np.stack([right_3, np.cross(back_3, right_3), -back_3])


@functools.cache
def _rays(samples):
    """Unit directions of all rays, float32 [3, R, C], the first row at the top of the picture."""
    _, axes_33 = _camera()
    side = SIDE * samples
    step = HALF_VIEW * ((np.arange(side) + 0.5) / side * 2 - 1)
    right_RC, down_RC = np.meshgrid(step, step)
    ray_3RC = np.einsum("krc,kd->drc", np.stack([right_RC, -down_RC, np.ones_like(right_RC)]), axes_33)
    return (ray_3RC / np.linalg.norm(ray_3RC, axis=0)).astype(np.float32)


@functools.cache
def _ground_points():
    """Where the middle ray of every pixel meets the ground: x and y, float32 [2, side, side]."""
    ray_3RC, (place_3, _) = _rays(1), _camera()
    return (place_3[:2, None, None] - place_3[2] / ray_3RC[2] * ray_3RC[:2]).astype(np.float32)


def _window(points, samples):
    """The rows and columns of rays that can meet the hull of `points` [n, 3], as two slices."""
    place_3, axes_33 = _camera()
    right, up, forward = axes_33 @ (np.asarray(points) - place_3).T
    scale = SIDE * samples / 2
    columns, rows = scale * (1 + right / forward / HALF_VIEW), scale * (1 - up / forward / HALF_VIEW)
    first = np.maximum([rows.min() - 1, columns.min() - 1], 0).astype(int)
    last = np.maximum([rows.max() + 2, columns.max() + 2], 0).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _box(x, y, reach, height):
    return [(x + i * reach, y + j * reach, z) for i in (-1, 1) for j in (-1, 1) for z in (0, height)]


def _paint(solid, light_3, depth_RC, color_RC3):
    """Writes the colour of a solid wherever it is the nearest so far."""
    reach = solid.half * (np.sqrt(2) if solid.shape == "rectangle" else 1)
    window = _window(_box(solid.x, solid.y, reach, solid.height), SAMPLES)
    ray_3RC = _rays(SAMPLES)[(slice(None), *window)]
    start_3 = (_camera()[0] - (solid.x, solid.y, 0)).astype(np.float32)
    meet = {"rectangle": _cube, "circle": _sphere, "triangle": _cone}[solid.shape]
    distance_RC, diffuse_RC, shine_RC = meet(solid, start_3, ray_3RC, light_3.astype(np.float32))
    is_seen_RC = distance_RC < depth_RC[window]
    depth_RC[window][is_seen_RC] = distance_RC[is_seen_RC]
    shade = np.float32(0.5) + np.float32(0.62) * diffuse_RC[is_seen_RC]
    color_RC3[window][is_seen_RC] = shade[:, None] * solid.color_3 + shine_RC[is_seen_RC][:, None]


def _lit(normal_3RC, ray_3RC, light_3):
    """Diffuse light and a soft highlight of unit normals."""
    diffuse_RC = np.maximum(np.einsum("drc,d->rc", normal_3RC, light_3), 0)
    mirrored_RC = np.einsum("drc,d->rc", ray_3RC, light_3) - 2 * diffuse_RC * np.einsum(
        "drc,drc->rc", normal_3RC, ray_3RC
    )
    return diffuse_RC, np.float32(0.3) * np.maximum(mirrored_RC, 0) ** 16


def _sphere(solid, start_3, ray_3RC, light_3):
    start_3 = start_3 - np.array([0, 0, solid.half], np.float32)
    along_RC = np.einsum("drc,d->rc", ray_3RC, start_3)
    inside_RC = along_RC**2 - (start_3 @ start_3 - solid.half**2)
    distance_RC = -along_RC - np.sqrt(np.maximum(inside_RC, 0))
    normal_3RC = (start_3[:, None, None] + distance_RC * ray_3RC) / np.float32(solid.half)
    return np.where(inside_RC > 0, distance_RC, np.inf), *_lit(normal_3RC, ray_3RC, light_3)


def _cone(solid, start_3, ray_3RC, light_3):
    start_3 = start_3 - np.array([0, 0, solid.height], np.float32)  # the apex is the origin
    weight_3 = np.array([1, 1, -1 / CONE_HEIGHT**2], np.float32)
    a_RC = np.einsum("drc,drc,d->rc", ray_3RC, ray_3RC, weight_3)
    b_RC = np.einsum("drc,d->rc", ray_3RC, weight_3 * start_3)
    inside_RC = b_RC**2 - a_RC * (weight_3 @ start_3**2)
    distance_RC = (-b_RC - np.sqrt(np.maximum(inside_RC, 0))) / a_RC
    point_3RC = start_3[:, None, None] + distance_RC * ray_3RC
    is_hit_RC = (inside_RC > 0) & (point_3RC[2] < 0) & (point_3RC[2] > -solid.height)
    normal_3RC = point_3RC * weight_3[:, None, None]
    normal_3RC /= np.sqrt(np.einsum("drc,drc->rc", normal_3RC, normal_3RC)) + np.float32(1e-6)
    return np.where(is_hit_RC, distance_RC, np.inf), *_lit(normal_3RC, ray_3RC, light_3)


def _cube(solid, start_3, ray_3RC, light_3):
    cos, sin = np.cos(solid.turn), np.sin(solid.turn)
    into_33 = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    start_3 = into_33 @ (start_3 - np.array([0, 0, solid.half], np.float32))
    local_3RC = np.einsum("drc,ed->erc", ray_3RC, into_33)
    step_3RC = 1 / np.where(np.abs(local_3RC) < 1e-6, np.float32(1e-6), local_3RC)
    middle_3RC, reach_3RC = -start_3[:, None, None] * step_3RC, np.abs(step_3RC) * np.float32(solid.half)
    enter_3RC = middle_3RC - reach_3RC
    face_RC = np.argmax(enter_3RC, axis=0)
    distance_RC = np.max(enter_3RC, axis=0)
    is_hit_RC = distance_RC < np.min(middle_3RC + reach_3RC, axis=0)
    # Each of the three faces turned to the camera has one normal, hence one shade.
    diffuse_3 = np.maximum(np.sign(start_3) * (into_33 @ light_3), 0)
    return np.where(is_hit_RC, distance_RC, np.inf), diffuse_3[face_RC], np.zeros_like(distance_RC)


def _ground(solids, light_3):
    """Brightness of the ground in every pixel: fading outwards, darker in the shadows of the solids."""
    point_2RC = _ground_points()
    bright_RC = np.float32(0.80) - np.float32(0.025) * np.einsum("drc,drc->rc", point_2RC, point_2RC)
    slope_2 = -light_3[:2] / light_3[2]
    for solid in solids:
        tip_2 = slope_2 * solid.height
        reach = 1.7 * solid.half
        foot = _box(solid.x, solid.y, reach, 0)
        window = _window(foot + _box(solid.x + tip_2[0], solid.y + tip_2[1], reach, 0), 1)
        bright_RC[window] *= 1 - SHADOW * _shadow(solid, slope_2, point_2RC[(slice(None), *window)])
    return bright_RC


def _shadow(solid, slope_2, point_2RC):
    """Share of the light a solid keeps from the ground: its slices moved along the light, blurred with height."""
    part_K = ((np.arange(SLICES) + 0.5) / SLICES).astype(np.float32)
    height_K11 = (part_K * solid.height)[:, None, None]
    radius_K = {
        "rectangle": np.ones_like(part_K),
        "circle": np.sqrt(1 - (2 * part_K - 1) ** 2),
        "triangle": 1 - part_K,
    }[solid.shape] * np.float32(solid.half)
    x_KRC = point_2RC[0] - np.float32(solid.x) - np.float32(slope_2[0]) * height_K11
    y_KRC = point_2RC[1] - np.float32(solid.y) - np.float32(slope_2[1]) * height_K11
    if solid.shape == "rectangle":
        cos, sin = np.float32(np.cos(solid.turn)), np.float32(np.sin(solid.turn))
        away_KRC = np.maximum(np.abs(cos * x_KRC + sin * y_KRC), np.abs(cos * y_KRC - sin * x_KRC))
    else:
        away_KRC = np.sqrt(x_KRC**2 + y_KRC**2)
    depth_KRC = (radius_K[:, None, None] - away_KRC) / (np.float32(0.08) + np.float32(0.3) * height_K11)
    share_RC = np.clip(np.float32(0.5) + depth_KRC.max(axis=0), 0, 1)
    return share_RC * share_RC * (3 - 2 * share_RC)


def _pool(value_RCX):
    """Mean over the rays of every pixel: [R, C, X] -> [side, side, X]."""
    return value_RCX.reshape(SIDE, SAMPLES, SIDE, SAMPLES, -1).mean(axis=(1, 3))
