"""Cut a mesh into charts and lay them out flat in one square texture."""

from __future__ import annotations

import logging

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import distinct
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.adjacency import Adjacency, build_adjacency
from sam3d_bento.export.uv.charts import group_into_charts, split_charts
from sam3d_bento.export.uv.cuts import find_overlaps, find_overlong
from sam3d_bento.export.uv.density import choose_factors
from sam3d_bento.export.uv.flatten import FlatCharts, flatten, merge_layouts
from sam3d_bento.export.uv.layout import UnwrappedMesh, find_fault
from sam3d_bento.export.uv.pack import pack
from sam3d_bento.export.uv.xatlas_unwrap import unwrap_by_xatlas

__all__ = ["UnwrappedMesh", "unwrap"]

log = logging.getLogger("sam3d_bento.export")

# Edge of a cell of the page in texels: one texel of mip level 2. No such texel is read for two charts, which keeps
# charts from 4 to 12 texels apart. Cells are larger where the page would have more than MAX_PAGE_CELLS to a side,
# because the time to pack grows with their number.
CELL_TEXELS = 4
MAX_PAGE_CELLS = 256

# Numbers of cells of the page for each chart. With fewer than FEW, gutters would take more than a third of the page:
# cells are halved once, which keeps charts apart up to mip level 1 only. With fewer than MIN, they would be most of the
# page: cells are halved until there are more.
FEW_CELLS_PER_CHART = 200
MIN_CELLS_PER_CHART = 10

EXPECTED_USE = 0.55  # share of the texels that charts are expected to cover, for the scale at which overlaps are sought

MAX_CUT_ROUNDS = 12  # of cutting overlaps off charts; in the last one, charts that still overlap fall into single faces
MAX_PACKINGS = 4  # packings, each after cutting off the overlaps that the last one showed

# Factor by which overlaps are sought more finely than by texels, because the final scale is another one. At 2, every
# other mesh of many charts had to be packed a second time, for an overlap of a texel or two.
OVERLAP_OVERSAMPLING = 3


def unwrap(vertices: Float32, faces: Int32, texture_size: int, detail: Floats | None = None) -> UnwrappedMesh:
    """Compute texture coordinates for a mesh: cut it into charts of similar normals, and project each onto a plane.

    vertices (V, 3) float32, faces (F, 3) int32, without degenerate faces; texture_size in texels sets how wide the
    gutters between charts are. detail (F,): squared error of the colours between texels, NaN where it is not known;
    charts with more of it get more texels. Equal meshes are unwrapped equally. If the layout fails its check, xatlas
    makes another one, of even density. Raises BadResult when that fails as well.
    """
    unwrapped = _lay_out(vertices, faces, texture_size, detail)
    reason = "no room" if unwrapped is None else find_fault(unwrapped, texture_size)
    if unwrapped is not None and reason is None:
        return unwrapped
    log.warning("Unwrapping %d faces by xatlas: %s.", len(faces), reason)
    return unwrap_by_xatlas(vertices, faces, texture_size)


def _lay_out(vertices: Float32, faces: Int32, texture_size: int, detail: Floats | None) -> UnwrappedMesh | None:
    """Lay the mesh out, unchecked; return None when the charts find no room or still overlap."""
    edges = build_adjacency(vertices, faces)
    labels = group_into_charts(vertices, faces, edges)
    areas = face_areas(vertices, faces)
    area = float(areas.sum())
    scale = texture_size * (EXPECTED_USE / area) ** 0.5  # texels per scene unit
    known_scale: float | None = None
    for _ in range(MAX_PACKINGS):
        labels, flat = _cut_overlaps(vertices, faces, labels, edges, scale, area)
        if detail is not None:
            flat = flat.scale(choose_factors(detail, areas, labels, flat.extents), labels)
        cell = _choose_cell(texture_size, len(flat.extents))
        packing = pack(flat, int(texture_size / cell), known_scale and known_scale / cell)
        if packing is None:
            return None
        scale = known_scale = packing.scale * cell
        overlaps = find_overlaps(flat, labels, scale, packing.shift * cell)
        if not overlaps.any():
            return _weld(faces, labels, packing.place(flat, labels) * cell / texture_size)
        labels = split_charts(vertices, faces, labels, overlaps, edges)
    return None


def _cut_overlaps(
    vertices: Float32, faces: Int32, labels: Indices, edges: Adjacency, scale: float, area: float
) -> tuple[Indices, FlatCharts]:
    """Cut off faces that overlap others of their chart or make it too long; return charts (F,) and flat layout."""
    flat = flatten(vertices, faces, labels, edges)
    cut = _find_faces_to_cut(flat, labels, scale, area)
    if not cut.any():
        return labels, flat
    labels, part, own, around = labels.copy(), np.arange(len(faces)), labels, edges
    parts = [(part, own, flat)]
    for turn in range(MAX_CUT_ROUNDS):
        # Only charts that were cut can need another cut.
        touched = np.flatnonzero(np.isin(own, own[cut]))
        part, around = part.take(touched), around.restrict(touched)
        some = faces.take(part, axis=0)
        if turn < MAX_CUT_ROUNDS - 1:
            own = split_charts(vertices, some, own.take(touched), cut.take(touched), around)
        else:
            own = np.arange(len(part))
        labels[part] = labels.max() + 1 + own
        flat = flatten(vertices, some, own, around)
        parts.append((part, own, flat))
        cut = _find_faces_to_cut(flat, own, scale, area)
        if not cut.any():
            break
    _, labels = distinct(labels)
    return labels, merge_layouts(parts, labels, edges)


def _find_faces_to_cut(flat: FlatCharts, labels: Indices, scale: float, area: float) -> Bool:
    """Find the faces (F,) bool to cut off their charts, `labels` (F,). area: of all charts, squared scene units."""
    return find_overlong(flat, labels, area) | find_overlaps(
        flat, labels, OVERLAP_OVERSAMPLING * scale, np.full(flat.extents.shape, 0.5)
    )


def _choose_cell(texture_size: int, count: int) -> float:
    """Choose the edge of a cell in texels, for so many charts."""
    cell = float(CELL_TEXELS * max(1, -(-texture_size // (CELL_TEXELS * MAX_PAGE_CELLS))))
    if (texture_size / cell) ** 2 < count * FEW_CELLS_PER_CHART:
        cell /= 2
    while (texture_size / cell) ** 2 < count * MIN_CELLS_PER_CHART:
        cell /= 2
    return cell


def _weld(faces: Int32, labels: Indices, corners: Floats) -> UnwrappedMesh:
    """Weld corners of one chart that share a vertex; return the mesh with a vertex for every pair of vertex and chart.

    corners (F, 3, 2) in [0, 1], y up. labels (F,): the chart of each face.
    """
    pair = faces.astype(np.int64) * (int(labels.max()) + 1) + labels[:, None]
    first, vertex = distinct(pair.ravel())
    uv = corners.reshape(-1, 2)[first]
    uv[:, 1] = 1 - uv[:, 1]  # rows of an image are counted from the top
    return UnwrappedMesh(
        vertex_map=faces.ravel()[first],
        faces=vertex.reshape(-1, 3).astype(np.int32),
        uv=uv.clip(0, 1).astype(np.float32),
    )
