"""Depth maps and point maps: what is read, what is refused, and that hostile files cost nothing."""

import dataclasses
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.camera import TO_PYTORCH3D
from sam3d_bento.errors import BadRequest, NoDepth, TooLarge, UnsupportedMedia
from sam3d_bento.options import Options
from sam3d_bento.photo import depth, images
from tests.support.depth_scenes import can, npy, npz


@pytest.fixture(scope="module")
def scene():
    return can(320, 240)


@pytest.fixture(scope="module")
def photo(scene):
    return images.decode(scene.photo_file, max_pixels=10**7)


def look(photo, scene, file, **options):
    return depth.look(photo, file, None, Options(**{"intrinsics": scene.intrinsics, **options}))


def same(one, other):
    return np.array_equal(one.points, other.points, equal_nan=True)


def test_every_kind_of_file_of_one_scene_gives_the_same_points(photo, scene):
    tiff = io.BytesIO()
    Image.fromarray(scene.depth).save(tiff, "TIFF")
    metres = scene.depth / 1000
    fx, fy, cx, cy = scene.camera
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    png = look(photo, scene, scene.png(scene.depth))
    assert same(png, look(photo, scene, tiff.getvalue()))
    assert same(png, look(photo, scene, npy(scene.depth)))
    assert same(png, look(photo, scene, npy(np.asfortranarray(metres))))
    assert same(png, look(photo, scene, npy(metres.astype(np.float32))))
    assert same(png, look(photo, scene, npz(depth=scene.depth, intrinsics=matrix), intrinsics=None))
    assert same(png, look(photo, scene, npz(depth=metres, intrinsics=np.array(scene.camera)), intrinsics=None))


@pytest.mark.parametrize("frame", list(TO_PYTORCH3D))
def test_a_point_map_is_turned_into_our_frame(photo, scene, frame):
    ours = look(photo, scene, scene.png(scene.depth)).points
    given = npz(pointmap=ours / np.array(TO_PYTORCH3D[frame]))
    view = depth.look(photo, None, given, Options(pointmap_frame=frame))
    assert np.array_equal(view.points, ours, equal_nan=True)
    assert view.camera.fx == pytest.approx(scene.camera[0], rel=1e-4)


def test_a_smaller_map_gives_each_pixel_the_nearest_value(photo, scene):
    half = look(photo, scene, npy(scene.depth[::2, ::2]))
    assert half.points.shape == (240, 320, 3)
    known = np.isfinite(half.points[..., 2])
    assert half.points[..., 2][known] == pytest.approx(np.kron(scene.depth[::2, ::2], np.ones((2, 2)))[known] / 1000)


@pytest.mark.parametrize("value", [0, np.nan, np.inf, -1, 2000])
def test_what_is_no_depth_is_missing(photo, scene, value):
    metres = scene.depth / 1000
    metres[:100] = value
    points = look(photo, scene, npy(metres)).points
    assert np.isnan(points[:100]).all()
    assert np.isfinite(points[150:, 150]).all()


def test_a_mixture_of_front_and_back_at_the_rim_is_dropped_and_no_other_pixel(photo, scene):
    metres = np.full((240, 320), 2.0)
    metres[:, :160] = 1.0
    sharp = look(photo, scene, npy(metres)).points
    assert np.isfinite(sharp).all()
    metres[:, 160] = 1.5
    mixed = np.isnan(look(photo, scene, npy(metres)).points[..., 2])
    assert mixed[:, 160].all()
    assert mixed.sum() == 240


def test_the_camera_is_the_given_one_before_the_archives_before_the_photos(photo, scene):
    known = dataclasses.replace(photo, focal_length=300.0)
    archive = npz(depth=scene.depth[::2, ::2], intrinsics=np.array([200.0, 200.0, 80.0, 60.0]))
    sources = {
        "given": depth.look(known, archive, None, Options(intrinsics="500,500,160,120")),
        "archive": depth.look(known, archive, None, Options()),
        "photo": depth.look(known, npy(scene.depth), None, Options()),
    }
    found = {name: (view.camera.fx, view.camera.source) for name, view in sources.items()}
    assert found == {"given": (500, "given"), "archive": (400, "given"), "photo": (300, "exif")}


def test_depth_without_a_camera_is_refused_and_the_next_step_named(photo, scene):
    with pytest.raises(BadRequest, match="intrinsics"):
        depth.look(photo, npy(scene.depth), None, Options())


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "0,500,1,1", "-5,5,1,1", "nan,1,1,1", "1e999,1,1,1", "", "1,2,3,4,5"]
)
def test_intrinsics_are_four_numbers(text):
    with pytest.raises(ValueError, match="fx,fy,cx,cy"):
        Options(intrinsics=text)


@pytest.mark.parametrize("text", ["1,1,160,120", "1e9,1e9,160,120", "500,500,99999,120"])
def test_a_camera_that_cannot_have_taken_the_photo_is_refused(photo, scene, text):
    with pytest.raises(BadRequest, match="intrinsics"):
        look(photo, scene, npy(scene.depth), intrinsics=text)


def test_both_kinds_of_depth_are_one_too_many(photo):
    with pytest.raises(BadRequest, match="only one"):
        depth.look(photo, b"x", b"y", Options())


def header(shape, kind="<f4"):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def bomb():
    """An archive of 60 kB that unzips to 60 MB behind a header of an honest size."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", header((240, 320)) + b"\0" * 60_000_000)
    return file.getvalue()


def picture(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


HOSTILE = {
    "nothing": (b"", BadRequest),
    "text": (b"hello", UnsupportedMedia),
    "jpeg": (picture(np.zeros((240, 320), np.uint8), "JPEG"), UnsupportedMedia),
    "a picture of 8 bits": (picture(np.zeros((240, 320), np.uint8)), BadRequest),
    "a picture of colours": (picture(np.zeros((240, 320, 3), np.uint8)), BadRequest),
    "a PNG cut short": (picture(np.ones((240, 320), np.uint16))[:60], BadRequest),
    "a TIFF of noise": (b"II*\0" + bytes(range(200)), BadRequest),
    "a header of 2 GB": (header((30_000, 20_000)), TooLarge),
    "a header beyond all numbers": (header((10**30, 10**30)), TooLarge),
    "a negative shape": (header((-1, 320)), BadRequest),
    "an array cut short": (header((240, 320)) + b"\0" * 100, BadRequest),
    "a header of noise": (b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 65535, BadRequest),
    "a version of the future": (b"\x93NUMPY\x09\x00" + b"\0" * 80, BadRequest),
    "objects": (npy(np.array([[None] * 9] * 9, object)), BadRequest),
    "a structure": (npy(np.zeros((9, 9), [("a", "<f4")])), BadRequest),
    "texts": (npy(np.full((9, 9), "a")), BadRequest),
    "complex numbers": (npy(np.zeros((240, 320), complex)), BadRequest),
    "integers of 32 bits": (npy(np.ones((240, 320), np.int32)), BadRequest),
    "a row": (npy(np.ones(320)), BadRequest),
    "no pixel": (npy(np.ones((0, 320))), BadRequest),
    "three channels": (npy(np.ones((240, 320, 3))), BadRequest),
    "another aspect": (npy(np.ones((320, 240))), BadRequest),
    "NaN only": (npy(np.full((240, 320), np.nan)), BadRequest),
    "zeros only": (npy(np.zeros((240, 320), np.uint16)), BadRequest),
    "no archive": (b"PK\x03\x04" + b"\0" * 50, BadRequest),
    "an archive without depth": (npz(other=np.ones((240, 320))), BadRequest),
    "a matrix of another shape": (npz(depth=np.ones((240, 320)), intrinsics=np.ones((2, 2))), BadRequest),
    "zeros behind an honest header": (bomb(), BadRequest),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_a_next_step_and_takes_no_memory(photo, scene, name):
    file, error = HOSTILE[name]
    options = Options() if "matrix" in name else Options(intrinsics=scene.intrinsics)
    tracemalloc.start()
    try:
        with pytest.raises(error) as refusal:
            depth.look(photo, file, None, options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refusal.value.status in (400, 413, 415)
    assert peak < 8_000_000
    assert "depth" in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        (npy(np.ones((240, 320, 3), np.int32)), {}, "floats"),
        (npy(np.ones((240, 320))), {}, r"\(H, W, 3\)"),
        (npy(np.tile(np.float32([0, 0, -1]), (240, 320, 1))), {}, "pointmap_frame"),
        (npy(np.full((240, 320, 3), np.inf)), {}, "no depth"),
    ],
)
def test_a_point_map_that_says_nothing_is_refused(photo, file, options, said):
    with pytest.raises(BadRequest, match=said):
        depth.look(photo, None, file, Options(**options))


def test_too_little_depth_on_the_object_is_told(photo, scene):
    metres = np.where(scene.mask, np.nan, 0.6)
    view = look(photo, scene, npy(metres))
    with pytest.raises(NoDepth, match="only 0 pixels"):
        depth.require_depth(view, scene.mask)
    depth.require_depth(look(photo, scene, npy(scene.depth)), scene.mask)
