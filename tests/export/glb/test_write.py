import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sam3d_bento import __version__
from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from tests.support.export_meshes import Mesh, document, read, sphere

TEXTURE = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)


def written(mesh: Mesh, extras: dict[str, Any] | None = None) -> bytes:
    vertices, faces = mesh
    uv = (vertices[:, :2] + np.float32(0.5)).clip(0, 1)
    return write_glb(vertices, vertex_normals(vertices, faces), uv, faces, TEXTURE, extras or {})


def first_faces(vertices: int) -> Mesh:
    """A strip with exactly that many vertices."""
    x = np.linspace(-0.5, 0.5, vertices, dtype=np.float32)
    number = np.arange(vertices - 2)
    return np.stack([x, np.tile([0, 0.1], vertices)[:vertices], x * x], 1).astype(np.float32), np.stack(
        [number, number + 1, number + 2], axis=1
    ).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [sphere(30), first_faces(3), first_faces(65_535), first_faces(65_536)])
def test_the_validator_has_nothing_to_say(mesh: Mesh, assert_flawless: Callable[[bytes], None]) -> None:
    assert_flawless(written(mesh, {"engine": "preview", "warnings": ["naïve"], "pose": {"scale": [1.0]}}))


@pytest.mark.parametrize(("vertices", "component"), [(65_535, 5123), (65_536, 5125)])
def test_indices_are_as_small_as_they_can_be(vertices: int, component: int) -> None:
    glb = written(first_faces(vertices))
    assert document(glb)["accessors"][0]["componentType"] == component
    np.testing.assert_array_equal(read(glb).mesh.faces, first_faces(vertices)[1])


def test_written_file_is_read_back() -> None:
    vertices, faces = sphere(30)
    model = read(written((vertices, faces)))
    np.testing.assert_array_equal(model.mesh.vertices, vertices)
    np.testing.assert_array_equal(model.mesh.faces, faces)
    np.testing.assert_allclose(model.uv, (vertices[:, :2] + 0.5).clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(model.texture, TEXTURE)


def test_bounds_normals_and_one_material_without_metal() -> None:
    vertices, faces = sphere(30)
    content = document(written((vertices, faces)))
    (primitive,) = content["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0"}
    position = content["accessors"][primitive["attributes"]["POSITION"]]
    assert position["min"] == vertices.min(axis=0).tolist()
    assert position["max"] == vertices.max(axis=0).tolist()
    (material,) = content["materials"]
    assert material["pbrMetallicRoughness"] == {
        "baseColorTexture": {"index": 0},
        "metallicFactor": 0,
        "roughnessFactor": 1,
    }


def test_the_asset_says_who_made_it_and_how() -> None:
    extras = {"engine": "preview", "seed": 7, "warnings": ["naïve"], "nested": {"a": [1, 2.5, None]}}
    asset = document(written(sphere(8), extras))["asset"]
    assert asset == {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": extras}


def test_the_header_tells_the_length() -> None:
    glb = written(sphere(8), {"text": "é"})
    magic, version, length = struct.unpack_from("<4sII", glb)
    assert (magic, version, length) == (b"glTF", 2, len(glb))
    assert length % 4 == 0


def test_extras_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        written(sphere(8), {"scale": float("nan")})


def test_only_a_double_sided_model_says_that_it_is() -> None:
    vertices, faces = sphere(8)
    uv = (vertices[:, :2] + np.float32(0.5)).clip(0, 1)
    normals = vertex_normals(vertices, faces)
    both = write_glb(vertices, normals, uv, faces, TEXTURE, {}, double_sided=True, compress=True)
    for glb in (both, unpack_glb(both)):
        (material,) = document(glb)["materials"]
        assert material["doubleSided"] is True
    (material,) = document(written(sphere(8)))["materials"]
    assert "doubleSided" not in material
