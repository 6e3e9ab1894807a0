"""Cut a mesh into charts: connected pieces flat enough to be projected onto a plane."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import HASH_MULTIPLIER
from sam3d_bento.export.mesh.surface import area_vectors, lengths
from sam3d_bento.export.uv.adjacency import Adjacency
from sam3d_bento.export.uv.cluster_graph import sum_normals
from sam3d_bento.export.uv.clusters import merge

# Least cosine between a face and the mean normal of its chart. Projection shortens a face by its cosine in one
# direction.
MIN_COSINE = 0.4

# The same bound while charts grow. It is stricter, which leaves room to straighten the borders afterwards.
GROWING_MIN_COSINE = 0.6

# How often borders are straightened and then charts merged that have come to fit.
PASSES = 2

# Rounds of moving faces across the borders in one pass. Half of the faces may move in each.
STRAIGHTENING_ROUNDS = 6


def group_into_charts(vertices: Float32, faces: Int32, edges: Adjacency) -> Indices:
    """Group the faces of a mesh into charts; return the chart (F,) int of each face, numbered from 0.

    vertices (V, 3) float32, faces (F, 3) int32, and the adjacency of the faces. No face is turned by more than
    arccos(MIN_COSINE) from the mean normal of its chart. A chart is connected through inner edges.
    """
    normals, areas = _compute_normals(vertices, faces)
    # In units of the mean face, so that no bound depends on the scale.
    areas /= areas.mean()
    unit = edges.edge_lengths.mean()
    borders, perimeters = edges.lengths / unit, edges.edge_lengths.sum(axis=1) / unit

    labels: Indices = np.arange(len(faces))
    labels = merge(labels, edges.first, edges.second, borders, normals, areas, perimeters, GROWING_MIN_COSINE)
    for _ in range(PASSES):
        labels = edges.split_into_pieces(_straighten_borders(labels, edges, normals, areas))
        labels = merge(labels, edges.first, edges.second, borders, normals, areas, perimeters, MIN_COSINE)
    return _split_off_steep(labels, edges, normals, areas)


def split_charts(vertices: Float32, faces: Int32, labels: Indices, cut: Bool, edges: Adjacency) -> Indices:
    """Split the faces in `cut` (F,) bool off their charts, `labels` (F,); return new labels (F,) int.

    Removing faces changes a chart's mean normal, so faces that become too steep for it are split off too.
    """
    return _split_off_steep(edges.split_into_pieces(2 * labels + cut), edges, *_compute_normals(vertices, faces))


def _compute_normals(vertices: Float32, faces: Int32) -> tuple[Floats, Floats]:
    """Return the unit normals (F, 3) and the areas (F,) of the faces."""
    vectors = area_vectors(vertices, faces)
    areas = lengths(vectors)
    return vectors / np.maximum(areas, np.finfo(np.float64).tiny)[:, None], areas


def _straighten_borders(labels: Indices, edges: Adjacency, normals: Floats, areas: Floats) -> Indices:
    """Straighten the borders between charts; return new labels (F,).

    Each face at a border moves to the chart that fits it best. The score of a chart is the cosine between the face and
    the chart's mean normal, plus the share of the face's outline that borders on the chart. A chart for which the face
    is too steep scores below all others. Only half of the faces may move in one round; otherwise two neighbours could
    swap charts for ever.
    """
    # Working column by column is several times as fast.
    shares = np.ascontiguousarray((edges.edge_lengths / edges.edge_lengths.sum(axis=1, keepdims=True)).T)
    normals_of, weighted = np.ascontiguousarray(normals.T), np.ascontiguousarray((normals * areas[:, None]).T)
    upper = np.arange(len(labels), dtype=np.uint64) * np.uint64(HASH_MULTIPLIER) >= 1 << 63
    halves = [np.flatnonzero(~upper), np.flatnonzero(upper)]
    sides_of = [np.ascontiguousarray(edges.neighbours.take(half, axis=0).T) for half in halves]
    labels, sums = labels.copy(), sum_normals(labels, normals, areas)
    for turn in range(STRAIGHTENING_ROUNDS):
        means = _normalize(sums)
        half = halves[turn & 1]
        own, (a, b, c) = labels.take(half), labels.take(sides_of[turn & 1])
        at_border = (a != own) | (b != own) | (c != own)
        face = half.compress(at_border)
        around = [column.compress(at_border) for column in (a, b, c)]
        share, normal = shares.take(face, axis=1), normals_of.take(face, axis=1)
        best, old = np.full(len(face), -np.inf), own.compress(at_border)
        chart = old
        for candidate in (old, *around):  # its own chart first: a face stays there unless another is better
            shared = sum((candidate == beside) * part for beside, part in zip(around, share, strict=True))
            cosine = sum(part * mean.take(candidate) for part, mean in zip(normal, means, strict=True))
            score = np.where(cosine < MIN_COSINE, cosine - 2, cosine + shared)
            better = score > best
            best, chart = np.where(better, score, best), np.where(better, candidate, chart)
        labels[face] = chart
        moved = chart != old
        left, joined, normal = old.compress(moved), chart.compress(moved), weighted.take(face.compress(moved), axis=1)
        for total, part in zip(sums, normal, strict=True):
            total += np.bincount(joined, part, minlength=len(total)) - np.bincount(left, part, minlength=len(total))
    return labels


def _split_off_steep(labels: Indices, edges: Adjacency, normals: Floats, areas: Floats) -> Indices:
    """Split faces that are too steep for their chart off it, until none is; return new labels (F,).

    `labels` (F,) are those of connected charts. A chart that only the steep faces held together falls into several.
    Without the steep faces the mean normal turns, so other faces may become too steep. A chart of nothing but steep
    faces, such as two faces back to back, falls into single faces.
    """
    while True:
        means = _normalize(sum_normals(labels, normals, areas)).take(labels, axis=1)
        steep = sum(mean * normal for mean, normal in zip(means, normals.T, strict=True)) < MIN_COSINE
        if not steep.any():
            return labels
        all_steep = (np.bincount(labels, steep) == np.bincount(labels)).take(labels)
        single = 2 * len(labels) + np.arange(len(labels))
        split = edges.split_into_pieces(np.where(all_steep, single, 2 * labels + steep))
        if split.max() == labels.max():  # the steep faces that remain have no area, and so no normal
            return labels
        labels = split


def _normalize(sums: Floats) -> Floats:
    """Scale vectors (3, C) to length 1."""
    means: Floats = sums / np.maximum(np.sqrt((sums * sums).sum(axis=0)), np.finfo(np.float64).tiny)
    return means
