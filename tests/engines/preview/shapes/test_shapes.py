from collections.abc import Callable

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from benchmarks.preview_scene import Scene
from sam3d_bento.arrays import Bool, Float32, Int32
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

Closed = Callable[[Float32, Int32], None]
Photographed = Callable[..., tuple[Photo, Mask]]
Reconstruct = Callable[..., Reconstruction]
LEVEL = 0.01  # share of the longest side; of a lid or a base
MUG = [(0.4, -0.5), (0.4, 0.5)]


@pytest.fixture
def mug(seen_circles: Callable[..., Bool]) -> Bool:
    row, column = np.indices((500, 500))
    ring = np.hypot(row - 250, column - 325)
    return seen_circles(MUG, 20) | ((ring < 45) & (ring > 30))


@pytest.fixture
def cube(seen_box: Callable[..., Bool]) -> Bool:
    return seen_box((1.0, 1.0, 1.0), 45, 20)  # seen over its edge, it is symmetric too


@pytest.mark.slow
def test_each_silhouette_gets_the_right_class(
    reconstruct: Reconstruct, seen_circles: Callable[..., Bool], mug: Bool, cube: Bool
) -> None:
    cat = cube.copy()
    cat[:220, 180:300] = False
    shapes = [reconstruct(pixels).details["shape"] for pixels in (seen_circles(MUG, 20), mug, cube, cat)]
    assert shapes == ["lathe", "lathe with a handle", "box", "puff"]


@pytest.mark.properties
@pytest.mark.parametrize("shape", ["puff", "lathe", "box"])
def test_a_chosen_class_gives_a_closed_outward_mesh_for_any_mask(
    reconstruct: Reconstruct, assert_closed: Closed, shape: str, mug: Bool, disc: Callable[..., Bool]
) -> None:
    specks = np.zeros((300, 300), bool)
    specks[:2, :2] = specks[-2:, -2:] = True
    random = np.random.default_rng(3)
    masks = [mug, disc(64, 20), specks, np.eye(300, dtype=bool), np.ones((1, 1), bool), np.ones((3, 900), bool)]
    masks += [random.random(random.integers(2, 13, 2)) < 0.4 for _ in range(20)]
    for pixels in masks:
        if pixels.any():
            result = reconstruct(pixels, shape=shape)
            assert result.details["shape"].startswith(shape)
            assert np.isfinite(result.vertices).all()
            assert_closed(result.vertices, result.faces)
            assert trimesh.Trimesh(result.vertices, result.faces, process=False).volume > 0


@pytest.mark.slow
def test_a_can_seen_from_above_stands_upright(reconstruct: Reconstruct, seen_circles: Callable[..., Bool]) -> None:
    x, y, z = reconstruct(seen_circles(MUG, 30)).vertices.T
    top = y > y.max() - LEVEL
    assert np.ptp(x[top]) == pytest.approx(np.ptp(x), rel=0.05)
    assert np.ptp(z[top]) == pytest.approx(np.ptp(z), rel=0.05)


def test_a_box_stands_upright(reconstruct: Reconstruct, cube: Bool) -> None:
    vertices = reconstruct(cube).vertices
    y = vertices[:, 1]
    for level in (y.min(), y.max()):
        assert np.count_nonzero(np.abs(y - level) < LEVEL) > 0.1 * len(y)


@pytest.mark.slow
def test_a_handle_does_not_stretch_the_body_towards_it(reconstruct: Reconstruct, mug: Bool) -> None:
    result = reconstruct(mug)
    body, _ = trimesh.Trimesh(result.vertices, result.faces, process=False).split()
    for height in np.linspace(-0.3, 0.3, 13):
        x = body.vertices[np.abs(body.vertices[:, 1] - height) < 0.01, 0]
        assert x.max() + x.min() == pytest.approx(body.bounds[:, 0].sum(), abs=0.008)


@pytest.mark.slow
def test_a_handle_sticks_out_at_its_side_and_reaches_the_body(reconstruct: Reconstruct, mug: Bool) -> None:
    result = reconstruct(mug)
    body, handle = trimesh.Trimesh(result.vertices, result.faces, process=False).split()
    assert handle.bounds[1, 0] == pytest.approx(0.5, abs=0.2)
    assert handle.bounds[0, 0] < body.bounds[1, 0] < handle.bounds[1, 0]
    assert abs(handle.bounds[:, 2].sum() - body.bounds[:, 2].sum()) < 0.1  # in the middle between front and back


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["lathe", "box"])
def test_the_back_is_the_front_mirrored_and_no_background_shows(
    reconstruct: Reconstruct, cube: Bool, seen_circles: Callable[..., Bool], shape: str
) -> None:
    pixels = cube if shape == "box" else seen_circles(MUG, 20)
    rgb = np.where(pixels[:, :, None], np.array([200, 60, 60], np.uint8), np.array([0, 255, 0], np.uint8))
    rgb[:, :250, 2] = 180
    result = reconstruct(pixels, rgb)
    assert result.colours is not None
    assert result.colours[:, 1].max() < 110
    x, y, z = result.vertices.T
    for back in (False, True):
        side = (z < -0.15 if back else z > 0.15) & (np.abs(y) < 0.2)
        left, right = side & (x < -0.12), side & (x > 0.12)
        if shape == "lathe":
            assert np.median(result.colours[left, 2]) > 150
            assert np.median(result.colours[right, 2]) < 90


def test_the_focal_length_of_a_photo_is_used(photographed: Photographed, cube: Bool) -> None:
    photo, mask = photographed(cube)
    known = Photo(photo.rgb, None, photo.original_size, focal_length=700.0)
    details = PreviewEngine().reconstruct(known, mask, Options(), 0, silent).details
    assert details["fov_source"] == "exif"
    assert details["fov_degrees"] == pytest.approx(39.3, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["lathe", "lathe with a handle", "box", "puff"])
def test_the_model_projects_back_onto_its_photo(
    reconstruct: Reconstruct, seen_circles: Callable[..., Bool], mug: Bool, cube: Bool, shape: str
) -> None:
    tall = np.zeros((500, 500), bool)
    tall[60:420, 150:260] = tall[300:420, 100:360] = True  # neither symmetric nor convex
    pixels = {"lathe": seen_circles(MUG, 20), "lathe with a handle": mug, "box": cube, "puff": tall}[shape]
    result = reconstruct(pixels)
    assert result.details["shape"] == shape
    assert result.details["fov_source"] == ("assumed" if shape == "puff" else "fitted")
    pose = result.pose
    assert pose is not None
    w, x, y, z = pose.rotation
    placed = Rotation.from_quat([x, y, z, w]).apply(result.vertices * pose.scale) + pose.translation
    focal_length = 250 / np.tan(np.radians(result.details["fov_degrees"]) / 2)
    _, covered = Scene(placed, result.faces).picture(
        lambda face, weights, points: np.zeros((len(face), 3)), np.eye(3), np.zeros(3), focal_length, 500, 1
    )
    seen = covered > 0.5
    assert np.count_nonzero(seen & pixels) > 0.99 * np.count_nonzero(seen | pixels)


def test_a_puff_that_is_nearly_a_lathe_says_so(reconstruct: Reconstruct, seen_circles: Callable[..., Bool]) -> None:
    chipped = seen_circles(MUG, 20)
    chipped[:250, 296:] = False
    details = reconstruct(chipped).details
    assert details["shape"] == "puff"
    assert details["near"] == {"shape": "lathe", "share": pytest.approx(0.94, abs=0.03)}


def test_a_puff_that_is_near_no_class_says_nothing(reconstruct: Reconstruct) -> None:
    row, column = np.indices((300, 300)) - 150
    three = ((np.abs(row) < 12) & (column > -100) & (column < 60)) | (
        (np.abs(row - column) < 12) & (row > 0) & (row < 110)
    )
    assert "near" not in reconstruct(three).details
