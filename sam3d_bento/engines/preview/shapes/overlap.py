"""Find which pixels within a body's outline show an attachment in front of it, such as the root of a handle.

The cheapest cut between attachment and body, which runs along edges of the photo (Boykov, Jolly: Interactive Graph Cuts
for Optimal Boundary & Region Segmentation of Objects in N-D Images, ICCV 2001). Where the attachment ends at the body's
outline, or looks like the body, the shortest cut is that outline, and nothing overlaps.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from sam3d_bento.arrays import Bool, Float32

# Depth into the body in which the photo may show an attachment, by the radius of the widest disc in the body: the root
# of a handle that points 45 degrees towards the camera reaches 0.3.
REACH_SHARE = 0.6

MAX_NODES = 20_000  # of the graph; cells are joined until there are fewer: 0.05 s

# Costs of a cut between two cells: at least that of the clearest edge, at most WHOLE where both have the same colour.
# Whole numbers, because the flow has no others.
CLEAREST = 30
WHOLE = 1000
SEED = 10**6  # more than any cut costs


def find_overlap(rgb: Float32, body: Bool, piece: Bool, widest: float) -> Bool:
    """Find the cells (R, C) bool of `body` at which the photo shows `piece`, which sticks out of it.

    rgb (R, C, 3) float32 sRGB. body, piece (R, C) bool, apart from each other. widest: radius of the widest disc in the
    body, in cells.
    """
    reach = REACH_SHARE * widest
    away = ndimage.distance_transform_edt(~piece)
    near = (away < reach + 2) & (body | piece)
    rows, columns = (np.flatnonzero(near.any(axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    step = max(1, ceil(np.sqrt(np.count_nonzero(near) / MAX_NODES)))
    sampled = (slice(window[0].start, window[0].stop, step), slice(window[1].start, window[1].stop, step))
    smooth = ndimage.uniform_filter(rgb[window], (step, step, 1))[::step, ::step] if step > 1 else rgb[window]
    nodes, attached = near[sampled], piece[sampled]
    cut = _cut(smooth, nodes, attached, nodes & ~attached & (away[sampled] >= reach))
    overlap = np.zeros(body.shape, bool)
    large = np.repeat(np.repeat(cut, step, 0), step, 1)[: rows[-1] + 1 - rows[0], : columns[-1] + 1 - columns[0]]
    overlap[window] = large & body[window]
    return overlap


def _cut(rgb: Float32, nodes: Bool, attached: Bool, apart: Bool) -> Bool:
    """Cut the cells `nodes` in two and return the part (R, C) bool with all cells `attached` and none that is `apart`.

    All (R, C) bool; rgb (R, C, 3).
    """
    count = int(np.count_nonzero(nodes))
    number = np.full(nodes.shape, -1)
    number[nodes] = np.arange(count)
    source, sink = count, count + 1
    starts: list[npt.NDArray[np.int_]] = []
    ends: list[npt.NDArray[np.int_]] = []
    steps: list[Float32] = []
    for here, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = nodes[here] & nodes[after]
        starts.append(number[here][both])
        ends.append(number[after][both])
        steps.append(np.linalg.norm(rgb[here][both] - rgb[after][both], axis=1))
    start, end, step = np.concatenate(starts), np.concatenate(ends), np.concatenate(steps)
    cost = CLEAREST + (WHOLE - CLEAREST) * np.exp(-step / max(float(step.mean()), 1e-3))
    seeds, sinks = number[attached & nodes], number[apart]
    row = np.concatenate([start, end, np.full(len(seeds), source), sinks])
    column = np.concatenate([end, start, seeds, np.full(len(sinks), sink)])
    capacity = np.concatenate([cost, cost, np.full(len(seeds) + len(sinks), SEED)]).astype(np.int32)
    graph = csr_array((capacity, (row, column)), (count + 2, count + 2))
    flow = maximum_flow(graph, source, sink).flow
    reached = breadth_first_order(((graph - flow) > 0).astype(np.int8), source, return_predecessors=False)
    part = np.zeros(nodes.shape, bool)
    part[nodes] = np.isin(np.arange(count), reached)
    return part & ~attached
