"""Where the texture's colours come from: the dense mesh, the splats, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sam3d_bento.arrays import Float32
from sam3d_bento.export.mesh.surface import Surface
from sam3d_bento.export.texture.fusion import Fusion
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.texture.splat_source import SplatSource
from sam3d_bento.reconstruction import Splats


@dataclass(frozen=True)
class ColourSource:
    """name: `mesh`, `splats` or `fused`. colours: gives (N, 3) float32 sRGB 0..255 for points on the surface and its
    unit normals there, both (N, 3) float32; it may be called from several threads."""

    name: str
    colours: Callable[[Float32, Float32], Float32]


def choose_source(dense: Surface, splats: Splats | None, colour_source: str) -> ColourSource:
    """colour_source: `mesh`, `splats`, `fused`, or `auto`, which takes both where the splats know more than the mesh.
    Without usable splats it is `mesh`, whatever was asked for."""
    mesh = MeshSource(dense)
    if splats is None or colour_source == "mesh":
        return ColourSource("mesh", mesh.colours)
    source = SplatSource(splats)
    if not len(source):
        return ColourSource("mesh", mesh.colours)
    fusion = Fusion(mesh, source)
    if colour_source == "auto" and not fusion.worthwhile:
        return ColourSource("mesh", mesh.colours)
    source.prepare()
    if colour_source == "splats":
        return ColourSource("splats", fusion.splats_first)
    return ColourSource("fused", fusion.colours)
