"""Lay charts out flat.

Each chart is projected along its mean normal, scaled to its true area, and turned to fill its box best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import stable_order
from sam3d_bento.export.mesh.surface import area_vectors, lengths
from sam3d_bento.export.uv.adjacency import Adjacency
from sam3d_bento.export.uv.cluster_graph import sum_normals
from sam3d_bento.export.uv.outline import Outline

ANGLES_PER_QUARTER_TURN = 16  # rotations of a chart that are tried first
ANGLE_HALVINGS = 4  # how often the step between angles is then halved around the best one


@dataclass(frozen=True)
class FlatCharts:
    """Charts laid out flat.

    corners (F, 3, 2) float64, scene units: each face in the plane of its chart, x right and y up, counter-clockwise.
    The box of a chart begins at (0, 0).
    heights (F, 3) float64, scene units: of the corners above that plane.
    extents (C, 2) float64, scene units: width and height of the charts' boxes.
    outline: of all charts.
    """

    corners: Floats
    heights: Floats
    extents: Floats
    outline: Outline

    def scale(self, factors: Floats, labels: Indices) -> FlatCharts:
        """Scale each chart in its plane by its factor (C,), and leave the heights; return new charts.

        labels (F,) int: the chart of each face.
        """
        edges = factors.take(self.outline.chart)[:, None]
        outline = Outline(self.outline.chart, self.outline.start * edges, self.outline.end * edges)
        corners = self.corners * factors.take(labels)[:, None, None]
        return FlatCharts(corners, self.heights, self.extents * factors[:, None], outline)


def flatten(vertices: Float32, faces: Int32, labels: Indices, edges: Adjacency) -> FlatCharts:
    """Project each chart onto a plane and turn it so that its box is smallest.

    vertices (V, 3) float32, faces (F, 3) int32. labels (F,) int: the chart of each face, numbered from 0; no face may
    be turned away from the mean normal of its chart.
    """
    vectors = area_vectors(vertices, faces)
    sums = sum_normals(labels, vectors, np.ones(len(faces))).T
    projected = np.maximum(lengths(sums), np.finfo(np.float64).tiny)
    right, up, away = _build_frames(sums / projected[:, None])
    # Scale makes up for the area that projection takes from a chart, so that a texel shows the same area everywhere.
    scale = np.sqrt(np.bincount(labels, lengths(vectors)) / projected)[:, None]
    right, up = right * scale, up * scale

    places = vertices.astype(np.float64)
    face, corner = np.nonzero(edges.find_borders(labels))
    chart, points = labels.take(face), places.take(faces[face, corner], axis=0)
    x, y = (np.einsum("ij,ij->i", points, way.take(chart, axis=0)) for way in (right, up))
    angle, low, extents = _fit_boxes(x, y, chart, len(scale))

    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    columns = [np.ascontiguousarray(column).take(faces) for column in places.T]
    corners = np.empty((len(faces), 3, 2))
    for axis, way in enumerate((cosine * right - sine * up, sine * right + cosine * up)):
        np.subtract(_project(columns, way, labels), low[axis].take(labels)[:, None], out=corners[:, :, axis])
    return FlatCharts(
        corners, _project(columns, away, labels), extents.T, _collect_outline(corners, face, corner, chart)
    )


def merge_layouts(parts: list[tuple[Indices, Indices, FlatCharts]], labels: Indices, edges: Adjacency) -> FlatCharts:
    """Merge the layouts of parts of a mesh into one of the charts `labels` (F,).

    Each part is some faces (N,) int, their charts (N,) int numbered within the part, and the layout of these. The first
    part has all faces. The charts of a later part replace those of earlier parts.
    """
    (_, charts, whole), *later = parts
    corners, heights = whole.corners.copy(), whole.heights.copy()
    extents = np.empty((int(labels.max()) + 1, 2))
    extents[labels] = whole.extents.take(charts, axis=0)
    for faces, charts, flat in later:
        corners[faces], heights[faces] = flat.corners, flat.heights
        extents[labels.take(faces)] = flat.extents.take(charts, axis=0)
    face, corner = np.nonzero(edges.find_borders(labels))
    return FlatCharts(corners, heights, extents, _collect_outline(corners, face, corner, labels.take(face)))


def _collect_outline(corners: Floats, face: Indices, corner: Indices, chart: Indices) -> Outline:
    """Collect the border edges given by face and corner (E,) as an outline of the charts (E,)."""
    return Outline(chart, corners[face, corner], corners[face, (corner + 1) % 3])


def _project(columns: list[Floats], directions: Floats, labels: Indices) -> Floats:
    """Project the corners of the faces onto a direction for each chart; return (F, 3).

    columns: x, y and z (F, 3) of the corners. directions (C, 3). labels (F,): the chart of each face.
    """
    x, y, z = (
        column * direction.take(labels)[:, None] for column, direction in zip(columns, directions.T, strict=True)
    )
    along: Floats = x + y + z
    return along


def _build_frames(normals: Floats) -> tuple[Floats, Floats, Floats]:
    """Build a right-handed frame for each normal (C, 3): right, up and the normal itself, each (C, 3).

    Being right-handed, the frame mirrors nothing.
    """
    away = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    right = np.cross(away, normals)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return right, np.cross(normals, right), normals


def _fit_boxes(x: Floats, y: Floats, chart: Indices, count: int) -> tuple[Floats, Floats, Floats]:
    """Find the rotation of each chart that makes the box of its points smallest.

    x, y (N,): the points; chart (N,) int: of each point; count: of charts. Returns the rotations (C,) in radians,
    counter-clockwise, and for each box the lower left corner (2, C) and the width and height (2, C).
    """
    ordered = stable_order(chart)
    x, y, chart = x.take(ordered), y.take(ordered), chart.take(ordered)
    starts = np.searchsorted(chart, np.arange(count))

    def measure(angles: Floats | float) -> tuple[Floats, Floats]:
        """Return the lower left corners (2, C) and the sizes (2, C) of the boxes of charts turned by `angles`."""
        cosine, sine = np.cos(angles), np.sin(angles)
        if isinstance(angles, np.ndarray):
            cosine, sine = cosine.take(chart), sine.take(chart)
        sides = (cosine * x - sine * y, sine * x + cosine * y)
        low, high = (np.stack([bound.reduceat(side, starts) for side in sides]) for bound in (np.minimum, np.maximum))
        return low, high - low

    smallest, best = np.full(count, np.inf), np.zeros(count)

    def try_angles(angles: Floats | float) -> None:
        """Keep the angles at which the boxes are smaller than before."""
        area = measure(angles)[1].prod(axis=0)
        better = area < smallest * (1 - 1e-9)
        smallest[better] = area[better]
        np.copyto(best, angles, where=better)

    step = np.pi / 2 / ANGLES_PER_QUARTER_TURN
    for turn in range(ANGLES_PER_QUARTER_TURN):
        try_angles(turn * step)
    # The finer steps let long strips lie straight: askew by half a coarse step, they would climb many texels.
    for _ in range(ANGLE_HALVINGS):
        step /= 2
        found = best.copy()
        try_angles(found - step)
        try_angles(found + step)
    return best, *measure(best)
