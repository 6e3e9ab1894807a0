"""Gaussian splats as a place to look colours up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sam3d_bento.export.surface import Indices
from sam3d_bento.reconstruction import Float32, Splats

NEIGHBOURS = (
    8  # splats that a colour is mixed of, the nearest; 12 are 0.5 dB better where noise rules, and as much worse
)

# In units of the spacing of the splats: by how much each footprint is widened, so that splats narrower than their
# spacing leave no holes between them; and how far in front of or behind a surface a splat may lie and still colour it,
# which keeps the back of a thin part off its front.
WIDENING = 0.35
DEPTH = 1.5

FAINT = 0.05  # a total weight of this makes a colour count by half; one splat, opaque and in place, has 1

SMALLEST_SPACING = 1e-6  # scene units; all splats in one place have none

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
    """The weighted mean of the splats around a point, by opacity and by the gaussian of each at that point."""

    def __init__(self, splats: Splats) -> None:
        """Splats that are not finite, transparent, or of no extent or direction are left out."""
        numbers = (splats.positions, splats.scale, splats.rotation, splats.opacity[:, None])
        with np.errstate(invalid="ignore"):
            usable = np.logical_and.reduce([np.isfinite(array).all(axis=1) for array in numbers])
            usable &= (splats.opacity > 0) & (splats.scale > 0).all(axis=1)
            usable &= np.einsum("ij,ij->i", splats.rotation, splats.rotation) > 0
        self.positions = splats.positions[usable]
        self.given = splats.colours[usable]
        self._opacity = splats.opacity[usable].clip(0, 1)
        if not len(self.positions):
            return
        self._tree = cKDTree(self.positions, balanced_tree=False, compact_nodes=False)
        self.spacing = self._typical_spacing()
        self._shapes = _inverse_covariances(splats.scale[usable], splats.rotation[usable], WIDENING * self.spacing)

    def __len__(self) -> int:
        return len(self.positions)

    def colours(self, points: Float32, normals: Float32) -> Mixed:
        """points (N, 3) on the surface and its unit normals there (N, 3), both float32."""
        return self._mixed(points, normals, first=1)

    def colours_without_own(self, which: Indices, normals: Float32) -> Mixed:
        """What the other splats say at the places of these ones, given by number (N,); normals (N, 3) as above."""
        return self._mixed(self.positions[which], normals, first=2)

    def _mixed(self, points: Float32, normals: Float32, *, first: int) -> Mixed:
        count = min(first - 1 + NEIGHBOURS, len(self))
        ranks = list(range(first, count + 1)) or [1]
        _, near = self._tree.query(points, k=ranks, workers=-1)
        parts = [self._weighed(points[s], normals[s], near[s]) for s in _slices(len(points))]
        return Mixed(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("colours", "trust", "count"))
        )

    def _weighed(self, points: Float32, normals: Float32, near: Indices) -> Mixed:
        gap: Float32 = points[:, None] - self.positions.take(near, axis=0)
        x, y, z = gap[..., 0], gap[..., 1], gap[..., 2]
        shape = self._shapes.take(near, axis=0)
        exponent = shape[..., 0] * x * x + shape[..., 1] * y * y + shape[..., 2] * z * z
        exponent += 2 * (shape[..., 3] * x * y + shape[..., 4] * x * z + shape[..., 5] * y * z)
        weights = self._opacity.take(near) * np.exp(-0.5 * exponent)
        depth = np.einsum("ikj,ij->ik", gap, normals)
        weights[np.abs(depth) > DEPTH * self.spacing] = 0
        total = weights.sum(axis=1)
        mean = np.einsum("ik,ikj->ij", weights, self.given.take(near, axis=0).astype(np.float32))
        with np.errstate(divide="ignore", invalid="ignore"):
            colours = np.where(total[:, None] > 0, mean / total[:, None], 0)
            count = np.where(total > 0, total**2 / np.einsum("ik,ik->i", weights, weights), 1)
        return Mixed(colours, total / (total + np.float32(FAINT)), count)

    def _typical_spacing(self) -> float:
        """The edge of the square that each splat has to itself: by the distance to its eighth neighbour, since eight
        others share the disc of that radius; the median over a sample."""
        others = min(8, len(self) - 1)
        if not others:
            return SMALLEST_SPACING
        sample = self.positions[:: max(1, len(self) // 2000)]
        distance, _ = self._tree.query(sample, k=[others + 1])
        return max(float(np.median(distance)) * float(np.sqrt(np.pi / others)), SMALLEST_SPACING)


def _inverse_covariances(scale: Float32, rotation: Float32, widening: float) -> Float32:
    """(G, 6) xx, yy, zz, xy, xz, yz of the inverse of R diag(scale² + widening²) Rᵀ."""
    w, x, y, z = (rotation / np.linalg.norm(rotation, axis=1, keepdims=True)).T
    axes = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], axis=1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], axis=1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1),
        ],
        axis=1,
    )
    precision = 1 / (scale.astype(np.float64) ** 2 + widening**2)
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    inverse = [np.einsum("ij,ij,ij->i", axes[:, row], precision, axes[:, column]) for row, column in pairs]
    return np.stack(inverse, axis=1).astype(np.float32)


def _slices(count: int) -> list[slice]:
    return [slice(first, first + SLICE) for first in range(0, count, SLICE)]
