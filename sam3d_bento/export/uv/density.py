"""Choose how large each chart is on the page: charts with more detail get more texels for their area."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Floats, Indices
from sam3d_bento.export.uv.cuts import MAX_BOX_EDGE

# The squared error of linear interpolation between texels is the detail divided by the texels for an area, or more
# slowly. The sum over a page is least where each chart's edges are scaled by the fourth root of its detail.
DETAIL_EXPONENT = 0.25

# Limits of the factor by which the edges of a chart are scaled. Flat charts keep an eighth of the texels for what
# no sample has met. Beyond twice the edges, the dense surface has nothing more to show.
SMALLEST_FACTOR = 0.35
LARGEST_FACTOR = 2.0

# A chart's detail is mixed with that of the whole, which counts as much as so many mean faces: a small chart has few
# samples.
PRIOR_FACES = 20


def choose_factors(detail: Floats, areas: Floats, labels: Indices, extents: Floats) -> Floats:
    """Choose the factor (C,) by which the edges of each chart are scaled; all together keep their area.

    detail (F,): squared error of interpolation at each face, NaN where it is not known. areas (F,): of the faces.
    labels (F,) int: the chart of each face. extents (C, 2): of the charts' boxes, in the units of the areas' roots. A
    chart does not become longer than the page has room for (see `find_overlong`); where one would, the sum is smaller.
    """
    count = len(extents)
    known = np.flatnonzero(~np.isnan(detail))
    weight = np.bincount(labels.take(known), areas.take(known), count)
    error = np.bincount(labels.take(known), (areas * detail).take(known), count)
    mean = error.sum() / max(weight.sum(), np.finfo(np.float64).tiny)
    if not mean:
        return np.ones(count)
    prior = PRIOR_FACES * areas.mean()
    factors = ((error + prior * mean) / (weight + prior) / mean) ** DETAIL_EXPONENT
    chart_areas: Floats = np.bincount(labels, areas, count).astype(np.float64)
    room = MAX_BOX_EDGE * np.sqrt(areas.sum()) / extents.max(axis=1)
    limited = _normalized(factors, chart_areas).clip(SMALLEST_FACTOR, LARGEST_FACTOR)
    chosen: Floats = np.minimum(_normalized(limited, chart_areas), np.maximum(room, 1))
    return chosen


def _normalized(factors: Floats, areas: Floats) -> Floats:
    """Scale the factors (C,) so that charts of these areas (C,), scaled by them, have the same area in sum."""
    normalized: Floats = factors * np.sqrt(areas.sum() / (areas * factors**2).sum())
    return normalized
