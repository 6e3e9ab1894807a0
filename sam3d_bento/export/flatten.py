"""Lay charts out flat: each projected along its mean normal, with its true area, turned to fill its box best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.export.adjacency import Adjacency
from sam3d_bento.export.cluster_graph import cluster_normals
from sam3d_bento.export.outline import Outline
from sam3d_bento.export.sorting import stable_order
from sam3d_bento.export.surface import Floats, Indices, area_vectors
from sam3d_bento.reconstruction import Float32, Int32

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
    areas = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    sums = cluster_normals(labels, vectors, np.ones(len(faces))).T
    projected = np.maximum(np.sqrt(np.einsum("ij,ij->i", sums, sums)), np.finfo(np.float64).tiny)
    right, up, away = _frames(sums / projected[:, None])
    # A texel shows the same area everywhere: what projection takes from a chart, scale gives back.
    scale = np.sqrt(np.bincount(labels, areas) / projected)[:, None]
    places = vertices.astype(np.float64).take(faces, axis=0)
    x, y = (_along(places, (way * scale).take(labels, axis=0)) for way in (right, up))

    face, corner = np.nonzero(edges.borders(labels))
    chart = labels[face]
    angle, low, extents = _boxes(x[face, corner], y[face, corner], chart, len(scale))
    cosine, sine = np.cos(angle).take(labels)[:, None], np.sin(angle).take(labels)[:, None]
    corners = np.empty((len(faces), 3, 2))
    np.subtract(cosine * x - sine * y, low[0].take(labels)[:, None], out=corners[:, :, 0])
    np.subtract(sine * x + cosine * y, low[1].take(labels)[:, None], out=corners[:, :, 1])
    outline = Outline(chart, corners[face, corner], corners[face, (corner + 1) % 3])
    return Flat(corners, _along(places, away.take(labels, axis=0)), extents.T, outline)


def _along(places: Floats, directions: Floats) -> Floats:
    """(F, 3): the places (F, 3, 3) of each face's corners along its direction (F, 3)."""
    along: Floats = np.einsum("fkj,fj->fk", places, directions)
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
