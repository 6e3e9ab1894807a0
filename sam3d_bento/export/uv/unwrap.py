"""Cut a mesh into charts and lay them out flat in one square texture."""

from __future__ import annotations

import logging

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import distinct
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.adjacency import Adjacency, adjacency
from sam3d_bento.export.uv.charts import charts, parted
from sam3d_bento.export.uv.cuts import overlapping, overlong
from sam3d_bento.export.uv.flatten import Flat, flatten, joined
from sam3d_bento.export.uv.layout import Unwrapped, fault
from sam3d_bento.export.uv.pack import pack
from sam3d_bento.export.uv.xatlas_unwrap import unwrap_by_xatlas

__all__ = ["Unwrapped", "unwrap"]

log = logging.getLogger("sam3d_bento.export")

# Texels to a cell of the page: one texel of mip level 2. No such texel is read for two charts, which keeps them from
# 4 to 12 texels apart. The cells grow with the texture beyond CELLS to a side: time goes with their number.
CELL, CELLS = 4, 256

# With fewer cells for each chart than this, gutters would be most of the page: then they hold at a lower level only.
CELLS_PER_CHART = 10

EXPECTED_USE = 0.55  # the share of the texels that charts are expected to cover, when overlaps are looked for

ROUNDS = 12  # of cutting overlaps off; charts that still overlap then fall into single faces
PACKINGS = 4  # for overlaps that show on the page nevertheless

# Overlaps are looked for so many times as closely as texels are, because the scale found later is another one. At 2,
# every other mesh of many charts had to be packed a second time, for an overlap of a texel or two.
FINER = 3


def unwrap(vertices: Float32, faces: Int32, texture_size: int) -> Unwrapped:
    """Texture coordinates for a mesh without degenerate faces: normal-cone charts, each projected onto a plane.

    vertices (V, 3) float32, faces (F, 3) int32; texture_size in texels, which sets how wide the gutters between charts
    are. Equal meshes are unwrapped equally. Should the layout not stand its check, xatlas makes another one.
    Raises BadResult when that fails as well.
    """
    unwrapped = _unwrap(vertices, faces, texture_size)
    reason = "no room" if unwrapped is None else fault(unwrapped, texture_size)
    if unwrapped is not None and reason is None:
        return unwrapped
    log.warning("Unwrapping %d faces by xatlas: %s.", len(faces), reason)
    return unwrap_by_xatlas(vertices, faces, texture_size)


def _unwrap(vertices: Float32, faces: Int32, texture_size: int) -> Unwrapped | None:
    """The layout, unchecked; None when the charts found no room, or went on overlapping."""
    edges = adjacency(vertices, faces)
    labels = charts(vertices, faces, edges)
    area = float(face_areas(vertices, faces).sum())
    scale = texture_size * (EXPECTED_USE / area) ** 0.5  # texels to a unit of the scene
    known: float | None = None
    for _ in range(PACKINGS):
        labels, flat = _without_overlaps(vertices, faces, labels, edges, scale, area)
        cell = _cell(texture_size, len(flat.extents))
        packing = pack(flat, int(texture_size / cell), known and known / cell)
        if packing is None:
            return None
        scale = known = packing.scale * cell
        overlaps = overlapping(flat, labels, scale, packing.shift * cell)
        if not overlaps.any():
            return _welded(faces, labels, packing.page(flat, labels) * cell / texture_size)
        labels = parted(vertices, faces, labels, overlaps, edges)
    return None


def _without_overlaps(
    vertices: Float32, faces: Int32, labels: Indices, edges: Adjacency, scale: float, area: float
) -> tuple[Indices, Flat]:
    """The charts (F,), and the same laid out flat, after what overlaps or is too long has become charts of its own."""
    flat = flatten(vertices, faces, labels, edges)
    cut = _cut(flat, labels, scale, area)
    if not cut.any():
        return labels, flat
    labels, part, own, around = labels.copy(), np.arange(len(faces)), labels, edges
    parts = [(part, own, flat)]
    for turn in range(ROUNDS):
        # Only the charts that were cut may have to be cut again.
        touched = np.flatnonzero(np.isin(own, own[cut]))
        part, around = part.take(touched), around.part(touched)
        some = faces.take(part, axis=0)
        if turn < ROUNDS - 1:
            own = parted(vertices, some, own.take(touched), cut.take(touched), around)
        else:
            own = np.arange(len(part))
        labels[part] = labels.max() + 1 + own
        flat = flatten(vertices, some, own, around)
        parts.append((part, own, flat))
        cut = _cut(flat, own, scale, area)
        if not cut.any():
            break
    _, labels = distinct(labels)
    return labels, joined(parts, labels, edges)


def _cut(flat: Flat, labels: Indices, scale: float, area: float) -> Bool:
    """(F,) what is to be cut off the charts, labels (F,)."""
    return overlong(flat, labels, area) | overlapping(flat, labels, FINER * scale, np.full(flat.extents.shape, 0.5))


def _cell(texture_size: int, count: int) -> float:
    """Texels to a cell, for so many charts."""
    cell = float(CELL * max(1, -(-texture_size // (CELL * CELLS))))
    while (texture_size / cell) ** 2 < count * CELLS_PER_CHART:
        cell /= 2
    return cell


def _welded(faces: Int32, labels: Indices, corners: Floats) -> Unwrapped:
    """The mesh with a vertex for every pair of an old one and a chart; corners (F, 3, 2) in [0, 1], y up."""
    pair = faces.astype(np.int64) * (int(labels.max()) + 1) + labels[:, None]
    first, vertex = distinct(pair.ravel())
    uv = corners.reshape(-1, 2)[first]
    uv[:, 1] = 1 - uv[:, 1]  # rows of an image are counted from the top
    return Unwrapped(
        vertex_map=faces.ravel()[first],
        faces=vertex.reshape(-1, 3).astype(np.int32),
        uv=uv.clip(0, 1).astype(np.float32),
    )
