from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial import KDTree

from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from tests.support.export_meshes import Floats, Mesh, Model, document, read, soup, sphere, tangle

SIZE = 512
TEXTURE = np.full((SIZE, SIZE, 3), 200, np.uint8)


def written(mesh: Mesh, **options: object) -> bytes:
    vertices, faces = mesh
    uv = (vertices[:, :2] + np.float32(0.5)).clip(0, 1)
    return write_glb(vertices, vertex_normals(vertices, faces), uv, faces, TEXTURE, {"seed": 7}, **options)


def faces_of(model: Model) -> Floats:
    """(F, 8): the middle of each face in units of the extent, and in the texture, and its mean normal."""
    mesh = model.mesh
    corners = np.hstack([mesh.vertices / mesh.extents.max(), model.uv, mesh.vertex_normals])
    middles: Floats = corners[mesh.faces].mean(axis=1)
    return middles


@pytest.mark.slow
@pytest.mark.parametrize("texture_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(
    "mesh",
    [sphere(40), soup(1, 0.1), tangle(200, 30), (sphere(20)[0] * 100, sphere(20)[1])],
    ids=["sphere", "one face", "tangle", "huge"],
)
def test_the_model_is_the_same_to_a_step_and_flawless(
    mesh: Mesh, texture_format: str, assert_flawless: Callable[[bytes], None]
) -> None:
    glb = unpack_glb(written(mesh, compress=True, texture_format=texture_format))
    assert_flawless(glb)
    packed, plain = faces_of(read(glb)), faces_of(read(written(mesh)))
    assert len(packed) == len(plain)
    distance, same = KDTree(plain[:, :5]).query(packed[:, :5])
    assert distance.max() < 2e-4
    assert np.abs(packed - plain[same])[:, 5:].max() < 0.02  # normals are bytes
    assert len(np.unique(same)) == len(np.unique(plain[:, :5].round(4), axis=0))  # a tangle has faces twice


def test_unpacked_file_stays_unchanged() -> None:
    glb = written(sphere(20), texture_format="webp")
    assert unpack_glb(glb) is glb
    assert document(glb)["extensionsRequired"] == ["EXT_texture_webp"]


def test_extras_are_kept() -> None:
    assert document(unpack_glb(written(sphere(20), compress=True)))["asset"]["extras"] == {"seed": 7}
