"""Normal maps: what they say is what the dense mesh has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from sam3d_bento.arrays import Float32, Floats, UInt8
from sam3d_bento.export import to_glb
from sam3d_bento.export.glb.container import split
from sam3d_bento.export.glb.read import TexturedMesh, decoded, read_glb
from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.export.mesh.surface import Surface, vertex_normals
from sam3d_bento.export.mesh.tangents import add_tangents
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.texture.normal_map import NormalPainter
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import ExactSurface, Reconstruction
from tests.support.export_meshes import blob, painted, sampled, sphere

SIZE = 256
DENSE = blob(130)
OPTIONS = Options(texture_size=512, target_faces=2000, normal_map=True)


def height(x: Floats, y: Floats) -> Floats:
    """A bump of a tenth of the plane's edge in the middle."""
    return 0.03 * np.exp(-(x**2 + y**2) / 0.02)


def bumpy_plane() -> Surface:
    """The unit square in x and y, which faces +z, with a bump."""
    axis = np.linspace(-0.5, 0.5, 201)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    at = (np.arange(200)[:, None] * 201 + np.arange(200)).ravel()
    faces = np.concatenate([np.stack([at, at + 201, at + 1], 1), np.stack([at + 1, at + 201, at + 202], 1)])
    vertices = np.stack([x, y, height(x, y)], axis=1).astype(np.float32)
    return Surface(vertices, faces.astype(np.int32), np.full((len(vertices), 3), 100, np.uint8))


def square() -> tuple[Float32, Float32, np.ndarray]:
    """The same square flat, in two faces. Returns its corners, their uv with u along x and v against y, its faces."""
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]], np.float32)
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    return corners, uv, np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def map_of_bump(turned: bool) -> UInt8:
    """The normal map of the bump on the flat square; turned: by a quarter in the texture, or not."""
    corners, uv, faces = square()
    if turned:
        uv = np.stack([uv[:, 1], 1 - uv[:, 0]], axis=1).copy()
    normals = np.tile(np.float32([0, 0, 1]), (4, 1))
    found = add_tangents(corners, normals, uv, faces)
    dense = bumpy_plane()
    painter = NormalPainter(MeshSource(dense), normals[found.vertex_map], found.tangents, found.faces, SIZE)
    _, normal_map = bake(corners, normals, uv, faces, choose_source(dense, None, "mesh"), SIZE, normal_painter=painter)
    assert normal_map is not None
    return normal_map.image


def test_red_leans_to_the_right_of_the_image_and_green_to_its_top() -> None:
    image = map_of_bump(turned=False)
    x, y = np.meshgrid((np.arange(SIZE) + 0.5) / SIZE - 0.5, 0.5 - (np.arange(SIZE) + 0.5) / SIZE)
    slopes = np.stack([2 * x * height(x, y) / 0.02, 2 * y * height(x, y) / 0.02, np.ones_like(x)], axis=-1)
    expected = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(image.astype(float) / 127.5 - 1 - expected)[inside].max() < 0.02
    right, top = image[SIZE // 2, SIZE * 5 // 8], image[SIZE * 3 // 8, SIZE // 2]
    assert right[0] > 145 > 130 > right[1], "beside the bump on the right"
    assert top[1] > 145 > 130 > top[0], "above it"


def test_a_chart_that_is_turned_has_a_map_that_is_turned_and_leans_the_same_ways() -> None:
    """The bump is round, so its map looks the same however the chart lies, if the frame turns with it."""
    difference = map_of_bump(turned=False).astype(int) - map_of_bump(turned=True)
    assert np.abs(difference[8:-8, 8:-8]).max() <= 4


@cache
def exported(compress: bool | str = False, texture_format: str = "png") -> TexturedMesh:
    options = OPTIONS.model_copy(update={"compress": compress, "texture_format": texture_format})
    return read_glb(to_glb(painted(DENSE), options, {}).glb)


def shading_errors(mesh: TexturedMesh) -> tuple[float, float]:
    """Root mean square degrees between the normals of the dense mesh and those of a file, without and with its map."""
    assert mesh.normal_map is not None
    assert mesh.tangents is not None
    random = np.random.default_rng(0)
    corners = mesh.faces[random.integers(0, len(mesh.faces), 20_000)]
    weights = random.dirichlet([1, 1, 1], len(corners))[:, :, None]

    def mixed(values: Floats) -> Floats:
        found = (values[corners] * weights).sum(axis=1)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    across = np.cross(mesh.normals, mesh.tangents[:, :3]) * mesh.tangents[:, 3:]
    frame = [mixed(values) for values in (mesh.tangents[:, :3], across, mesh.normals)]
    bump = sampled(decoded(mesh.normal_map), (mesh.uv[corners] * weights).sum(axis=1)) / 127.5 - 1
    with_map = sum(bump[:, axis, None] * frame[axis] for axis in range(3))
    with_map /= np.linalg.norm(with_map, axis=1, keepdims=True)
    points = (mesh.positions[corners] * weights).sum(axis=1).astype(np.float32)
    source = MeshSource(Surface(*DENSE, np.zeros(DENSE[0].shape, np.uint8)))
    dense = source.normals(source.find(points, frame[2].astype(np.float32)))
    errors = [np.sqrt(np.square(normals - dense).sum(axis=1).mean()) for normals in (frame[2], with_map)]
    return float(np.degrees(errors[0])), float(np.degrees(errors[1]))


@pytest.mark.slow
@pytest.mark.parametrize(("compress", "texture_format"), [(False, "png"), ("quantize", "webp"), (True, "png")])
def test_a_coarse_mesh_is_shaded_as_the_dense_one_is(compress: bool | str, texture_format: str) -> None:
    without, with_map = shading_errors(exported(compress, texture_format))
    assert without > 8
    assert with_map < without / 3


@pytest.mark.slow
@pytest.mark.parametrize(("compress", "texture_format"), [(False, "jpeg"), ("quantize", "webp"), (True, "png")])
def test_the_validator_has_nothing_to_say_of_maps_and_tangents(
    compress: bool | str, texture_format: str, assert_flawless: Callable[[bytes], None]
) -> None:
    options = OPTIONS.model_copy(update={"compress": compress, "texture_format": texture_format})
    glb = to_glb(painted(DENSE), options, {}).glb
    assert read_glb(glb).normal_map is not None
    assert_flawless(unpack_glb(glb) if compress is True else glb)  # it does not know packed geometry


@pytest.mark.slow
@pytest.mark.parametrize("texture_format", ["jpeg", "webp"])
def test_a_map_is_stored_without_loss_in_every_format(texture_format: str) -> None:
    plain, other = exported().normal_map, exported(False, texture_format).normal_map
    assert plain is not None
    assert other is not None
    assert np.array_equal(decoded(plain), decoded(other))


@pytest.mark.slow
@pytest.mark.parametrize("compress", ["quantize", True])
def test_tangents_survive_quantization_and_packing(compress: bool | str) -> None:
    plain, other = exported(), exported(compress)
    assert plain.tangents is not None
    assert other.tangents is not None
    # Packing changes the order of the vertices; texture coordinates, up to their own steps, tell them apart.
    order = [np.lexsort(np.rint(mesh.uv * 256).T) for mesh in (plain, other)]
    ours, theirs = plain.tangents[order[0]], other.tangents[order[1]]
    close = np.einsum("ij,ij->i", ours[:, :3], theirs[:, :3]) > np.cos(np.radians(2))
    assert close.mean() > 0.9, "but for vertices whose order differs"
    assert (theirs[:, 3] == 1).all()


def test_the_report_says_that_the_map_is_there_and_what_it_is_worth() -> None:
    facts = to_glb(painted(DENSE), OPTIONS, {}).extras["normal_map"]
    assert facts["included"] is True
    assert facts["reason"] is None
    assert facts["own_degrees"] > 2 * facts["map_degrees"] > 0


@pytest.mark.slow
def test_a_map_that_would_not_help_is_left_out_and_the_file_is_the_one_without_it() -> None:
    ball = painted(sphere(100))
    options = Options(texture_size=512, target_faces=20_000)
    plain, asked = (to_glb(ball, options.model_copy(update={"normal_map": wanted}), {}) for wanted in (False, True))
    facts = asked.extras["normal_map"]
    assert (facts["included"], facts["reason"]) == (False, "no_gain")
    assert facts["own_degrees"] < 1.5
    assert split(asked.glb)[1] == split(plain.glb)[1]
    assert "TANGENT" not in split(asked.glb)[0]["meshes"][0]["primitives"][0]["attributes"]


def test_an_exact_surface_needs_no_map() -> None:
    vertices, faces = sphere(20)
    exact = ExactSurface(vertices, faces, (vertices / 0.45).astype(np.float32))
    dense = painted(sphere(100))
    made = to_glb(Reconstruction(dense.vertices, dense.faces, dense.colours, exact=exact), OPTIONS, {})
    assert made.extras["normal_map"]["reason"] == "exact_surface"
    assert read_glb(made.glb).normal_map is None


def test_unpacking_keeps_the_map_and_the_tangents() -> None:
    glb = to_glb(painted(DENSE), OPTIONS.model_copy(update={"compress": True}), {}).glb
    packed, plain = read_glb(glb), read_glb(unpack_glb(glb))
    assert packed.normal_map == plain.normal_map
    assert packed.tangents is not None
    assert plain.tangents is not None
    assert np.abs(packed.tangents - plain.tangents).max() < 1e-6


def test_a_normal_that_looks_into_the_surface_is_not_painted() -> None:
    """The back of a thin sheet is nearer to some points than its front."""
    corners, uv, faces = square()
    normals = np.tile(np.float32([0, 0, 1]), (4, 1))
    found = add_tangents(corners, normals, uv, faces)
    back = Surface(corners, faces[:, ::-1].copy(), np.full((4, 3), 100, np.uint8))
    painter = NormalPainter(MeshSource(back), normals, found.tangents, found.faces, SIZE)
    _, normal_map = bake(corners, normals, uv, faces, choose_source(back, None, "mesh"), SIZE, normal_painter=painter)
    assert normal_map is not None
    assert (normal_map.image == [128, 128, 255]).all(), "but flat"
    assert np.array_equal(vertex_normals(corners, back.faces)[0], [0, 0, -1])
