import numpy as np
import pytest
import trimesh

from sam3d_bento.export.mesh.degenerate import DEGENERATE_AREA, contract, without_degenerate
from sam3d_bento.export.mesh.surface import face_areas
from tests.support.export_meshes import Mesh, sphere, unbalanced_edges

BALL = sphere(12)


def with_caps(count: int) -> Mesh:
    """A closed box whose edges along x are cut in so many pieces, the ends of its sides by faces without area.

    Each side above and below is two large faces; between them and the cut edges lie fans of faces on a line.
    """
    box = trimesh.creation.box((1, 0.5, 0.5))
    vertices, faces = box.vertices.astype(np.float32), box.faces.astype(np.int32)
    start, end = max(
        ((face[k], face[(k + 1) % 3]) for face in faces for k in range(3)),
        key=lambda edge: vertices[edge[1], 0] - vertices[edge[0], 0],
    )
    steps = np.linspace(vertices[start], vertices[end], count + 2, dtype=np.float32)[1:-1]
    line = [int(start), *range(len(vertices), len(vertices) + count), int(end)]
    (owner,) = (row for row, face in enumerate(faces) if (start, end) in zip(face, np.roll(face, -1), strict=True))
    tip = int(next(corner for corner in faces[owner] if corner not in (start, end)))
    # On one side the edge is cut, on the other it is not; between the two, faces without area.
    cut = [[line[k], line[k + 1], tip] for k in range(count + 1)]
    caps = [[line[k + 1], line[k], line[-1]] for k in range(count)]
    faces = np.vstack([np.delete(faces, owner, axis=0), cut, caps]).astype(np.int32)
    return np.vstack([vertices, steps]), faces


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_a_closed_surface_stays_closed_and_keeps_its_volume(count: int) -> None:
    vertices, faces = with_caps(count)
    assert unbalanced_edges(faces) == 0
    assert np.count_nonzero(face_areas(vertices, faces) <= DEGENERATE_AREA) == count
    kept, areas = without_degenerate(vertices, faces)
    assert areas.min() > DEGENERATE_AREA
    np.testing.assert_array_equal(areas, face_areas(vertices, kept))
    assert unbalanced_edges(kept) == 0
    assert trimesh.Trimesh(vertices, kept, process=False).volume == pytest.approx(0.25, rel=1e-6)


def test_a_sound_surface_is_returned_as_it_is() -> None:
    vertices, faces = BALL
    assert without_degenerate(vertices, faces)[0] is faces


def test_faces_with_a_corner_twice_vanish() -> None:
    vertices, faces = BALL
    kept, _ = without_degenerate(vertices, np.vstack([faces, [[1, 1, 2], [3, 3, 3]]]).astype(np.int32))
    np.testing.assert_array_equal(kept, faces)


def test_faces_that_lie_nowhere_vanish() -> None:
    vertices, faces = BALL
    vertices = np.vstack([vertices, [[np.nan, 0, 0]]]).astype(np.float32)
    with np.errstate(invalid="ignore"):
        kept, _ = without_degenerate(vertices, np.vstack([faces, [[0, 1, len(vertices) - 1]]]).astype(np.int32))
    np.testing.assert_array_equal(kept, faces)


def test_sound_faces_stay_if_all_would_be_removed() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.4, 0, 0], [0.4, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    kept, _ = without_degenerate(vertices, faces)
    assert kept.tolist() == [[0, 2, 3]]


def test_contract_makes_points_of_edges() -> None:
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2]], np.int32)
    assert contract(5, faces, np.array([1]), np.array([3])).tolist() == [[0, 1, 2], [1, 4, 2]]
    assert contract(5, faces, np.array([4, 3]), np.array([3, 1])).tolist() == [[0, 1, 2]]
