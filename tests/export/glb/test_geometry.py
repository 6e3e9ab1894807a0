from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Float32
from sam3d_bento.export.glb import container, geometry
from sam3d_bento.export.glb.meshopt_decoder import decode_attributes, decode_triangles, from_octahedral
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from tests.support.export_meshes import Mesh, document, soup, sphere

TEXTURE = np.full((1024, 1024, 3), 200, np.uint8)


def coordinates(vertices: Float32) -> Float32:
    return (vertices[:, :2] + np.float32(0.5)).clip(0, 1)


def written(mesh: Mesh) -> bytes:
    vertices, faces = mesh
    normals = vertex_normals(vertices, faces)
    return write_glb(vertices, normals, coordinates(vertices), faces, TEXTURE, {}, compress=True)


@pytest.mark.parametrize("mesh", [sphere(40), soup(300, 0.05), sphere(170)], ids=["sphere", "soup", "32-bit indices"])
def test_meshoptimizer_finds_in_it_what_our_decoder_finds(
    mesh: Mesh, meshoptimizer: Callable[[bytes], list[bytes]]
) -> None:
    glb = written(mesh)
    content, data = container.split(glb)
    packed = [view["extensions"]["EXT_meshopt_compression"] for view in content["bufferViews"][:4]]
    streams = [data[p["byteOffset"] : p["byteOffset"] + p["byteLength"]] for p in packed]
    count = packed[1]["count"]
    indices, places, normals, uv = meshoptimizer(glb)

    ours = decode_triangles(streams[0], len(mesh[1])).ravel()
    np.testing.assert_array_equal(np.frombuffer(indices, f"<u{packed[0]['byteStride']}"), ours)
    assert places == decode_attributes(streams[1], count, 8).tobytes()
    assert uv == decode_attributes(streams[3], count, 4).tobytes()
    theirs = np.frombuffer(normals, np.int8).reshape(-1, 4)[:, :3] / 127
    np.testing.assert_allclose(theirs, from_octahedral(decode_attributes(streams[2], count, 4)), atol=0.006)


def test_what_a_reader_must_know_is_named_and_the_unpacked_buffer_is_not_in_the_file() -> None:
    glb = written(sphere(40))
    content = document(glb)
    names = ["EXT_meshopt_compression", "KHR_mesh_quantization", "KHR_texture_transform"]
    assert content["extensionsUsed"] == content["extensionsRequired"] == names
    binary, fallback = content["buffers"]
    assert len(glb) < binary["byteLength"] + 4000 < fallback["byteLength"]
    assert fallback["extensions"]["EXT_meshopt_compression"] == {"fallback": True}


def test_packed_is_a_quarter_of_plain() -> None:
    vertices, faces = sphere(100)
    arrays = (vertices, vertex_normals(vertices, faces), coordinates(vertices), faces)
    assert 4 * len(geometry.packed(*arrays, texture_size=1024).data) < len(geometry.plain(*arrays).data)
