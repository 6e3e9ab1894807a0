"""Continue the pattern of rings beyond what the photo shows of them.

Mirrored, a pattern turns back where sight ends: a wave gets a dent there. Where the pattern at that place looks like
that at another angle, it goes on as it does after that one (as videos are looped by similar frames in Schödl, Szeliski,
Salesin, Essa: Video Textures, SIGGRAPH 2000). The light is not carried along: it stays mirrored.
"""

from __future__ import annotations

from math import pi, radians
from typing import TypeVar

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Float64

FloatsOrBools = TypeVar("FloatsOrBools", Float32, Bool)

STEPS = 720  # around a ring, at which patterns are compared
RADIANS_PER_STEP = 2 * pi / STEPS

WINDOW = radians(30)  # over which the patterns at two angles are compared
MIN_SHIFT = radians(12)  # between them: less would repeat what is drawn out at the end of sight

# Mean square difference of two patterns, by the sum of their squares, up to which they are alike, and from which they
# are not. A wave and labels had 0.04 to 0.38; patterns that do not repeat, 1.0 to 1.7 after the first 30 degrees.
MAX_MISMATCH = 0.5
UNLIKE = 0.8

# Of angles that are so nearly as good as the best, the farthest is taken: near the end of sight the photo is drawn out.
NEARLY_BEST = 0.05

MIN_CONTRAST = 3.0  # root mean square of a pattern in sRGB below which there is none
FADE = radians(6)  # over which one source of a pattern gives way to another
LIGHT_BLUR = radians(10)  # standard deviation of the blur around the ring that leaves the light
MAX_GAIN = 1.5  # by which the light of two angles may differ


def continue_pattern(colours: Float32, angles: Float64, known: Bool) -> Float32:
    """Return the colours (N, A, 3) of N rings with the pattern continued where it is not `known` (N, A) bool.

    colours: sRGB 0..255, mirrored where they are not known. angles (A,): in radians, rising from 0, which is in the
    middle of what is known, to less than 2 pi. Returns the same colours where no place looks like the end of sight.
    """
    steps = np.arange(STEPS) * RADIANS_PER_STEP
    place = np.interp(steps, np.append(angles, angles[0] + 2 * pi), np.arange(len(angles) + 1))
    even = _sample_around(colours, place)
    seen = known[:, np.rint(place).astype(int) % len(angles)]
    # Seen from behind, right is left.
    right, left = _extend(even, seen), _extend(_flip(even), _flip(seen))
    if right is None and left is None:
        return colours
    joined = _join(even if right is None else right, even if left is None else _flip(left), seen)
    continued = _sample_around(joined, np.interp(angles, np.append(steps, 2 * pi), np.arange(STEPS + 1)))
    return np.where(known[:, :, None], colours, continued)


def _sample_around(values: Float32, place: Float64) -> Float32:
    """Sample values (N, A, 3) around the rings at places (K,) counted from the first; return (N, K, 3)."""
    start = np.floor(place).astype(int)
    share = (place - start).astype(np.float32)[:, None]
    count = values.shape[1]
    between: Float32 = (1 - share) * values[:, start % count] + share * values[:, (start + 1) % count]
    return between


def _flip(values: FloatsOrBools) -> FloatsOrBools:
    """Return values (N, STEPS, ...) around the rings in the other direction; the first stays in place."""
    return np.roll(values[:, ::-1], 1, axis=1)


def _extend(colours: Float32, seen: Bool) -> Float32 | None:
    """Continue colours (N, STEPS, 3) from the left to the right where they are not `seen` (N, STEPS) bool.

    None where no place looks like the end of sight.
    """
    end = int(np.median((~seen[:, : STEPS // 2]).argmax(1)))
    if 2 * end * RADIANS_PER_STEP < WINDOW + MIN_SHIFT:  # too little of the rings is seen
        return None
    light = _estimate_light(colours, seen, end)
    shift = _find_shift(colours / light[:, None], seen, end)
    if not shift:
        return None
    rows = np.arange(len(colours))[:, None]
    source = np.broadcast_to(np.arange(STEPS), seen.shape)
    for _ in range(STEPS // shift):
        source = np.where(seen[rows, source], source, (source - shift) % STEPS)
    gain = np.clip(light / light[source], 1 / MAX_GAIN, MAX_GAIN)[:, :, None]
    # The two places are alike, not equal: at first the mirrored pattern shows through.
    beyond = np.arange(STEPS) - np.maximum.accumulate(np.where(seen, np.arange(STEPS), 0), axis=1)
    share = np.minimum(beyond * (RADIANS_PER_STEP / FADE), 1).astype(np.float32)[:, :, None]
    extended: Float32 = (1 - share) * colours + share * gain * colours[rows, source]
    return extended


def _estimate_light(colours: Float32, seen: Bool, end: int) -> Float32:
    """Estimate how bright each angle is by the mean of its ring, as most rings have it; return (STEPS,).

    colours (N, STEPS, 3); seen (N, STEPS) bool. Beyond the step `end` on either side the light is mirrored.
    """
    grey = colours.mean(2) + 1
    mean = (grey * seen).sum(1) / np.maximum(seen.sum(1), 1)
    turn = np.arange(-end, end)
    middle = np.median((grey / mean[:, None])[:, turn], 0)
    smooth = ndimage.gaussian_filter1d(middle, LIGHT_BLUR / RADIANS_PER_STEP, mode="nearest")
    around = np.where(np.arange(STEPS) > STEPS // 2, np.arange(STEPS) - STEPS, np.arange(STEPS))
    mirrored = np.sign(around) * end * (STEPS / 2 - np.abs(around)) / (STEPS / 2 - end)
    light: Float32 = np.interp(np.where(np.abs(around) > end, mirrored, around), turn, smooth).astype(np.float32)
    return light


def _find_shift(colours: Float32, seen: Bool, end: int) -> int:
    """Find how many steps to the left the pattern looks like that before `end`; 0 for nowhere.

    colours (N, STEPS, 3), freed from the light; seen (N, STEPS) bool.
    """
    known = seen[:, :, None]
    mean = (colours * known).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    pattern = (colours - mean) * known
    width = round(WINDOW / RADIANS_PER_STEP)
    here = np.arange(end - width, end)
    shifts = np.arange(round(MIN_SHIFT / RADIANS_PER_STEP), 2 * end - width)
    mismatch = np.zeros(len(shifts))
    for index, shift in enumerate(shifts):
        there = (here - shift) % STEPS
        both = known[:, here] & known[:, there]
        one, other = pattern[:, here] * both, pattern[:, there] * both
        power = float(np.square(one).sum() + np.square(other).sum())
        if power > 2 * MIN_CONTRAST**2 * np.count_nonzero(both):
            mismatch[index] = np.square(one - other).sum() / power
    # Alike again after it was not: near angles are alike in any pattern, and all angles of a plain side.
    lowest = np.flatnonzero(mismatch == ndimage.minimum_filter1d(mismatch, width // 2))
    lowest = lowest[(np.maximum.accumulate(mismatch)[lowest] > UNLIKE) & (mismatch[lowest] < MAX_MISMATCH)]
    if not len(lowest):
        return 0
    return int(shifts[lowest[mismatch[lowest] < mismatch[lowest].min() + NEARLY_BEST][-1]])


def _join(right: Float32, left: Float32, seen: Bool) -> Float32:
    """Join what was continued from either side, both (N, STEPS, 3), at the angle behind at which they differ least."""
    fade = round(FADE / RADIANS_PER_STEP)
    apart = ndimage.uniform_filter1d(np.square(right - left).sum((0, 2)), 2 * fade)
    behind = np.flatnonzero(~ndimage.binary_dilation(seen.any(0), iterations=fade))
    seam = int(behind[np.argmin(apart[behind])]) if len(behind) else STEPS // 2
    share = np.clip((np.arange(STEPS) - seam) / (2 * fade) + 0.5, 0, 1).astype(np.float32)[:, None]
    joined: Float32 = (1 - share) * right + share * left
    return joined
