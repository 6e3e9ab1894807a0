"""Lay charts out flat: each projected along its mean normal, with its true area, turned to fill its box best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import stable_order
from sam3d_bento.export.mesh.surface import area_vectors, lengths
from sam3d_bento.export.uv.adjacency import Adjacency
from sam3d_bento.export.uv.cluster_graph import cluster_normals
from sam3d_bento.export.uv.outline import Outline

TURNS = 16  # directions tried over a quarter turn, and how often the step between them is halved then
HALVINGS = 4


@dataclass(frozen=True)
class Flat:
    """corners (F, 3, 2) float64, scene units: each face in the plane of its chart, x right and y up, counter-clockwise,
    the chart's box beginning at (0, 0). heights (F, 3): of the corners above that plane. extents (C, 2): of the boxes.
    outline: of all charts."""

    corners: Floats
    heights: Floats
    extents: Floats
    outline: Outline


def flatten(vertices: Float32, faces: Int32, labels: Indices, edges: Adjacency) -> Flat:
    """labels (F,): the chart of each face, numbered from 0; no face turned away from the mean normal of its chart."""
    vectors = area_vectors(vertices, faces)
    sums = cluster_normals(labels, vectors, np.ones(len(faces))).T
    projected = np.maximum(lengths(sums), np.finfo(np.float64).tiny)
    right, up, away = _frames(sums / projected[:, None])
    # A texel shows the same area everywhere: what projection takes from a chart, scale gives back.
    scale = np.sqrt(np.bincount(labels, lengths(vectors)) / projected)[:, None]
    right, up = right * scale, up * scale

    places = vertices.astype(np.float64)
    face, corner = np.nonzero(edges.borders(labels))
    chart, points = labels.take(face), places.take(faces[face, corner], axis=0)
    x, y = (np.einsum("ij,ij->i", points, way.take(chart, axis=0)) for way in (right, up))
    angle, low, extents = _boxes(x, y, chart, len(scale))

    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    columns = [np.ascontiguousarray(column).take(faces) for column in places.T]
    corners = np.empty((len(faces), 3, 2))
    for axis, way in enumerate((cosine * right - sine * up, sine * right + cosine * up)):
        np.subtract(_along(columns, way, labels), low[axis].take(labels)[:, None], out=corners[:, :, axis])
    return Flat(corners, _along(columns, away, labels), extents.T, _outline(corners, face, corner, chart))


def joined(parts: list[tuple[Indices, Indices, Flat]], labels: Indices, edges: Adjacency) -> Flat:
    """The layout of the charts labels (F,) that are among those of the parts.

    Each part: some faces (N,), their charts within it (N,), and these laid out. The first part has all faces, the
    charts of a later one take the place of those before.
    """
    (_, charts, whole), *later = parts
    corners, heights = whole.corners.copy(), whole.heights.copy()
    extents = np.empty((int(labels.max()) + 1, 2))
    extents[labels] = whole.extents.take(charts, axis=0)
    for faces, charts, flat in later:
        corners[faces], heights[faces] = flat.corners, flat.heights
        extents[labels.take(faces)] = flat.extents.take(charts, axis=0)
    face, corner = np.nonzero(edges.borders(labels))
    return Flat(corners, heights, extents, _outline(corners, face, corner, labels.take(face)))


def _outline(corners: Floats, face: Indices, corner: Indices, chart: Indices) -> Outline:
    return Outline(chart, corners[face, corner], corners[face, (corner + 1) % 3])


def _along(columns: list[Floats], directions: Floats, labels: Indices) -> Floats:
    """(F, 3): how far the corners, of columns x, y and z (F, 3), are along the direction (C, 3) of their chart."""
    x, y, z = (
        column * direction.take(labels)[:, None] for column, direction in zip(columns, directions.T, strict=True)
    )
    along: Floats = x + y + z
    return along


def _frames(normals: Floats) -> tuple[Floats, Floats, Floats]:
    """(C, 3) each: right, up, and the normals; right-handed, so that nothing is mirrored."""
    away = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    right = np.cross(away, normals)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return right, np.cross(normals, right), normals


def _boxes(x: Floats, y: Floats, chart: Indices, count: int) -> tuple[Floats, Floats, Floats]:
    """(C,) radians, counter-clockwise: the rotation of each chart that makes the box of its points (N,) smallest;
    (2, C) that box's lower left corner, and (2, C) its width and height."""
    ordered = stable_order(chart)
    x, y, chart = x.take(ordered), y.take(ordered), chart.take(ordered)
    starts = np.searchsorted(chart, np.arange(count))

    def boxes(angles: Floats | float) -> tuple[Floats, Floats]:
        cosine, sine = np.cos(angles), np.sin(angles)
        if isinstance(angles, np.ndarray):
            cosine, sine = cosine.take(chart), sine.take(chart)
        sides = (cosine * x - sine * y, sine * x + cosine * y)
        low, high = (np.stack([bound.reduceat(side, starts) for side in sides]) for bound in (np.minimum, np.maximum))
        return low, high - low

    smallest, best = np.full(count, np.inf), np.zeros(count)

    def attempt(angles: Floats | float) -> None:
        area = boxes(angles)[1].prod(axis=0)
        better = area < smallest * (1 - 1e-9)
        smallest[better] = area[better]
        np.copyto(best, angles, where=better)

    step = np.pi / 2 / TURNS
    for turn in range(TURNS):
        attempt(turn * step)
    # A long strip is to lie straight: at half a step it would be many texels askew.
    for _ in range(HALVINGS):
        step /= 2
        found = best.copy()
        attempt(found - step)
        attempt(found + step)
    return best, *boxes(best)
