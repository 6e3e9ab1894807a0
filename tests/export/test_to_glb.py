import hashlib
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_bento.errors import BadResult, Cancelled
from sam3d_bento.export import Export, to_glb
from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Pose, Reconstruction, Splats
from tests.support.export_meshes import (
    Mesh,
    blob,
    colour_at,
    document,
    joined,
    painted,
    read,
    sampled,
    soup,
    sphere,
    tangle,
)
from tests.support.silhouettes import assert_solid, inflated, silhouette

OPTIONS = Options(texture_size=512, target_faces=3000)
EXTRAS = {"engine": "preview", "seed": 7}


@pytest.fixture(scope="module")
def exported() -> Export:
    """A blob of 50,000 faces with a speck beside it."""
    return to_glb(painted(joined(blob(130), sphere(8, radius=0.01, centre=(0.5, 0.5, 0.5)))), OPTIONS, EXTRAS)


def test_the_validator_has_nothing_to_say(exported: Export, assert_flawless: Callable[[bytes], None]) -> None:
    assert_flawless(exported.glb)


def test_faces_and_texture_are_as_asked(exported: Export) -> None:
    model = read(exported.glb)
    assert 0.95 * OPTIONS.target_faces < len(model.mesh.faces) <= OPTIONS.target_faces
    assert model.texture.shape == (512, 512, 3)


def test_the_file_says_how_it_was_made(exported: Export) -> None:
    mesh = read(exported.glb).mesh
    assert exported.extras == EXTRAS | {
        "name": "object",
        "camera": None,
        "faces": len(mesh.faces),
        "vertices": len(mesh.vertices),
        "deviation": None,
        "holes_filled": 0,
        "holes_kept": 0,
        "watertight": True,
        "texture_size": 512,
        "colour_source": "mesh",
        "normal_map": None,
        "scale": exported.extras["scale"],  # tests/export/test_size.py
    }
    assert document(exported.glb)["asset"]["extras"] == exported.extras


def test_the_colours_are_those_of_the_reconstruction(exported: Export) -> None:
    model = read(exported.glb)
    points, uv = model.surface_points(100_000)
    difference = sampled(model.texture, uv) - colour_at(points)
    assert np.abs(difference).mean() < 0.6
    assert np.abs(difference.mean(axis=0)).max() < 0.1


def test_the_mean_colour_is_that_of_the_source(exported: Export) -> None:
    vertices, faces = blob(130)
    source = trimesh.Trimesh(vertices, faces, process=False)
    weights = source.area_faces / source.area
    expected = (colour_at(vertices)[faces].mean(axis=1) * weights[:, None]).sum(axis=0)
    model = read(exported.glb)
    _, uv = model.surface_points(200_000)
    assert np.abs(sampled(model.texture, uv).mean(axis=0) - expected).max() < 1


def test_merged_by_position_it_is_closed_and_looks_outwards(exported: Export) -> None:
    model = read(exported.glb).mesh
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=True)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    face_normals = trimesh.Trimesh(model.vertices, model.faces, process=False).face_normals
    agreement = np.einsum("ij,ikj->ik", face_normals, model.vertex_normals[model.faces])
    assert (agreement > 0).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4, 13])
@pytest.mark.parametrize("compress", [False, True])
def test_a_silhouette_is_watertight_as_it_is_written(seed: int, compress: bool) -> None:
    options = Options(texture_size=512, target_faces=1000, compress=compress)
    exported = to_glb(inflated(silhouette(seed)), options, {})
    assert exported.extras["watertight"] is True
    model = read(unpack_glb(exported.glb)).mesh
    assert is_watertight(model.vertices.astype(np.float32), model.faces.astype(np.int32))
    assert_solid(model.vertices.astype(np.float32), model.faces.astype(np.int32))


def test_the_file_says_that_an_open_surface_is_not_watertight() -> None:
    vertices, faces = sphere(40)
    bowl = faces[vertices[faces].mean(axis=1)[:, 1] < 0.1]
    assert to_glb(painted((vertices, bowl)), OPTIONS, {}).extras["watertight"] is False


def test_a_seam_does_not_show_in_the_shading(exported: Export) -> None:
    mesh = read(exported.glb).mesh
    _, vertex = np.unique(mesh.vertices, axis=0, return_inverse=True)
    order = np.argsort(vertex)
    same = vertex[order][1:] == vertex[order][:-1]
    assert same.sum() > 100
    np.testing.assert_array_equal(mesh.vertex_normals[order][1:][same], mesh.vertex_normals[order][:-1][same])


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes(exported: Export) -> None:
    code = (
        "import hashlib, tests.export.test_to_glb as t; reconstruction = t.painted(t.joined(t.blob(130),"
        "t.sphere(8, radius=0.01, centre=(0.5, 0.5, 0.5))));"
        "print(hashlib.sha256(t.to_glb(reconstruction, t.OPTIONS, t.EXTRAS).glb).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    again = to_glb(painted(joined(blob(130), sphere(8, radius=0.01, centre=(0.5, 0.5, 0.5)))), OPTIONS, EXTRAS)
    assert again.glb == exported.glb
    assert elsewhere.stdout.strip() == hashlib.sha256(exported.glb).hexdigest()


def test_the_pose_is_kept_and_colours_may_be_missing(assert_flawless: Callable[[bytes], None]) -> None:
    pose = Pose(
        rotation=np.array([1, 0, 0, 0], np.float32),
        translation=np.array([0.1, 0, -2 / 3], np.float32),
        scale=np.array([0.25, 0.25, 0.25], np.float32),
        frame="camera",
    )
    result = to_glb(Reconstruction(*sphere(20), pose=pose), OPTIONS, {})
    assert result.extras["pose"] == {
        "rotation": [1, 0, 0, 0],
        "translation": [0.1, 0, -0.666667],
        "scale": [0.25, 0.25, 0.25],
        "frame": "camera",
    }
    assert (read(result.glb).texture == 128).all()
    assert_flawless(result.glb)


def test_one_colour_stays_that_colour_everywhere() -> None:
    vertices, faces = blob(60)
    colour = np.array([17, 130, 251], np.uint8)
    result = to_glb(Reconstruction(vertices, faces, np.tile(colour, (len(vertices), 1))), OPTIONS, {})
    assert (read(result.glb).texture == colour).all()


def test_the_options_reach_the_file() -> None:
    options = OPTIONS.model_copy(update={"texture_format": "webp", "compress": True, "colour_source": "splats"})
    result = to_glb(painted(sphere(20)), options, {})
    assert document(result.glb)["images"][0]["mimeType"] == "image/webp"
    assert "EXT_meshopt_compression" in document(result.glb)["extensionsRequired"]
    assert result.extras["colour_source"] == "mesh", "there are no splats to paint with"


def test_splats_can_be_painted_with() -> None:
    vertices, faces = sphere(40)
    red = np.tile(np.array([200, 30, 30], np.uint8), (len(vertices), 1))
    rotation = np.tile(np.array([1, 0, 0, 0], np.float32), (len(vertices), 1))
    scale = np.full((len(vertices), 3), 0.02, np.float32)
    splats = Splats(vertices, red, np.ones(len(vertices), np.float32), scale, rotation)
    plain = Reconstruction(vertices, faces, np.full_like(red, 128), splats)
    result = to_glb(plain, OPTIONS.model_copy(update={"colour_source": "splats"}), {})
    assert result.extras["colour_source"] == "splats"
    model = read(result.glb)
    _, uv = model.surface_points(1000)
    np.testing.assert_allclose(sampled(model.texture, uv), np.broadcast_to([200, 30, 30], (1000, 3)), atol=2)


def test_progress_rises_to_one() -> None:
    fractions: list[float] = []
    to_glb(painted(sphere(20)), OPTIONS, {}, fractions.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.parametrize("last", [0.0, 0.3, 0.5, 0.8, 0.9])
def test_cancelled_export_ends_at_the_next_progress_call(last: float) -> None:
    def cancel(fraction: float) -> None:
        if fraction >= last:
            raise Cancelled("Nobody waits for it.")

    with pytest.raises(Cancelled):
        to_glb(painted(sphere(20)), OPTIONS, {}, cancel)


BALL = sphere(12)
TRIANGLE = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mesh",
    [
        (TRIANGLE, np.array([[0, 1, 2]], np.int32)),
        (TRIANGLE, np.array([[0, 1, 2], [0, 2, 1]], np.int32)),
        (TRIANGLE, np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3]], np.int32)),
        (BALL[0], BALL[1][:, ::-1].copy()),
        (BALL[0], np.vstack([BALL[1], BALL[1][:, ::-1]])),
        (BALL[0] * np.float32(1e-3), BALL[1]),
        (BALL[0] * np.float32(100), BALL[1]),
        (BALL[0] * np.array([1, 1, 1e-6], np.float32), BALL[1]),
        soup(3, 0.2),
        soup(300, 0.05),
        (
            np.vstack([BALL[0], soup(40, np.nan)[0]]),
            np.vstack([BALL[1], soup(40, 1)[1] + len(BALL[0])]).astype(np.int32),
        ),
        tangle(60, 20),
    ],
    ids=[
        "one face",
        "one face from both sides",
        "three faces on an edge",
        "inside out",
        "both sides",
        "tiny",
        "huge",
        "flattened",
        "three loose faces",
        "loose faces",
        "faces that are nowhere",
        "tangle",
    ],
)
def test_odd_meshes_become_flawless_files(mesh: Mesh, assert_flawless: Callable[[bytes], None]) -> None:
    result = to_glb(painted(mesh), OPTIONS, {})
    assert result.extras["faces"] > 0
    assert_flawless(result.glb)


@pytest.mark.parametrize(
    "mesh",
    [
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)),
        (np.zeros(0, np.float32), np.zeros(0, np.int32)),
        (BALL[0], np.zeros((0, 3), np.int32)),
        (np.full((9, 3), np.nan, np.float32), np.array([[0, 1, 2]], np.int32)),
        (np.zeros((9, 3), np.float32), np.array([[0, 1, 2]], np.int32)),
        (TRIANGLE, np.array([[7, 8, 9]], np.int32)),
    ],
    ids=["empty", "flat arrays", "no faces", "nan", "one point", "no such vertices"],
)
def test_export_that_fails_is_a_bad_result(mesh: Mesh) -> None:
    with pytest.raises(BadResult):
        to_glb(Reconstruction(*mesh), OPTIONS, {})


@pytest.mark.parametrize(("asked", "warned"), [("splats", True), ("fused", True), ("auto", False), ("mesh", False)])
def test_missing_splats_are_reported(asked: str, warned: bool) -> None:
    options = Options(texture_size=512, target_faces=1000, colour_source=asked)
    extras = to_glb(painted(sphere(16)), options, {"warnings": ["shape_guessed"]}).extras
    assert extras["colour_source"] == "mesh"
    assert extras["warnings"] == ["shape_guessed", *(["splats_missing"] if warned else [])]
