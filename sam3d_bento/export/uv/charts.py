"""Cut a mesh into charts: connected pieces flat enough to be projected onto a plane."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.mesh.surface import area_vectors, lengths
from sam3d_bento.export.uv.adjacency import Adjacency
from sam3d_bento.export.uv.cluster_graph import cluster_normals
from sam3d_bento.export.uv.clusters import GOLDEN, merge

# Cosines between a face and the mean normal of its chart. Projection shortens a face by its cosine in one direction.
GROWN = 0.6  # charts grow up to here, which leaves room to straighten their borders
LEAST = 0.5  # a face beyond is not in the chart

# Twice: straighten the borders in a few rounds, then merge what has come to fit.
PASSES, ROUNDS = 2, 6


def charts(vertices: Float32, faces: Int32, edges: Adjacency) -> Indices:
    """(F,) the chart of each face, numbered from 0. No face is turned further than arccos(LEAST) from its chart's mean
    normal, and a chart is connected through inner edges."""
    normals, areas = _normals(vertices, faces)
    # In units of the mean face, so that no bound depends on the scale.
    areas /= areas.mean()
    unit = edges.edge_lengths.mean()
    borders, perimeters = edges.lengths / unit, edges.edge_lengths.sum(axis=1) / unit

    labels: Indices = np.arange(len(faces))
    labels = merge(labels, edges.first, edges.second, borders, normals, areas, perimeters, GROWN)
    for _ in range(PASSES):
        labels = edges.pieces(_straightened(labels, edges, normals, areas))
        labels = merge(labels, edges.first, edges.second, borders, normals, areas, perimeters, LEAST)
    return _without_steep(labels, edges, normals, areas)


def parted(vertices: Float32, faces: Int32, labels: Indices, cut: Bool, edges: Adjacency) -> Indices:
    """(F,) the charts, labels (F,), after the faces cut (F,) have left theirs. The mean normals are others then: faces
    too steep for them leave as well."""
    return _without_steep(edges.pieces(2 * labels + cut), edges, *_normals(vertices, faces))


def _normals(vertices: Float32, faces: Int32) -> tuple[Floats, Floats]:
    """(F, 3) of length 1, and the areas (F,)."""
    vectors = area_vectors(vertices, faces)
    areas = lengths(vectors)
    return vectors / np.maximum(areas, np.finfo(np.float64).tiny)[:, None], areas


def _straightened(labels: Indices, edges: Adjacency, normals: Floats, areas: Floats) -> Indices:
    """The labels after faces along the borders have gone to the chart that they fit best: the direction of its mean
    normal, and the share of their outline that they have in common. Half of the faces move at a time, lest two
    neighbours change places for ever."""
    # Column by column all of this is several times as fast.
    shares = np.ascontiguousarray((edges.edge_lengths / edges.edge_lengths.sum(axis=1, keepdims=True)).T)
    normals_of, weighted = np.ascontiguousarray(normals.T), np.ascontiguousarray((normals * areas[:, None]).T)
    upper = np.arange(len(labels), dtype=np.uint64) * np.uint64(GOLDEN) >= 1 << 63
    halves = [np.flatnonzero(~upper), np.flatnonzero(upper)]
    sides_of = [np.ascontiguousarray(edges.neighbours.take(half, axis=0).T) for half in halves]
    labels, sums = labels.copy(), cluster_normals(labels, normals, areas)
    for turn in range(ROUNDS):
        means = _unit(sums)
        half = halves[turn & 1]
        own, (a, b, c) = labels.take(half), labels.take(sides_of[turn & 1])
        at_border = (a != own) | (b != own) | (c != own)
        face = half.compress(at_border)
        around = [column.compress(at_border) for column in (a, b, c)]
        share, normal = shares.take(face, axis=1), normals_of.take(face, axis=1)
        best, old = np.full(len(face), -np.inf), own.compress(at_border)
        chart = old
        for candidate in (old, *around):  # the face's own chart first: it stays there where others are no better
            shared = sum((candidate == beside) * part for beside, part in zip(around, share, strict=True))
            cosine = sum(part * mean.take(candidate) for part, mean in zip(normal, means, strict=True))
            score = np.where(cosine < LEAST, cosine - 2, cosine + shared)
            better = score > best
            best, chart = np.where(better, score, best), np.where(better, candidate, chart)
        labels[face] = chart
        moved = chart != old
        gone, come, what = old.compress(moved), chart.compress(moved), weighted.take(face.compress(moved), axis=1)
        for total, part in zip(sums, what, strict=True):
            total += np.bincount(come, part, minlength=len(total)) - np.bincount(gone, part, minlength=len(total))
    return labels


def _without_steep(labels: Indices, edges: Adjacency, normals: Floats, areas: Floats) -> Indices:
    """The labels, of connected charts, after faces too steep for theirs, and what these held together, have become
    charts of their own.

    Without them the mean turns, so that others may be too steep. A chart of nothing but steep faces, as two back to
    back are, falls into single ones.
    """
    while True:
        means = _unit(cluster_normals(labels, normals, areas)).take(labels, axis=1)
        steep = sum(mean * normal for mean, normal in zip(means, normals.T, strict=True)) < LEAST
        if not steep.any():
            return labels
        hopeless = (np.bincount(labels, steep) == np.bincount(labels)).take(labels)
        alone = 2 * len(labels) + np.arange(len(labels))
        split = edges.pieces(np.where(hopeless, alone, 2 * labels + steep))
        if split.max() == labels.max():  # what is steep still has no area, and so no normal
            return labels
        labels = split


def _unit(sums: Floats) -> Floats:
    """(3, C) of length 1."""
    means: Floats = sums / np.maximum(np.sqrt((sums * sums).sum(axis=0)), np.finfo(np.float64).tiny)
    return means
