from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

Reconstruct = Callable[..., Reconstruction]


def standing(height: int, width: int) -> Bool:
    pixels = np.zeros((400, 400), bool)
    pixels[200 - height // 2 : 200 + height // 2, 200 - width // 2 : 200 + width // 2] = True
    return pixels


@pytest.mark.parametrize(("height", "width", "degrees"), [(300, 100, 15), (250, 200, 8), (200, 200, 0), (100, 300, 0)])
def test_tall_objects_are_seen_from_above_and_wide_ones_straight_on(
    reconstruct: Reconstruct, height: int, width: int, degrees: float
) -> None:
    pose = reconstruct(standing(height, width), shape="puff").pose
    assert pose is not None
    w, x, y, z = pose.rotation
    elevation, *others = Rotation.from_quat([x, y, z, w]).as_euler("xyz", degrees=True)
    assert elevation == pytest.approx(degrees, abs=0.6)
    np.testing.assert_allclose(others, 0, atol=1e-4)


def test_the_middle_of_a_tall_object_is_upright(reconstruct: Reconstruct) -> None:
    x, y, z = reconstruct(standing(300, 100), shape="puff").vertices.T
    middles = [(z[level].max() + z[level].min()) / 2 for at in (-0.3, 0, 0.3) if (level := np.abs(y - at) < 0.01).any()]
    assert np.ptp(middles) < 0.03
    assert np.ptp(z) == pytest.approx(1.2 * np.ptp(x), rel=0.1)


def test_wide_objects_are_deeper_than_square_ones(reconstruct: Reconstruct) -> None:
    sizes = [np.ptp(reconstruct(standing(60, width), shape="puff").vertices, axis=0) for width in (60, 180)]
    thick = [depth / height for _, height, depth in sizes]
    assert thick[1] / thick[0] == pytest.approx(1.25, rel=0.1)


def test_a_focal_length_far_shorter_than_the_object_gives_finite_places(
    photographed: Callable[..., tuple[Photo, Mask]],
) -> None:
    photo, mask = photographed(standing(390, 150))
    short = Photo(photo.rgb, None, photo.original_size, focal_length=20.0)
    vertices = PreviewEngine().reconstruct(short, mask, Options(shape="puff"), 0, silent).vertices
    assert np.isfinite(vertices).all()
    assert np.ptp(vertices, axis=0).min() > 1e-3
