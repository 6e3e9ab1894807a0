"""The rule that reads an alpha channel: whether it cuts an object out of its background, and which pixels that is.

1. *Clear* is alpha of at most CLEAR_LEVEL, *visible* is what lies above. Alpha is a cut-out when at least
   MIN_CLEAR_SHARE of its pixels are clear and at least MIN_VISIBLE_PIXELS are visible. Where nothing lies above
   CLEAR_LEVEL, only alpha 0 is clear.
2. The object's *level* is the largest alpha that at least LEVEL_SHARE of the visible pixels reach. The threshold is
   half of it. So a pixel of an antialiased rim belongs to the object when at least half of it is covered, whatever the
   level, and a feathered edge ends in its middle.
3. The threshold is lower in a translucent part: an area at least OPENING_PIXELS wide below the threshold, which
   touches what is above it, reaches at least MIN_REACH_PIXELS away from it, and ends sharply. That is the glass of a
   bottle whose label is opaque. It has a level of its own, and its threshold is half of that. The same is then done
   for what lies below, so that parts may follow on parts.
4. An end is sharp when alpha climbs from clear to half of the part's level within MAX_CLIMB_PIXELS and within
   MAX_CLIMB_SHARE of the part's reach (the median along its border to the background). A soft drop shadow, a glow and
   a feathered edge end gradually, and are not the object. A part without such a border is enclosed by the object, like
   the lens of spectacles, and belongs to it. A part is judged as a whole: glass that stands on a soft shadow, and has
   less of a border than this, goes with the shadow. A shadow with a hard edge cannot be told from glass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Float64, Indices, Int32, UInt8

CLEAR_LEVEL = 2  # of 255; encoders and resizing leave such values where nothing is meant to be seen
MIN_CLEAR_SHARE = 0.001  # of the canvas; fewer clear pixels are a flaw, and not a background
MIN_VISIBLE_PIXELS = 64  # an object of fewer pixels, 8 x 8, has no shape
LEVEL_SHARE = 0.1  # of the visible pixels; a few bright glints or specks do not set the level

OPENING_PIXELS = 3  # edge of a square; narrower is what antialiasing leaves along an edge or at a tip
MIN_REACH_PIXELS = 4  # a resampled edge is two or three pixels wide
MAX_CLIMB_PIXELS = 3  # as above; a shadow's blur is wider
MAX_CLIMB_SHARE = 0.25  # of the reach; in a linear ramp, however narrow, it is one half

FAR_PIXELS = 16  # more than MAX_CLIMB_PIXELS / MAX_CLIMB_SHARE, from where on the reach makes no difference
MAX_PARTS_IN_A_ROW = 5  # each has at most half of the level of the one before: from 127 to 8, which is hardly visible

# Without clear pixels, alpha still separates a solid thing from a veil when both have this share of the canvas.
SOLID_LEVEL, MIN_SHARE_OF_EACH = 128, 0.005

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class CutOut:
    """What alpha cuts out.

    pixels: (H, W) bool, the object. trimmed: whether the canvas was trimmed to what is visible, which then touches all
    four of its sides; the outline that ends there is the object's own.
    """

    pixels: Bool
    trimmed: bool


def cut_out(alpha: UInt8 | None) -> CutOut | None:
    """Return what `alpha` (H, W) cuts out by the rule above, or None. A pixel of alpha 0 is never part of it."""
    if alpha is None:
        return None
    counts = np.bincount(alpha.ravel(), minlength=256)
    clear = CLEAR_LEVEL if counts[CLEAR_LEVEL + 1 :].sum() >= MIN_VISIBLE_PIXELS else 0
    min_clear = max(1, int(MIN_CLEAR_SHARE * alpha.size))
    if counts[: clear + 1].sum() < min_clear or counts[clear + 1 :].sum() < MIN_VISIBLE_PIXELS:
        solid = alpha >= SOLID_LEVEL
        return CutOut(solid, False) if MIN_SHARE_OF_EACH < solid.mean() < 1 - MIN_SHARE_OF_EACH else None
    level = _level(alpha[alpha > clear])
    # Where the background is 0 throughout, alpha 1 and 2 are the rim of an object of level 4 or less.
    darkest = 0 if counts[0] >= min_clear else CLEAR_LEVEL
    pixels: Bool = alpha >= max(level / 2, darkest + 1)
    pixels = _with_translucent_parts(alpha, pixels, clear)
    return CutOut(pixels, all(side.max() > clear for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])))


def _level(values: UInt8) -> int:
    """Return the largest level that at least LEVEL_SHARE of `values` (N,), N > 0, reach."""
    rank = int(_rank(np.array([len(values)]))[0])
    return int(np.partition(values, rank)[rank])


def _rank(counts: Indices) -> Indices:
    """Return the place of the level among `counts` (N,) values in ascending order."""
    ranks: Indices = counts - np.maximum(1, np.ceil(LEVEL_SHARE * counts)).astype(np.intp)
    return ranks


def _with_translucent_parts(alpha: UInt8, solid: Bool, clear: int) -> Bool:
    """Return the object (H, W): `solid` (H, W) and the translucent parts that belong to it."""
    pixels = solid
    for _ in range(MAX_PARTS_IN_A_ROW):
        part = _translucent_parts(alpha, pixels, clear)
        if not part.any():
            break
        pixels = pixels | part
    if pixels is solid:
        return solid
    # Where levels vary around a threshold, specks stay below it: they join, unless they are the rim of a part.
    specks = ndimage.binary_dilation(pixels & ~solid, _EIGHT_NEIGHBOURS) & (alpha > clear)
    specks &= alpha >= ndimage.maximum_filter(alpha, 3) / 2
    joined: Bool = pixels | specks
    return joined


def _translucent_parts(alpha: UInt8, pixels: Bool, clear: int) -> Bool:
    """Return what belongs to the object `pixels` (H, W) although it lies below its threshold, by 3 and 4: (H, W)."""
    below = (alpha > clear) & ~pixels
    part = np.zeros_like(pixels)
    opened: Bool = ndimage.binary_opening(below, np.ones((OPENING_PIXELS, OPENING_PIXELS), bool))
    if not opened.any():
        return part
    # Nothing of the rule looks further than FAR_PIXELS.
    inside = tuple(
        slice(max(0, side.start - FAR_PIXELS), side.stop + FAR_PIXELS)
        for side in ndimage.find_objects(opened.view(np.uint8))[0]
    )
    alpha, pixels, below, opened = alpha[inside], pixels[inside], below[inside], opened[inside]
    if not pixels.any():  # too far away for any part to touch it; distances to nothing would be arbitrary
        return part
    labels, count = ndimage.label(opened, _EIGHT_NEIGHBOURS)
    away = ndimage.distance_transform_edt(~pixels).astype(np.float32)[opened]
    every = np.arange(count + 1)
    nearest = ndimage.minimum(away, labels[opened], every)
    reach = ndimage.maximum(away, labels[opened], every)
    candidates = np.flatnonzero((nearest < OPENING_PIXELS) & (reach >= MIN_REACH_PIXELS))
    if not len(candidates):
        return part
    # The opening took the corners and the rim of each part: they are given back.
    grown = ndimage.maximum_filter(labels, OPENING_PIXELS) * below
    halves = _half_levels(alpha, grown, candidates, count)
    bright = halves[grown] <= alpha  # where no candidate is, the half level is beyond any alpha
    climbs = _climbs(alpha <= clear, grown, bright, candidates)
    limit = np.minimum(MAX_CLIMB_PIXELS, MAX_CLIMB_SHARE * reach[candidates])
    belongs = np.zeros(count + 1, bool)
    belongs[candidates] = climbs <= limit
    part[inside] = belongs[grown] & bright
    return part


def _half_levels(alpha: UInt8, labels: Int32, candidates: Indices, count: int) -> Float32:
    """Return half of the level of each candidate (count + 1,), by label; 256 for what is no candidate."""
    chosen = np.zeros(count + 1, bool)
    chosen[candidates] = True
    theirs = chosen[labels]
    keys = labels[theirs].astype(np.int64) * 256 + alpha[theirs]
    keys.sort()
    starts = np.searchsorted(keys, candidates * 256)
    sizes = np.searchsorted(keys, (candidates + 1) * 256) - starts
    halves = np.full(count + 1, 256, np.float32)
    halves[candidates] = (keys[starts + _rank(sizes)] % 256) / 2
    return halves


def _climbs(background: Bool, labels: Int32, bright: Bool, candidates: Indices) -> Float64:
    """Return, for each candidate, in how many pixels alpha climbs from the background to half of its level.

    It is the median over the candidate's pixels that touch the background; 0 where none does.
    """
    border = ndimage.binary_dilation(background, _EIGHT_NEIGHBOURS) & (labels > 0)
    owners = labels[border]
    climb = 1 + ndimage.distance_transform_edt(~bright)[border]
    touching = np.isin(candidates, owners)
    climbs = np.zeros(len(candidates))
    if touching.any():
        climbs[touching] = ndimage.median(climb, owners, candidates[touching])
    return climbs
