import meshopt
import numpy as np
import pytest

from sam3d_bento.arrays import Int32
from sam3d_bento.export.glb import meshopt_encoder, order
from sam3d_bento.export.glb.meshopt_decoder import decode_attributes, decode_triangles, from_octahedral
from sam3d_bento.export.mesh.surface import unit
from tests.support.export_meshes import soup, sphere, tangle


def turned_alike(faces: Int32) -> Int32:
    """Each face turned to begin with its lowest index."""
    start = faces.argmin(axis=1)[:, None]
    return np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 255, 256, 257, 1000])
@pytest.mark.parametrize("stride", [4, 8, 32])
@pytest.mark.parametrize("largest", [1, 2, 5, 30, 256])  # each makes groups of another width the shortest
def test_attributes_come_back(count: int, stride: int, largest: int) -> None:
    steps = np.random.default_rng(0).integers(0, largest, (count, stride)) - largest // 2
    elements = np.cumsum(steps, axis=0).astype(np.uint8)
    stream = meshopt_encoder.encode_attributes(elements)
    np.testing.assert_array_equal(decode_attributes(stream, count, stride), elements)
    np.testing.assert_array_equal(meshopt.decode_gltf_buffer(stream, count, stride, "ATTRIBUTES"), elements)


def test_the_example_of_the_specification() -> None:
    # Appendix A, mode 0: sixteen deltas in four bits each, and what they are packed as.
    deltas = [-1, -4, -3, 26, -91, 0, -6, 6, -4, -4, 5, -5, 1, -1, 0, 0]
    elements = np.zeros((17, 4), np.uint8)
    elements[1:, 0] = np.cumsum(deltas).astype(np.uint8)
    # The first delta is to the baseline, which is the first element: so the example begins with the second one.
    stream = meshopt_encoder.encode_attributes(elements[1:] - elements[1])
    assert bytes.fromhex("075ff0bc77a9210034b5") in stream


@pytest.mark.parametrize("mesh", [sphere(20), tangle(500, 40), soup(200, 0.1)], ids=["sphere", "tangle", "soup"])
def test_triangles_come_back_in_their_order(mesh: tuple[np.ndarray, Int32]) -> None:
    stream = meshopt_encoder.encode_triangles(mesh[1])
    np.testing.assert_array_equal(turned_alike(decode_triangles(stream, len(mesh[1]))), turned_alike(mesh[1]))
    theirs = meshopt.decode_gltf_buffer(stream, mesh[1].size, 4, "TRIANGLES").reshape(-1, 3).astype(np.int32)
    np.testing.assert_array_equal(turned_alike(theirs), turned_alike(mesh[1]))


def test_an_ordered_mesh_needs_little_more_than_a_byte_for_a_triangle() -> None:
    vertices, faces = sphere(60)
    _, ordered = order.by_first_use(order.in_fans(faces, len(vertices)))
    assert len(meshopt_encoder.encode_triangles(ordered)) < 1.4 * len(faces)


def test_normals_keep_their_direction() -> None:
    normals = unit(np.random.default_rng(0).normal(size=(10_000, 3)))
    back = from_octahedral(meshopt_encoder.octahedral(normals))
    assert np.degrees(np.arccos(np.einsum("ij,ij->i", normals, back).clip(-1, 1))).max() < 1
    stream = meshopt_encoder.encode_attributes(meshopt_encoder.octahedral(normals))
    theirs = meshopt.decode_gltf_buffer(stream, len(normals), 4, "ATTRIBUTES", "OCTAHEDRAL").view(np.int8)
    cosines = np.einsum("ij,ij->i", normals, unit(theirs[:, :3].astype(np.float32)))
    assert np.degrees(np.arccos(cosines.clip(-1, 1))).max() < 1.25, "meshoptimizer rounds once more, to 8 bits"


def test_normals_along_the_axes_are_exact() -> None:
    normals = np.vstack([np.eye(3), -np.eye(3)]).astype(np.float32)
    np.testing.assert_allclose(from_octahedral(meshopt_encoder.octahedral(normals)), normals, atol=1e-6)
