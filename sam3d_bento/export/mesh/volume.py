"""Compute the volume of a surface, and restore it after simplification.

A face with its corners on a round surface cuts off a part of the volume, as a chord does of a circle: convex shapes
shrink when they are simplified. A large body loses less than a hundredth of its volume, but many thin rods with few
faces lose a tenth.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.mesh.surface import AT_A_TIME, face_areas, vertex_normals
from sam3d_bento.export.mesh.topology import in_closed_pieces

MAX_LOSS = 0.01  # share of the volume; a mesh that simplified well loses less, and stays as it is
MAX_SHIFT = 0.15  # in units of volume / area, which is half the radius of a rod; a larger shift would change the shape
STEPS = 3  # iterations, because the area grows with the shift; after three, less than a thousandth of the loss remains


def signed_volume(vertices: Float32, faces: Int32) -> float:
    """Return the volume in cubed scene units that a closed surface encloses; it is negative if it is inside out.

    vertices (V, 3) float32, faces (F, 3) int32. By the divergence theorem, the volume is the sum of the volumes of the
    prisms between each face and the plane z = 0.
    """
    x, y, z = np.ascontiguousarray(vertices.T, dtype=np.float64)
    total = 0.0
    for first in range(0, len(faces), AT_A_TIME):
        a, b, c = faces[first : first + AT_A_TIME].T
        x0, y0 = x.take(a), y.take(a)
        shadows = (x.take(b) - x0) * (y.take(c) - y0) - (x.take(c) - x0) * (y.take(b) - y0)
        total += float(((z.take(a) + z.take(b) + z.take(c)) * shadows).sum())
    return total / 6  # a shadow is half of its product, and the height is a third of its sum


def closed_volume(vertices: Float32, faces: Int32) -> float:
    """Return the signed volume that the closed pieces of a surface enclose; arrays as in `signed_volume`."""
    return signed_volume(vertices, faces.compress(in_closed_pieces(len(vertices), faces), axis=0))


def restore_volume(vertices: Float32, faces: Int32, volume: float) -> Float32:
    """Move the vertices of closed pieces along their normals until these pieces enclose a volume; return all (V, 3).

    All vertices move by the same distance. volume: in cubed scene units. A mesh that has lost less than MAX_LOSS of it
    is returned as it is.
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
