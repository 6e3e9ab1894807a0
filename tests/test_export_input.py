"""What one process writes for the export of another."""

import io
import tempfile
from dataclasses import fields, replace

import numpy as np
import pytest

from sam3d_bento import export
from sam3d_bento.export_input import ExportInput
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import MeasuredScale, Pose, Reconstruction, Splats

RANDOM = np.random.default_rng(4)


def made(parts=(), count=7):
    vertices = RANDOM.random((count, 3)).astype(np.float32) - 0.5
    faces = RANDOM.integers(0, count, (11, 3)).astype(np.int32)
    n = 5
    splats = Splats(
        RANDOM.random((n, 3)).astype(np.float32),
        RANDOM.integers(0, 256, (n, 3)).astype(np.uint8),
        RANDOM.random(n).astype(np.float32),
        RANDOM.random((n, 3)).astype(np.float32),
        RANDOM.random((n, 4)).astype(np.float32),
    )
    pose = Pose(*(RANDOM.random(size).astype(np.float32) for size in (4, 3, 3)), "a frame")
    whole = {
        "colours": RANDOM.integers(0, 256, (count, 3)).astype(np.uint8),
        "splats": splats,
        "pose": pose,
        "measured": MeasuredScale(1.25, "depth", 0.1),
    }
    reconstruction = Reconstruction(vertices, faces, **{name: whole[name] for name in parts})
    options = Options(seed=3, name="ünïcödé", texture_size=512, quality="high", longest_side=0.3)
    extras = {"engine": "fake", "camera": None, "details": {"third": 1 / 3}, "warnings": ["a", "b"]}
    figures = {"engine_facts": {"x": [1, 2.5]}, "gpu_peak_bytes": 2**40, "retries": 0}
    return ExportInput(reconstruction, options, extras, figures, {"decode": 0.1, "mask": 0.2, "reconstruct": 1.5})


def again(given):
    with tempfile.TemporaryFile() as file:
        given.write(file)
        return ExportInput.read(file)


PARTS = [(), ("colours",), ("colours", "splats"), ("pose",), ("colours", "splats", "pose", "measured"), ("measured",)]


@pytest.mark.parametrize("parts", PARTS, ids="+".join)
def test_it_arrives_as_it_was(parts):
    given = made(parts)
    found = again(given)
    for field in fields(ExportInput):
        if field.name != "reconstruction":
            assert getattr(found, field.name) == getattr(given, field.name)
    one, other = (each.reconstruction.to_arrays() for each in (given, found))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, strict=True)


def test_an_export_may_change_its_arrays_and_no_other_reader_sees_it():
    with tempfile.TemporaryFile() as file:
        made(("colours",)).write(file)
        one, other = ExportInput.read(file), ExportInput.read(file)
        before = other.reconstruction.vertices.copy()
        one.reconstruction.vertices[:] = 0
        np.testing.assert_array_equal(other.reconstruction.vertices, before)


def test_each_array_begins_where_numpy_would_have_put_it():
    """An odd number of bytes before an array must not slow its export down."""
    arrays = again(made(PARTS[4], count=13)).reconstruction.to_arrays()
    assert all(array.ctypes.data % 64 == 0 for name, array in arrays.items() if array.ndim)


def test_the_export_of_what_arrives_has_the_same_bytes():
    row, column = np.mgrid[0:20, 0:20]
    points = np.stack((row / 20, column / 20, np.sin(row / 3) / 9), -1).reshape(-1, 3).astype(np.float32) - 0.5
    corner = (row[:-1, :-1] * 20 + column[:-1, :-1]).ravel()
    faces = np.concatenate([[corner, corner + 20, corner + 1], [corner + 1, corner + 20, corner + 21]], 1).T
    colours = np.repeat((row * 12).reshape(-1, 1), 3, 1).astype(np.uint8)
    given = replace(made(), reconstruction=Reconstruction(points, faces.astype(np.int32), colours))
    one, other = (export.to_glb(each.reconstruction, each.options, each.extras).glb for each in (given, again(given)))
    assert one == other


def broken():
    file = io.BytesIO()
    made(("colours",)).write(file)
    whole = file.getvalue()
    yield "empty", b""
    yield "cut in the head", whole[:40]
    yield "cut in an array", whole[:-400]
    yield "a head that is no JSON", whole[:8] + b"\xff" * 20 + whole[28:]
    yield "a length that is too long", (2**60).to_bytes(8) + whole[8:]
    yield "objects", whole.replace(b'"<f4"', b'"|O8"')
    yield "a vertex that does not exist", whole.replace(b'"shape": [7, 3]', b'"shape": [2, 3]')
    yield "a shape below 0", whole.replace(b'"shape": [7, 3]', b'"shape": [-1,3]')


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in broken()])
def test_anything_else_is_an_error_and_no_crash(content):
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        with pytest.raises((ValueError, KeyError, TypeError)):
            ExportInput.read(file)
