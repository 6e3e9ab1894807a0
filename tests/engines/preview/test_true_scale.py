"""A can of 95 mm, photographed with its depth, comes out as large as it is."""

import dataclasses
import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from sam3d_bento.engines.preview.camera import Camera, tilt
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.true_scale import measure_scale
from sam3d_bento.options import Options
from sam3d_bento.photo import depth, images
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask
from tests.support.depth_scenes import (
    DISTANCE_METRES,
    HEIGHT_METRES,
    PITCH_DEGREES,
    RADIUS_METRES,
    can,
    npy,
)


def seen(scene, file, photo_file=None):
    photo = images.decode(photo_file or scene.photo_file, max_pixels=10**7)
    view = depth.look(photo, file, None, Options(intrinsics=scene.intrinsics))
    return photo, Mask(scene.mask, "upload", float(scene.mask.mean())), view


def lying(scene):
    """The photo as a phone stores it: turned by 90 degrees, with a note in EXIF that says so."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(scene.rgb)).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def rotated(scene):
    return seen(scene, npy(scene.depth), lying(scene))


CASES = {
    "whole": lambda: seen(can(), npy(can().depth)),
    "40 % missing": lambda: seen(can(missing=0.4), npy(can(missing=0.4).depth)),
    "60 % missing": lambda: seen(can(missing=0.6), npy(can(missing=0.6).depth)),
    "half the pixels": lambda: seen(can(), npy(can().depth[::2, ::2])),
    "turned by EXIF": lambda: rotated(can()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_known_mesh_is_measured_to_one_percent(case):
    photo, mask, view = CASES[case]()
    mesh = trimesh.creation.cylinder(RADIUS_METRES, HEIGHT_METRES, sections=120).subdivide_to_size(0.003)
    upright = mesh.vertices[:, [1, 2, 0]]  # trimesh's axis is z
    axes = tilt(np.radians(PITCH_DEGREES))
    before = upright @ axes.T - [0, 0, DISTANCE_METRES]
    height, width = mask.pixels.shape
    far = 7.0  # the engine's unit is any
    posed = PosedMesh(
        before * far,
        mesh.faces.astype(np.int32),
        np.zeros((len(before), 3), np.uint8),
        axes,
        Camera(can().camera[0], width, height),
    )
    scale, error = measure_scale(posed, cut_out(photo, mask), mask.pixels, view.points[..., 2])
    assert scale * far == pytest.approx(1, rel=0.01)
    assert error < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_height_and_width_of_the_preview_are_true_to_five_percent(case):
    photo, mask, view = CASES[case]()
    made = PreviewEngine().reconstruct(photo, mask, Options(), 0, silent, view=view)
    assert made.measured is not None
    width, height, _ = np.ptp(made.vertices, axis=0) * made.measured.metres_per_unit
    assert height == pytest.approx(HEIGHT_METRES, rel=0.05)
    assert width == pytest.approx(2 * RADIUS_METRES, rel=0.05)
    assert made.details["size"] == {"measured": ["height", "width"], "guessed": ["thickness"]}
    assert made.measured.relative_error < 0.1
    assert made.pose.scale[0] == pytest.approx(made.measured.metres_per_unit)
    assert -made.pose.translation[2] == pytest.approx(DISTANCE_METRES, rel=0.05)
    assert (made.camera.fx, made.camera.source) == (can().camera[0], "given")


def test_without_points_nothing_is_measured():
    photo, mask, view = seen(can(), npy(can().depth))
    made = PreviewEngine().reconstruct(photo, mask, Options(), 0, silent, view=dataclasses.replace(view, points=None))
    assert made.measured is None
    assert made.camera.source == "given"


def test_too_little_depth_measures_nothing():
    photo, mask, view = seen(can(), npy(can().depth))
    blind = dataclasses.replace(view, points=np.full_like(view.points, np.nan))
    assert PreviewEngine().reconstruct(photo, mask, Options(), 0, silent, view=blind).measured is None
