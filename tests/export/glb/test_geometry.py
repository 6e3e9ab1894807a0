import io
from collections.abc import Callable

import meshopt
import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Float32
from sam3d_bento.export.glb import container, geometry
from sam3d_bento.export.glb.meshopt_decoder import decode_attributes, decode_triangles, from_octahedral
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.options import Compression
from tests.support.export_meshes import Mesh, document, soup, sphere

TEXTURE = np.full((1024, 1024, 3), 200, np.uint8)


def coordinates(vertices: Float32) -> Float32:
    return (vertices[:, :2] + np.float32(0.5)).clip(0, 1)


def written(mesh: Mesh, compress: Compression = True) -> bytes:
    vertices, faces = mesh
    normals = vertex_normals(vertices, faces)
    return write_glb(vertices, normals, coordinates(vertices), faces, TEXTURE, {}, compress=compress)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [sphere(40), soup(300, 0.05), sphere(170)], ids=["sphere", "soup", "32-bit indices"])
def test_meshoptimizer_decodes_our_buffer_views_to_what_our_decoder_finds(mesh: Mesh) -> None:
    content, data = container.split(written(mesh))
    packed = [view["extensions"]["EXT_meshopt_compression"] for view in content["bufferViews"][:4]]
    streams = [data[p["byteOffset"] : p["byteOffset"] + p["byteLength"]] for p in packed]
    count = packed[1]["count"]
    indices, places, normals, uv = (
        meshopt.decode_gltf_buffer(stream, view["count"], view["byteStride"], view["mode"], view.get("filter"))
        for stream, view in zip(streams, packed, strict=True)
    )

    np.testing.assert_array_equal(indices.ravel(), decode_triangles(streams[0], len(mesh[1])).ravel())
    assert places.tobytes() == decode_attributes(streams[1], count, 8).tobytes()
    assert uv.tobytes() == decode_attributes(streams[3], count, 4).tobytes()
    theirs = normals.view(np.int8)[:, :3] / 127
    np.testing.assert_allclose(theirs, from_octahedral(decode_attributes(streams[2], count, 4)), atol=0.006)


def test_required_extension_is_named_and_the_unpacked_buffer_is_not_in_the_file() -> None:
    glb = written(sphere(40))
    content = document(glb)
    names = ["EXT_meshopt_compression", "KHR_mesh_quantization", "KHR_texture_transform"]
    assert content["extensionsUsed"] == content["extensionsRequired"] == names
    binary, fallback = content["buffers"]
    assert len(glb) < binary["byteLength"] + 4000 < fallback["byteLength"]
    assert fallback["extensions"]["EXT_meshopt_compression"] == {"fallback": True}


MESHES = {"sphere": sphere(40), "one face": soup(1, 0.1), "huge": (sphere(20)[0] * 1e4 + 3e4, sphere(20)[1])}
MESHES |= {"32-bit indices": sphere(190), "flat": (sphere(20)[0] * np.float32([1, 0, 1]), sphere(20)[1])}


@pytest.mark.slow
@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES.keys())
def test_quantized_geometry_needs_one_extension_and_has_no_faults(
    mesh: Mesh, assert_flawless: Callable[[bytes], None]
) -> None:
    glb = written(mesh, "quantize")
    assert_flawless(glb)
    assert document(glb)["extensionsUsed"] == document(glb)["extensionsRequired"] == ["KHR_mesh_quantization"]
    assert all(view["byteOffset"] % 4 == view.get("byteStride", 4) % 4 == 0 for view in document(glb)["bufferViews"])


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES.keys())
def test_quantized_geometry_is_read_by_others_to_half_a_step(mesh: Mesh) -> None:
    """By trimesh, whose loader knows nothing of this writer; vertices and faces keep their order."""
    vertices, faces = mesh
    loaded = trimesh.load_scene(io.BytesIO(written(mesh, "quantize")), file_type="glb", process=False).to_mesh()
    step = float(np.ptp(vertices, axis=0).max()) / 65_535
    assert np.array_equal(loaded.faces, faces)
    assert np.abs(loaded.vertices - vertices).max() < 0.51 * step + 1e-7 * np.abs(vertices).max()
    ours = read_glb(written(mesh, "quantize"))
    assert np.allclose(ours.positions, loaded.vertices, rtol=1e-6, atol=step / 1000)
    assert np.abs(ours.normals - vertex_normals(vertices, faces)).max() < 0.01
    assert np.abs(ours.uv - coordinates(vertices)).max() < 0.51 / 65_535
    assert np.array_equal(ours.image, TEXTURE)


def test_quantized_is_about_half_of_plain() -> None:
    vertices, faces = sphere(100)
    arrays = (vertices, vertex_normals(vertices, faces), coordinates(vertices), faces)
    assert len(geometry.quantized(*arrays).data) < 0.7 * len(geometry.plain(*arrays).data)


def test_packed_is_a_quarter_of_plain() -> None:
    vertices, faces = sphere(100)
    arrays = (vertices, vertex_normals(vertices, faces), coordinates(vertices), faces)
    assert 4 * len(geometry.packed(*arrays, texture_size=1024).data) < len(geometry.plain(*arrays).data)
