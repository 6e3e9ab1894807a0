"""Paint the texture of a simplified mesh with the colours of the dense one, of the splats, or of both."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np

from sam3d_bento.export import raster
from sam3d_bento.export.fill import fill
from sam3d_bento.export.fusion import Fusion
from sam3d_bento.export.source import MeshSource
from sam3d_bento.export.splat_source import SplatSource
from sam3d_bento.export.surface import Surface, mix, unit
from sam3d_bento.progress import Tick, silent
from sam3d_bento.reconstruction import Float32, Int32, Splats, UInt8


def bake(
    positions: Float32,
    normals: Float32,
    uv: Float32,
    faces: Int32,
    dense: Surface,
    size: int,
    tick: Tick = silent,
    *,
    splats: Splats | None = None,
    colour_source: str = "auto",
) -> tuple[UInt8, str]:
    """The base-colour texture, (size, size, 3) uint8 sRGB, row 0 where uv's second coordinate is 0; and its source.

    positions, normals (N, 3) and uv (N, 2) float32, faces (F, 3) int32: the mesh with its seams split.
    colour_source: `mesh`, `splats`, `fused`, or `auto`, which chooses between the first and the last; without usable
    splats it is `mesh` whatever was asked for. Returned is the one that was used.
    Texels that no face covers are filled so that no mip level bleeds (see `fill`).

    Colours are mixed as sRGB: so were they, between vertices and between splats, when the network learned them. Photos
    sampled at the vertices of a grid come back 0.4 to 2 dB closer than mixed as light, which also brightens the mean
    by up to 1.2 of 255.
    """
    colours, used = _source(dense, splats, colour_source)
    image = np.zeros((size * size, 3), dtype=np.uint8)
    painted = np.zeros(size * size, dtype=bool)
    corners_of = np.concatenate([positions, normals], axis=1)
    batches = chain(raster.inside(uv, faces, size), raster.around(uv, faces, size, painted))
    done = 0
    for texels in batches:
        tick(min(done / painted.size, 1.0))
        done += len(texels.index)
        places = mix(texels.weights, corners_of, faces[texels.faces])
        found = colours(np.ascontiguousarray(places[:, :3]), unit(places[:, 3:]))
        image[texels.index] = np.rint(found).astype(np.uint8)
        painted[texels.index] = True
    return fill(image.reshape(size, size, 3), painted.reshape(size, size)), used


def _source(
    dense: Surface, splats: Splats | None, colour_source: str
) -> tuple[Callable[[Float32, Float32], Float32], str]:
    """What gives (N, 3) sRGB 0..255 for points and normals, and which of `mesh`, `splats` and `fused` it is."""
    mesh = MeshSource(dense)
    if splats is None or colour_source == "mesh":
        return mesh.colours, "mesh"
    source = SplatSource(splats)
    if not len(source):
        return mesh.colours, "mesh"
    fusion = Fusion(mesh, source)
    if colour_source == "splats":
        return fusion.splats_first, "splats"
    if colour_source == "auto" and not fusion.worthwhile:
        return mesh.colours, "mesh"
    return fusion.colours, "fused"
