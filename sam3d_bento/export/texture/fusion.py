"""Fuse the colours of mesh and splats, each weighted by an error that is measured on the data itself."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Float32
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.texture.splat_source import NEIGHBOURS, SplatSource

SAMPLE_SPLATS = 4_000  # splats that are compared with their neighbours and with the mesh

# Share of the mesh's squared error that fusing must be expected to remove. A third is 1.8 dB; fusing doubles the time
# of a bake.
MIN_ERROR_REDUCTION = 1 / 3


class Fusion:
    """Mean of the mesh's and the splats' colour, each weighted by one over its squared error.

    The true colours are unknown, but splats can be compared with each other. Let a splat have noise of variance s. A
    mean of n other splats differs from it by s + s/n. The mesh differs from it by s + m, where m is the mesh's own
    squared error. So two measured differences give s and m. Detail that the splats agree upon and the mesh lacks counts
    as error of the mesh. Differences between single splats count as noise.
    """

    def __init__(self, mesh: MeshSource, splats: SplatSource) -> None:
        self._mesh = mesh
        self._splats = splats
        which = np.arange(len(splats))[:: max(1, len(splats) // SAMPLE_SPLATS)]
        places = splats.positions[which]
        colours, normals, distances = mesh.look_up_nearest(places)
        others = splats.colours_without_own(which, normals)
        fair = (distances < splats.spacing) & (others.trust > 0.5)
        own = splats.given[which].astype(np.float32)

        def compute_mean_square(values: Float32) -> float:
            """Return the mean squared difference from the splats' own colours."""
            return float(np.square(own - values)[fair].mean()) if fair.any() else np.inf

        self.splat_noise = 0.0
        self.mesh_error = 0.0
        if fair.any():
            share = float((1 / others.count[fair]).mean())
            self.splat_noise = compute_mean_square(others.colours) / (1 + share)
            self.mesh_error = max(compute_mean_square(colours) - self.splat_noise, 0.0)

    @property
    def worthwhile(self) -> bool:
        """Whether splats are expected to lower the error of the mesh's colours by MIN_ERROR_REDUCTION."""
        typical = self.splat_noise / (NEIGHBOURS / 2)
        return self.mesh_error > MIN_ERROR_REDUCTION * (self.mesh_error + typical) and self.mesh_error > 0

    def colours(self, points: Float32, normals: Float32) -> Float32:
        """Look up fused colours (N, 3) sRGB 0..255 at points (N, 3) with unit normals (N, 3)."""
        found = self._splats.colours(points, normals)
        noise = self.splat_noise / found.count
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(self.mesh_error > 0, self.mesh_error / (self.mesh_error + noise), 0)
        return self._mix(points, normals, found.colours, share * found.trust)

    def colours_from_splats(self, points: Float32, normals: Float32) -> Float32:
        """Look up colours of the splats alone, as in `colours`; of the mesh where splats have too little weight."""
        found = self._splats.colours(points, normals)
        return self._mix(points, normals, found.colours, found.trust)

    def _mix(self, points: Float32, normals: Float32, splats: Float32, share: Float32) -> Float32:
        """Mix the splats' colours (N, 3) with those of the mesh; share (N,) 0..1: the weight of the splats."""
        mesh = self._mesh.colours(points, normals)
        mixed: Float32 = mesh + share[:, None].astype(np.float32) * (splats - mesh)
        return mixed
