"""Choose where the texture's colours come from: the dense mesh, the splats, or both."""

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
    """Source of the texture's colours.

    name: `mesh`, `splats` or `fused`. colours: returns (N, 3) float32 sRGB 0..255 for points on the surface and its
    unit normals there, both (N, 3) float32, and for the points' hits on the mesh, if these are known. Several threads
    may call it at once. mesh: the dense surface.
    """

    name: str
    colours: Callable[..., Float32]
    mesh: MeshSource


def choose_source(dense: Surface, splats: Splats | None, colour_source: str) -> ColourSource:
    """Choose a colour source: `mesh`, `splats`, `fused`, or `auto`.

    `auto` fuses both as far as it takes to be no worse than the splats, and takes the mesh where that is better.
    Without usable splats, the source is the mesh for every choice.
    """
    mesh = MeshSource(dense)
    if splats is None or colour_source == "mesh":
        return ColourSource("mesh", mesh.colours, mesh)
    source = SplatSource(splats)
    if not len(source):
        return ColourSource("mesh", mesh.colours, mesh)
    fusion = Fusion(mesh, source)
    if colour_source == "auto":
        part = fusion.needed_part
        if not part:
            return ColourSource("mesh", mesh.colours, mesh)
        fusion.take_part(part)
    source.prepare()
    if colour_source == "splats":
        return ColourSource("splats", fusion.colours_from_splats, mesh)
    return ColourSource("fused", fusion.colours, mesh)
