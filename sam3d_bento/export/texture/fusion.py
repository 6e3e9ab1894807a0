"""Fuse the colours of mesh and splats: how much of their difference is taken is measured on splats held out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import ndtr

from sam3d_bento.arrays import Bool, Float32, Floats
from sam3d_bento.export.texture.mesh_source import MeshSource, NearestHits
from sam3d_bento.export.texture.splat_source import Mixed, SplatSource

# Splats that are compared with their neighbours and with the mesh. Where splats know more in one place of a hundred, a
# few dozen of them show it. Where most of the errors lie at few borders between colours, these suffice to know them
# to a seventh.
SAMPLE_SPLATS = 10_000

# sRGB levels between mesh and splats, the largest of three channels, that separate the classes in which a share is
# measured; and the levels at which it holds, with straight lines between them.
CLASS_LEVELS = (0.0, 6.0, 12.0, 24.0, 48.0, 256.0)
SHARE_LEVELS = (3.0, 9.0, 17.0, 34.0, 70.0)
LEAST_IN_CLASS = 10  # splats; a class with fewer takes the share of the class below it

# A share counts less so many of its standard errors, and not at all if that is below LEAST_SHARE: then it is noise.
STANDARD_ERRORS = 1.0
LEAST_SHARE = 0.1

# `auto` takes so much of the splats that its squared error becomes this share of what was measured for splats alone: it
# is then not worse than either source, and otherwise as close as possible to the dense mesh, whose colours may be meant
# as they are. The rest is for the error of the measurement.
WANTED_SHARE = 0.85

# Where splats are held out, the nearest one is missing. So a share falls short of 1 by this much of what is measured.
SHORTFALL = 0.9

# Splats with less noise than this, in squared levels (a deviation of 2 % of white), are taken as they are where that is
# as close as a share of them. With more noise, all of it would be taken as well.
QUIET = 25.0

# A splat is an outlier when it is this many sRGB levels, and this many deviations of the splats' noise, from both the
# mesh and the mean of the other splats, and fewer of them agree with it. It says nothing. At the border of two colours,
# the mean is far from both, but splats agree: what the sources miss there is most of their error.
OUTLIER_LEVELS = 40.0
OUTLIER_DEVIATIONS = 4.0
OUTLIER_AGREEING_SHARE = 0.25

# Median of the mean square of three normally distributed numbers: a third of that of chi-squared with three degrees.
MEDIAN_SQUARE = 0.7887

LEVELS = np.arange(256, dtype=np.float64)  # sRGB


class Fusion:
    """Colours of the mesh, corrected by a share of what the splats say otherwise.

    The true colours are unknown, but a splat that was held out has its own noise, which is that of no other. So the
    share w at which mesh + w (others - mesh) is closest to it, is also the share at which that is closest to the truth.
    The shares are measured by least squares in classes of the difference, because small differences are mostly noise
    and large ones mostly detail that the mesh lacks. Noise that is cut off at black and white moves the mean of splats;
    both are therefore compared as if cut off.
    """

    def __init__(self, mesh: MeshSource, splats: SplatSource) -> None:
        self._mesh = mesh
        self._splats = splats
        which = np.arange(len(splats))[:: max(1, len(splats) // SAMPLE_SPLATS)]
        colours, normals, distances = mesh.look_up_nearest(splats.positions[which])
        others, agreeing = splats.colours_without_own(which, normals, colours)
        own = splats.given[which].astype(np.float32)
        fair = (distances < splats.spacing) & (others.trust > 0.5)
        self.splat_noise = _noise(own[fair], others.colours[fair], others.count[fair]) if fair.any() else 0.0
        fair &= ~_outliers(own, colours, others.colours, agreeing, self.splat_noise)
        true, known, mixed = (values[fair].astype(np.float64) for values in (own, colours, others.colours))
        self._clipped = _clipped_means(self.splat_noise)
        expected = self._clip(known)
        wanted, offered = true - expected, mixed - expected
        self.shares = _measure_shares(wanted, offered)
        if self.splat_noise < QUIET and len(true):
            fused = self._share(offered)[:, None] * offered
            if _better_alone(wanted, offered, fused):
                self.shares = [1.0] * len(SHARE_LEVELS)
        fused = self._share(offered)[:, None] * offered
        left = (wanted, wanted - offered, wanted - fused)
        errors = (float(np.square(off).mean()) if len(true) else 0.0 for off in left)
        # Mean squared errors of the mesh, of the splats alone, and of both fused. The noise of the splats they are
        # compared with is no error of theirs.
        self.mesh_error, self.splat_error, self.fused_error = (max(error - self.splat_noise, 0.0) for error in errors)

    @property
    def needed_part(self) -> float:
        """Part of the correction, 0 to 1, that makes the colours as good as those of the better source.

        A part p of it removes 2 p - p² of the squared error that all of it removes (see WANTED_SHARE).
        """
        gain = self.mesh_error - self.fused_error
        needed = self.mesh_error - WANTED_SHARE * self.splat_error
        return float(1 - np.sqrt(1 - min(max(needed, 0) / gain, 1))) if gain > 0 else 0.0

    def take_part(self, part: float) -> None:
        """Take only this part, 0 to 1, of the correction from now on."""
        self.shares = [part * share for share in self.shares]

    def colours(self, points: Float32, normals: Float32, hits: NearestHits | None = None) -> Float32:
        """Look up fused colours (N, 3) sRGB 0..255 at points (N, 3) with unit normals (N, 3).

        hits: where the points are on the mesh, if it is known.
        """
        mesh, found = self._look_up(points, normals, hits)
        expected = self._clip(mesh)
        offered = found.colours - expected
        share = self._share(offered) * found.trust
        # Back from what noise cuts off to the colour that it is the mean of.
        fused = np.interp(expected + share[:, None] * offered, self._clipped, LEVELS)
        return np.where(share[:, None] > 0, fused, mesh).astype(np.float32)

    def colours_from_splats(self, points: Float32, normals: Float32, hits: NearestHits | None = None) -> Float32:
        """Look up colours of the splats alone, as in `colours`; of the mesh where splats have too little weight."""
        mesh, found = self._look_up(points, normals, hits)
        mixed: Float32 = mesh + found.trust[:, None].astype(np.float32) * (found.colours - mesh)
        return mixed

    def _look_up(self, points: Float32, normals: Float32, hits: NearestHits | None) -> tuple[Float32, Mixed]:
        """Look up the mesh's colours (N, 3) and those of the splats."""
        mesh = self._mesh.colours(points, normals, hits)
        return mesh, self._splats.colours(points, normals, mesh)

    def _clip(self, colours: Floats) -> Floats:
        """Return the means (N, 3) that the splats of such colours would have."""
        means: Floats = np.interp(colours, LEVELS, self._clipped)
        return means

    def _share(self, offered: Floats) -> Floats:
        """Return the share (N,) to take of the differences (N, 3) between splats and mesh."""
        shares: Floats = np.interp(np.abs(offered).max(axis=1, initial=0), SHARE_LEVELS, self.shares)
        return shares


def _outliers(own: Floats, mesh: Floats, others: Floats, agreeing: Floats, noise: float) -> Bool:
    """Return (N,) bool: whether a splat's own colour is far from the mesh's and from those of the others near it.

    own, mesh, others (N, 3): colours. agreeing (N,): share of the others that agree with it. noise: of the splats.
    """
    least = max(OUTLIER_LEVELS, OUTLIER_DEVIATIONS * float(np.sqrt(noise)))
    far: Bool = np.minimum(np.abs(own - mesh).max(axis=1), np.abs(own - others).max(axis=1)) > least
    return far & (agreeing < OUTLIER_AGREEING_SHARE)


def _noise(own: Floats, others: Floats, count: Floats) -> float:
    """Estimate the variance of a splat's colour in squared levels, from its difference to the mean of `count` others.

    The difference has the variance s + s / count. Where less than half of the surface has detail, the median does not
    see it.
    """
    squares = np.square(own - others).mean(axis=1) / (1 + 1 / count)
    return float(np.median(squares)) / MEDIAN_SQUARE


def _clipped_means(noise: float) -> Floats:
    """Return for each of the 256 levels the mean of a normal distribution around it that is cut off at 0 and 255."""
    deviation = np.sqrt(noise)
    if deviation < 1:
        return LEVELS
    low, high = -LEVELS / deviation, (255 - LEVELS) / deviation
    density = [np.exp(-0.5 * bound**2) / np.sqrt(2 * np.pi) for bound in (low, high)]
    means: Floats = LEVELS * (ndtr(high) - ndtr(low)) + deviation * (density[0] - density[1]) + 255 * ndtr(-high)
    return means


def _better_alone(wanted: Floats, offered: Floats, fused: Floats) -> bool:
    """Return whether all of what is offered (N, 3) is as close to what is wanted as the fused part is.

    The held-out splats are missed where they are compared, so others alone are better than they seem: by a standard
    error, they may be worse.
    """
    lead = (np.square(wanted - offered) - np.square(wanted - fused)).mean(axis=1)
    error = float(lead.std()) / float(np.sqrt(len(lead)))
    return float(lead.mean()) <= error


def _measure_shares(wanted: Floats, offered: Floats) -> list[float]:
    """Return the share of `offered` (N, 3) that is closest to `wanted` (N, 3) in each class, less its error."""
    size = np.abs(offered).max(axis=1, initial=0)
    shares: list[float] = []
    for low, high in pairwise(CLASS_LEVELS):
        there = (size >= low) & (size < high)
        some, theirs = wanted[there], offered[there]
        energy = float(np.square(theirs).sum())
        if len(some) < LEAST_IN_CLASS or not energy:
            shares.append(shares[-1] if shares else 0.0)
            continue
        share = float((some * theirs).sum()) / energy
        error = float(np.sqrt(np.square(((some - share * theirs) * theirs).sum(axis=1)).sum())) / energy
        sure = share - STANDARD_ERRORS * error
        shares.append(1 - SHORTFALL * (1 - min(sure, 1.0)) if sure > LEAST_SHARE else 0.0)
    return shares
