"""The volume of a surface, and giving it back after simplification.

A face with its corners on a round surface is a chord: simplified convex shapes shrink. What a large body loses is
below a hundredth, but many thin rods with few faces lose a tenth of their volume.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.mesh.surface import AT_A_TIME, face_areas, vertex_normals
from sam3d_bento.export.mesh.topology import in_closed_pieces

MAX_LOSS = 0.01  # of the volume; what simplified well loses less, and stays as it is
MAX_SHIFT = 0.15  # of volume / area, a rod's half radius: more would be another shape
STEPS = 3  # the area grows with the shift; after three steps, less than a thousandth of the loss is left


def signed_volume(vertices: Float32, faces: Int32) -> float:
    """Return the volume in cubed scene units that a closed surface encloses, negative if it is inside out.

    vertices (V, 3) float32, faces (F, 3) int32. By the divergence theorem it is the sum, over the faces, of the volumes
    of the prisms between them and the plane z = 0.
    """
    x, y, z = np.ascontiguousarray(vertices.T, dtype=np.float64)
    total = 0.0
    for first in range(0, len(faces), AT_A_TIME):
        a, b, c = faces[first : first + AT_A_TIME].T
        x0, y0 = x.take(a), y.take(a)
        shadows = (x.take(b) - x0) * (y.take(c) - y0) - (x.take(c) - x0) * (y.take(b) - y0)
        total += float(((z.take(a) + z.take(b) + z.take(c)) * shadows).sum())
    return total / 6  # a shadow is half of its product, the height a third of its sum


def closed_volume(vertices: Float32, faces: Int32) -> float:
    """Return the signed volume that the closed pieces of a surface enclose; arrays as in `signed_volume`."""
    return signed_volume(vertices, faces.compress(in_closed_pieces(len(vertices), faces), axis=0))


def restore_volume(vertices: Float32, faces: Int32, volume: float) -> Float32:
    """Return the vertices (V, 3) after those of closed pieces moved along their normals, all equally far, until these
    pieces enclose this volume.

    A mesh that has lost less than MAX_LOSS is returned as it is.
    """
    some = faces.compress(in_closed_pieces(len(vertices), faces), axis=0)
    enclosed = signed_volume(vertices, some)
    if not abs(enclosed - volume) > MAX_LOSS * abs(volume) or not len(some):
        return vertices
    inside = np.zeros((len(vertices), 1), dtype=np.float32)
    inside[some] = 1
    normals = vertex_normals(vertices, some) * inside
    area = float(face_areas(vertices, some).sum())
    most = MAX_SHIFT * abs(volume) / area
    shift, moved = 0.0, vertices
    for _ in range(STEPS):
        shift = float(np.clip(shift + (volume - enclosed) / area, -most, most))
        moved = vertices + np.float32(shift) * normals
        enclosed, area = signed_volume(moved, some), float(face_areas(moved, some).sum())
    return moved
