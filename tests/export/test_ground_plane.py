import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_bento.camera import Camera
from sam3d_bento.engines.preview.camera import tilt
from sam3d_bento.export.ground_plane import StandingObject, find_pitch, place_on_plane
from sam3d_bento.export.pose import Transform

CAMERA = Camera(140.0, 140.0, 50.0, 50.0, 100, 100, "assumed")
CUBE = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T.astype(np.float32)


def cube(x, z, side, pitch, factor):
    """A cube on the plane one unit below a camera that looks down, nearer and smaller by a factor; and its mask."""
    turn = tilt(np.radians(pitch))
    middle = np.array([x, side / 2 - 1, -z]) @ turn.T
    rotation = Rotation.from_matrix(turn).as_quat(scalar_first=True)
    transform = Transform(rotation, middle, np.full(3, side))
    points = CUBE @ transform.linear.T + middle
    u = CAMERA.cx - CAMERA.fx * points[:, 0] / points[:, 2]
    v = CAMERA.cy + CAMERA.fy * points[:, 1] / points[:, 2]
    mask = np.zeros((100, 100), bool)
    mask[max(round(v.min()), 0) : round(v.max()), max(round(u.min()), 0) : round(u.max())] = True
    return StandingObject(transform.enlarged(factor), CUBE, mask, 1.0)


@pytest.mark.parametrize("pitch", [5, 20, 45])
def test_objects_of_any_factor_are_put_on_one_plane(pitch):
    away = 1 / np.tan(np.radians(pitch))
    truths = [(-0.1 * away, 0.9 * away, 0.1 * away), (0.15 * away, 1.1 * away, 0.12 * away)]
    given = [cube(*truth, pitch, factor) for truth, factor in zip(truths, (0.3, 7), strict=True)]
    for placed, truth in zip(place_on_plane(given, CAMERA), truths, strict=True):
        expected = cube(*truth, pitch, 1.0).transform
        assert np.linalg.norm(placed.translation - expected.translation) < 0.1 * np.linalg.norm(expected.translation)
        assert placed.scale == pytest.approx(expected.scale, rel=0.1)


def test_the_pitch_is_the_weighted_median_of_those_that_have_one():
    leaning = [cube(0, 3, 0.5, pitch, 1) for pitch in (0, 12, 14, 60)]
    assert np.degrees(find_pitch(leaning)) == pytest.approx(14)
    assert np.degrees(find_pitch(leaning[:1])) == pytest.approx(20), "none has one"


def test_a_foot_that_is_covered_or_cut_takes_the_factor_of_what_covers_it_or_of_the_others():
    before, behind = cube(0, 2.2, 0.4, 20, 0.5), cube(0.05, 2.6, 0.6, 20, 0.25)
    behind.mask[before.mask] = False
    behind.mask[behind.mask.nonzero()[0].min() + 3 :] &= False  # only its upper rim is seen
    rows = before.mask.nonzero()[0].min()
    behind.mask[rows - 4 : rows, 45:55] = True
    one, other = place_on_plane([before, behind], CAMERA)
    assert other.scale[0] / behind.transform.scale[0] == pytest.approx(one.scale[0] / before.transform.scale[0])
    cut = cube(0, 2.2, 0.4, 20, 0.5)
    cut.mask[60:, 40:60] = True
    (alone,) = place_on_plane([cut], CAMERA)
    assert alone.scale == pytest.approx(cut.transform.scale), "nothing tells how far away it is"


def test_an_object_above_the_horizon_is_not_sent_to_infinity():
    flying = cube(0, 3, 0.3, 20, 1.0)
    flying.mask[:] = False
    flying.mask[2:9, 40:60] = True
    for transform in place_on_plane([flying, cube(0.3, 2.5, 0.4, 20, 2.0)], CAMERA):
        assert np.isfinite(transform.translation).all()
        assert np.linalg.norm(transform.translation) < 20
