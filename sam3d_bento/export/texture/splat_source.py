"""Look up colours in Gaussian splats."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce

import numpy as np
from scipy.spatial import cKDTree

from sam3d_bento.arrays import Float32, Indices, UInt8
from sam3d_bento.export.grouping import first_equal, stable_order
from sam3d_bento.export.mesh.surface import lengths
from sam3d_bento.reconstruction import Splats

# Splats that a colour is mixed of, the nearest; 12 are 0.5 dB better where noise rules, and as much worse elsewhere.
NEIGHBOURS = 8

# In units of the spacing of the splats: by how much each footprint is widened, so that splats narrower than their
# spacing leave no holes between them; and how far in front of or behind a surface a splat may lie and still colour it,
# which keeps the back of a thin part off its front.
WIDENING = 0.35
DEPTH = 1.5

FAINT = 0.05  # a total weight of this makes a colour count by half; one splat, opaque and in place, has 1

SMALLEST_SPACING = 1e-6  # scene units; all splats in one place have none

# Splats in one cube of this edge, in scene units, count as lying in one place: the object is 1 wide, and SAM 3D's
# splats are a thousandth apart. A search for neighbours looks at all splats in a place, which takes hours where a
# decoder has put all of them into one. So a place keeps the most opaque of its splats: as many as a colour is mixed of,
# and one more, for a splat is held against the others.
PLACE_EDGE = 1e-6
MAX_IN_ONE_PLACE = NEIGHBOURS + 1
LAST_PLACE = 1 << 30  # places from the origin, along an axis; what is a thousand objects away shares the last one
# Splats looked at first, which takes milliseconds. A place that holds one splat of 2,000 has eight of them on average;
# places with fewer do not make a search slow. More than three are no accident: one splat may be drawn twice.
PLACE_SAMPLE = 1 << 14
MAX_IN_SAMPLE = 3

FARTHEST = 1e6  # scene units from the origin: what lies beyond colours nothing, and its squares exceed a float32

# A splat fainter than this share of the median opacity, or larger than so many median sizes, is not part of a surface.
LEAST_OPACITY_SHARE = 0.1
LARGEST_SIZE = 8.0
MEDIAN_SAMPLE = 20_000  # splats, about, that medians are taken of; their limits are far coarser than the error

# sRGB levels, the largest of three channels, within which two colours agree; twice the deviation of noisy splats. A
# splat far from the colour expected at a point counts only if others agree with it, of this share of their weight.
AGREEMENT_LEVELS = 40.0
AGREEING_SHARE = 0.25

SLICE = 1 << 14  # points mixed at a time: their neighbours fit in the processor's cache


@dataclass(frozen=True)
class Mixed:
    """Colours mixed from splats.

    colours (N, 3) float32 sRGB 0..255; trust (N,) float32 0..1, by how much weight there was at all; count (N,)
    float32, of how many equal splats the mean has the noise: (sum w)² / sum w², Kish's effective sample size.
    """

    colours: Float32
    trust: Float32
    count: Float32


class SplatSource:
    """Colour source that mixes the splats near a point, weighted by opacity and by each Gaussian at that point."""

    def __init__(self, splats: Splats) -> None:
        """Keep the usable splats. Others are not finite, too far away, transparent, without extent, or in a heap."""
        columns = (*splats.positions.T, *splats.scale.T, *splats.rotation.T, splats.opacity)
        with np.errstate(invalid="ignore"):
            # Column by column: numpy takes twenty times as long for a sum or an "all" over rows of three.
            usable = reduce(np.logical_and, map(np.isfinite, columns))
            usable = reduce(np.logical_and, (extent > 0 for extent in splats.scale.T), usable & (splats.opacity > 0))
            usable = reduce(np.logical_and, (np.abs(places) <= FARTHEST for places in splats.positions.T), usable)
            usable &= np.einsum("ij,ij->i", splats.rotation, splats.rotation) > 0
        some = splats if usable.all() else _some(splats, np.flatnonzero(usable))
        chosen = _without_clouds(_thinned(some))
        self._splats = replace(chosen, opacity=chosen.opacity.clip(0, 1))
        self.positions, self.given = self._splats.positions, self._splats.colours
        if len(self):
            self._tree = cKDTree(self.positions, balanced_tree=False, compact_nodes=False)
            self.spacing = self._typical_spacing()

    def __len__(self) -> int:
        return len(self.positions)

    def prepare(self) -> None:
        """Compute the footprints now, which otherwise the first call of `colours` does."""
        _ = self._all

    @cached_property
    def _all(self) -> _Footprints:
        return _Footprints.of(self._splats, WIDENING * self.spacing)

    def colours(self, points: Float32, normals: Float32, expected: Float32 | None = None) -> Mixed:
        """Mix the splats around points (N, 3) on the surface, without outliers.

        normals (N, 3): unit normals of the surface there. expected (N, 3) sRGB 0..255: its colours according to another
        source. A splat that agrees neither with these nor with other splats is an outlier; without them, none is.
        """
        near = self._near(points, first=1)
        return self._mixed(self._all, points, normals, near, expected)

    def colours_without_own(
        self, which: Indices, normals: Float32, expected: Float32 | None = None
    ) -> tuple[Mixed, Float32]:
        """Mix the other splats at the places of these, given by number (N,); the other arguments as in `colours`.

        Returns also which share (N,) of the others near it agrees with each splat's own colour.
        """
        points = self.positions.take(which, axis=0)
        near = self._near(points, first=2)
        off = np.abs(self.given.take(near, axis=0).astype(np.float32) - self.given.take(which, axis=0)[:, None])
        agreeing = (off.max(axis=2) <= AGREEMENT_LEVELS).mean(axis=1, dtype=np.float32)
        # The footprints of all splats take longer than the rest: a sample does not need them.
        used, place = np.unique(near, return_inverse=True)
        footprints = _Footprints.of(_some(self._splats, used), WIDENING * self.spacing)
        return self._mixed(footprints, points, normals, place.reshape(near.shape), expected), agreeing

    def _near(self, points: Float32, *, first: int) -> Indices:
        """Return the indices (N, NEIGHBOURS) of the nearest splats. first: 1, or 2 to skip the nearest one."""
        count = min(first - 1 + NEIGHBOURS, len(self))
        ranks = list(range(first, count + 1)) or [1]
        _, near = self._tree.query(points, k=ranks, workers=-1)
        found: Indices = near
        return found

    def _mixed(
        self, footprints: _Footprints, points: Float32, normals: Float32, near: Indices, expected: Float32 | None
    ) -> Mixed:
        """Mix the splats `near` (N, K) the points, some points at a time."""
        depth = DEPTH * self.spacing
        parts = [
            footprints.mixed(points[s], normals[s], near[s], None if expected is None else expected[s], depth)
            for s in _slices(len(points))
        ]
        return Mixed(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("colours", "trust", "count"))
        )

    def _typical_spacing(self) -> float:
        """Return the typical spacing of the splats: the edge of a square with the mean area of one splat.

        Eight other splats share the disc whose radius is the distance to the eighth neighbour. Takes the median over a
        sample.
        """
        others = min(8, len(self) - 1)
        if not others:
            return SMALLEST_SPACING
        sample = self.positions[:: max(1, len(self) // 2000)]
        distance, _ = self._tree.query(sample, k=[others + 1])
        return max(float(np.median(distance)) * float(np.sqrt(np.pi / others)), SMALLEST_SPACING)


@dataclass(frozen=True)
class _Footprints:
    """Arrays that are looked up by splat. shapes (G, 6): xx, yy, zz, xy, xz, yz of the inverse covariance."""

    positions: Float32
    colours: UInt8
    opacity: Float32
    shapes: Float32

    @classmethod
    def of(cls, splats: Splats, widening: float) -> _Footprints:
        """Return the footprints of splats that are widened by this length in all directions."""
        shapes = _inverse_covariances(splats.scale, splats.rotation, widening)
        return cls(splats.positions, splats.colours, splats.opacity, shapes)

    def mixed(self, points: Float32, normals: Float32, near: Indices, expected: Float32 | None, depth: float) -> Mixed:
        """Mix the colours at points (N, 3) from their neighbours `near` (N, K), within `depth` along the normal."""
        gap: Float32 = points[:, None] - self.positions.take(near, axis=0)
        x, y, z = gap[..., 0], gap[..., 1], gap[..., 2]
        shape = self.shapes.take(near, axis=0)
        exponent = shape[..., 0] * x * x + shape[..., 1] * y * y + shape[..., 2] * z * z
        exponent += 2 * (shape[..., 3] * x * y + shape[..., 4] * x * z + shape[..., 5] * y * z)
        weights = self.opacity.take(near) * np.exp(-0.5 * exponent)
        weights[np.abs(np.einsum("ikj,ij->ik", gap, normals)) > depth] = 0
        colours = self.colours.take(near, axis=0).astype(np.float32)
        if expected is not None:
            _reject_outliers(weights, colours, expected)
        total = weights.sum(axis=1)
        mean = np.einsum("ik,ikj->ij", weights, colours)
        with np.errstate(divide="ignore", invalid="ignore"):
            colours = np.where(total[:, None] > 0, mean / total[:, None], 0)
            count = np.where(total > 0, total**2 / np.einsum("ik,ik->i", weights, weights), 1)
        return Mixed(colours, total / (total + np.float32(FAINT)), count)


def _reject_outliers(weights: Float32, colours: Float32, expected: Float32) -> None:
    """Set the weights (N, K) of outliers to 0, in place.

    colours (N, K, 3): of the splats at each point. expected (N, 3): of another source at the point.
    """
    off = np.abs(colours - expected[:, None]).max(axis=2) > AGREEMENT_LEVELS
    rows = np.flatnonzero(off.any(axis=1))
    if not len(rows):
        return
    some, theirs = weights[rows], colours[rows]
    for one in np.flatnonzero(off.any(axis=0)):
        agree = np.abs(theirs - theirs[:, one, None]).max(axis=2) <= AGREEMENT_LEVELS
        others = some.sum(axis=1) - some[:, one]
        alone = (some * agree).sum(axis=1) - some[:, one] < AGREEING_SHARE * others
        weights[rows[off[rows, one] & alone], one] = 0


def _without_clouds(splats: Splats) -> Splats:
    """Return the splats without those that are far fainter or larger than most."""
    if not len(splats.positions):
        return splats
    size = reduce(np.maximum, splats.scale.T)
    sample = slice(None, None, 1 + len(size) // MEDIAN_SAMPLE)
    solid = splats.opacity >= LEAST_OPACITY_SHARE * np.median(splats.opacity[sample])
    solid &= size <= LARGEST_SIZE * np.median(size[sample])
    return splats if solid.all() else _some(splats, np.flatnonzero(solid))


def _some(splats: Splats, which: Indices) -> Splats:
    return Splats(*(getattr(splats, field.name).take(which, axis=0) for field in fields(splats)))


def _thinned(splats: Splats) -> Splats:
    """Return the splats without those that lie in one place with MAX_IN_ONE_PLACE that are no less opaque."""
    count = len(splats.positions)
    if count > PLACE_SAMPLE:
        sample = np.random.default_rng(0).integers(0, count, PLACE_SAMPLE)
        if _place_sizes(splats.positions.take(sample, axis=0))[1].max() <= MAX_IN_SAMPLE:
            return splats
    owner, sizes = _place_sizes(splats.positions)
    if sizes.max(initial=0) <= MAX_IN_ONE_PLACE:
        return splats
    order = np.argsort(-splats.opacity, kind="stable")
    order = order.take(stable_order(owner.take(order)))
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes).take(owner.take(order))
    return _some(splats, np.sort(order[rank < MAX_IN_ONE_PLACE]))


def _place_sizes(positions: Float32) -> tuple[Indices, Indices]:
    """Return the first splat in the place of each splat (N,), and how many are in each place (N,), by that number."""
    cells = np.empty(positions.shape, np.int32)
    for axis, places in enumerate(positions.T):
        cells[:, axis] = (places.astype(np.float64) / PLACE_EDGE).clip(-LAST_PLACE, LAST_PLACE)
    owner = first_equal(cells)
    return owner, np.bincount(owner, minlength=len(owner))


def _inverse_covariances(scale: Float32, rotation: Float32, widening: float) -> Float32:
    """Return (G, 6) xx, yy, zz, xy, xz, yz of the inverse of R diag(scale² + widening²) Rᵀ."""
    w, x, y, z = (rotation / lengths(rotation)[:, None]).T
    # Column by column: that is the sum, over the splat's own axes, of precision times axis axisᵀ.
    axes = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )
    inverse = np.zeros((len(scale), 6), dtype=np.float32)
    for (along_x, along_y, along_z), extent in zip(axes, scale.T, strict=True):
        with np.errstate(over="ignore"):  # a splat as wide as that is the same everywhere
            precision = 1 / (extent * extent + np.float32(widening) ** 2)
        px, py, pz = precision * along_x, precision * along_y, precision * along_z
        for place, product in enumerate(
            (px * along_x, py * along_y, pz * along_z, px * along_y, px * along_z, py * along_z)
        ):
            inverse[:, place] += product
    return inverse


def _slices(count: int) -> list[slice]:
    return [slice(first, first + SLICE) for first in range(0, count, SLICE)]
