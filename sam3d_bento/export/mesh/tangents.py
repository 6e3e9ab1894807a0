"""Compute tangents as MikkTSpace does, which glTF names as the way to do it.

Mikkelsen: Simulation of Wrinkled Surfaces Revisited (thesis, University of Copenhagen, 2008), and his mikktspace.c. At
each vertex, the direction in which u grows is averaged over the faces that meet there and lie in the texture the same
way round, weighted by their angles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sam3d_bento.arrays import Bool, Float32, Float64, Indices, Int32
from sam3d_bento.export.mesh.surface import lengths

SMALLEST = 1e-30  # length or area that counts as none


@dataclass(frozen=True)
class TangentMesh:
    """Mesh whose vertices have one tangent each.

    vertex_map (N,): the vertex of the original mesh; one with two tangents is there twice. faces (F, 3) int32: in the
    original order. tangents (N, 4) float32: the unit vector, and the sign w of the bitangent, w * cross(normal,
    tangent), which points to the top of the image.
    """

    vertex_map: Indices
    faces: Int32
    tangents: Float32


def add_tangents(positions: Float32, normals: Float32, uv: Float32, faces: Int32) -> TangentMesh:
    """Compute the tangents of a mesh that is split along its seams.

    positions, unit normals (V, 3) and uv (V, 2) float32, (0, 0) the image's top left; faces (F, 3) int32.
    """
    # With v upwards, as MikkTSpace's users have it, the bitangent points up in the image.
    upward = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
    directions, mirrored, flat = _face_tangents(positions.astype(np.float64), upward.astype(np.float64), faces)
    count, group = _groups(faces, mirrored, flat)
    corners = faces.ravel()
    own = np.empty(count, dtype=np.intp)
    own[group] = corners  # the vertex of each group
    exact, up = positions.astype(np.float64), normals.astype(np.float64)
    sums = np.zeros((count, 3))
    for corner in range(3):
        at = faces[:, corner]
        normal = up.take(at, axis=0)
        along = _unit(_on_plane(directions, normal))
        before, after = (
            _unit(_on_plane(exact.take(faces[:, (corner + step) % 3], axis=0) - exact.take(at, axis=0), normal))
            for step in (2, 1)
        )
        angle = np.arccos(np.einsum("ij,ij->i", before, after).clip(-1, 1))
        weighted = np.where(flat[:, None], 0, along * angle[:, None])
        for axis in range(3):
            sums[:, axis] += np.bincount(group.reshape(-1, 3)[:, corner], weighted[:, axis], minlength=count)
    tangents = np.empty((count, 4))
    tangents[:, :3] = _unit(np.where(lengths(sums)[:, None] > SMALLEST, sums, _any_across(up.take(own, axis=0))))
    is_mirrored = np.bincount(group, np.repeat(mirrored & ~flat, 3), minlength=count) > 0
    tangents[:, 3] = np.where(is_mirrored, -1, 1)
    return TangentMesh(own, group.reshape(-1, 3).astype(np.int32), tangents.astype(np.float32))


def _face_tangents(positions: Float64, uv: Float64, faces: Int32) -> tuple[Float64, Bool, Bool]:
    """Return for each face the direction (F, 3) in which u grows, whether it is mirrored in uv, and whether it is flat.

    A flat face has no area in uv, and says nothing.
    """
    first, second = (positions[faces[:, corner]] - positions[faces[:, 0]] for corner in (1, 2))
    (s1, t1), (s2, t2) = ((uv[faces[:, corner]] - uv[faces[:, 0]]).T for corner in (1, 2))
    area = s1 * t2 - t1 * s2
    directions = (t2[:, None] * first - t1[:, None] * second) * np.where(area < 0, -1, 1)[:, None]
    flat = (np.abs(area) <= SMALLEST) | (lengths(directions) <= SMALLEST)
    return directions, area < 0, flat


def _groups(faces: Int32, mirrored: Bool, flat: Bool) -> tuple[int, Indices]:
    """Return how many groups of corners share a tangent, and the group (3 F,) of each corner, face by face.

    Corners at one vertex belong together if their faces share an edge there and lie in uv the same way round. A flat
    face joins any neighbour.
    """
    face = np.arange(len(faces))
    links = []
    for corner in range(3):  # each edge has two ends, and each end is a corner of every face at the edge
        following = (corner + 1) % 3
        low = np.minimum(faces[:, corner], faces[:, following]).astype(np.int64)
        high = np.maximum(faces[:, corner], faces[:, following])
        turned = faces[:, corner] > faces[:, following]
        ends = np.stack([3 * face + corner, 3 * face + following], axis=1)
        ends[turned] = ends[turned][:, ::-1]
        links.append((low * (int(faces.max(initial=0)) + 1) + high, ends))
    keys, ends = (np.concatenate(parts) for parts in zip(*links, strict=True))
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    here, there = order[same], order[same + 1]
    left, right = ends[here, 0] // 3, ends[there, 0] // 3
    together = (mirrored[left] == mirrored[right]) | flat[left] | flat[right]
    here, there = here[together], there[together]
    start, end = ends[here].ravel(), ends[there].ravel()
    corners = 3 * len(faces)
    count, group = connected_components(
        coo_array((np.ones(len(start), np.int8), (start, end)), (corners, corners)), directed=False
    )
    return count, group.astype(np.intp)


def _on_plane(vectors: Float64, normals: Float64) -> Float64:
    """Return the parts of vectors (N, 3) that are at right angles to the unit normals (N, 3)."""
    flattened: Float64 = vectors - np.einsum("ij,ij->i", vectors, normals)[:, None] * normals
    return flattened


def _unit(vectors: Float64) -> Float64:
    """Scale vectors (N, 3) to length 1; one without a length stays 0."""
    scaled: Float64 = vectors / np.maximum(lengths(vectors), SMALLEST)[:, None]
    return scaled


def _any_across(normals: Float64) -> Float64:
    """Return a vector (N, 3) at right angles to each unit normal (N, 3)."""
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    return np.cross(axis, normals)
