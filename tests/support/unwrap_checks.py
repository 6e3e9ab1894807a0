"""Compare unwrapped meshes, for the tests of both ways to unwrap."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sam3d_bento.arrays import Indices, Int32
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.layout import UnwrappedMesh
from tests.support.export_meshes import Floats


def canonical(faces: Int32) -> Int32:
    """Sort faces (F, 3), each rotated to begin with its lowest index.

    The result is equal for equal sets of faces with equal winding.
    """
    start = faces.argmin(axis=1)[:, None]
    rotated = np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)
    return rotated[np.lexsort(rotated.T)]


def flat_areas(uv: Floats, faces: Int32) -> Floats:
    """Compute the areas (F,) of the faces in the texture."""
    return face_areas(np.pad(uv, ((0, 0), (0, 1))), faces)


def chart_of_faces(result: UnwrappedMesh) -> Indices:
    """Return the chart (F,) of each face: faces that share a vertex are in one chart."""
    count = len(result.uv)
    ends = result.faces[:, [0, 1, 2]].ravel(), result.faces[:, [1, 2, 0]].ravel()
    _, chart = connected_components(coo_array((np.ones(len(ends[0])), ends), shape=(count, count)), directed=False)
    return chart[result.faces[:, 0]]
