"""Mesh and splats together: how far to believe each, measured on the data itself."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Float32
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.texture.splat_source import NEIGHBOURS, SplatSource

SAMPLE = 4_000  # splats that are asked what their neighbours and what the mesh say of them

# Fusing pays when it is expected to lower the mesh's squared error by a third, 1.8 dB; it doubles the time of a bake.
WORTHWHILE = 1 / 3


class Fusion:
    """The mean of the mesh's and the splats' colour, each weighted by one over its squared error.

    Nobody knows the true colours, but splats can be held against each other. Let a splat have noise of variance s.
    A mean of n others differs from it by s + s/n, the mesh by s + m: two measured differences give s, and m, the mesh's
    own squared error. What the splats agree upon and the mesh does not have counts as the mesh's error; what each of
    them says for itself counts as noise.
    """

    def __init__(self, mesh: MeshSource, splats: SplatSource) -> None:
        self._mesh = mesh
        self._splats = splats
        which = np.arange(len(splats))[:: max(1, len(splats) // SAMPLE)]
        places = splats.positions[which]
        colours, normals, off = mesh.nearby(places)
        others = splats.colours_without_own(which, normals)
        fair = (off < splats.spacing) & (others.trust > 0.5)
        own = splats.given[which].astype(np.float32)

        def squared(values: Float32) -> float:
            return float(np.square(own - values)[fair].mean()) if fair.any() else np.inf

        self.splat_noise = 0.0
        self.mesh_error = 0.0
        if fair.any():
            share = float((1 / others.count[fair]).mean())
            self.splat_noise = squared(others.colours) / (1 + share)
            self.mesh_error = max(squared(colours) - self.splat_noise, 0.0)

    @property
    def worthwhile(self) -> bool:
        """Whether splats would lower the error of the mesh's colours by enough."""
        typical = self.splat_noise / (NEIGHBOURS / 2)
        return self.mesh_error > WORTHWHILE * (self.mesh_error + typical) and self.mesh_error > 0

    def colours(self, points: Float32, normals: Float32) -> Float32:
        """(N, 3) sRGB 0..255 at points (N, 3) with unit normals (N, 3)."""
        found = self._splats.colours(points, normals)
        noise = self.splat_noise / found.count
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(self.mesh_error > 0, self.mesh_error / (self.mesh_error + noise), 0)
        return self._mixed(points, normals, found.colours, share * found.trust)

    def splats_first(self, points: Float32, normals: Float32) -> Float32:
        """As `colours`, of splats alone, except where there are none to speak of."""
        found = self._splats.colours(points, normals)
        return self._mixed(points, normals, found.colours, found.trust)

    def _mixed(self, points: Float32, normals: Float32, splats: Float32, share: Float32) -> Float32:
        mesh = self._mesh.colours(points, normals)
        mixed: Float32 = mesh + share[:, None].astype(np.float32) * (splats - mesh)
        return mixed
