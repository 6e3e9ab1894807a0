"""Paint the texture of a simplified mesh with the colours of the dense one."""

from __future__ import annotations

from itertools import chain

import numpy as np
from scipy.ndimage import distance_transform_edt

from sam3d_bento.export import raster
from sam3d_bento.export.source import ColourSource
from sam3d_bento.export.surface import Surface, mix, unit
from sam3d_bento.progress import Tick, silent
from sam3d_bento.reconstruction import Float32, Int32, UInt8


def bake(
    positions: Float32,
    normals: Float32,
    uv: Float32,
    faces: Int32,
    dense: Surface,
    size: int,
    tick: Tick = silent,
) -> UInt8:
    """The base-colour texture, (size, size, 3) uint8 sRGB, row 0 where uv's second coordinate is 0.

    positions, normals (N, 3) and uv (N, 2) float32, faces (F, 3) int32: the mesh with its seams split.
    Texels that no face covers get the colour of the nearest that one does.
    """
    source = ColourSource(dense)
    image = np.zeros((size * size, 3), dtype=np.uint8)
    painted = np.zeros(size * size, dtype=bool)
    batches = chain(raster.inside(uv, faces, size), raster.around(uv, faces, size, painted))
    done = 0
    for texels in batches:
        tick(min(done / painted.size, 1.0))
        done += len(texels.index)
        corners = faces[texels.faces]
        points = mix(texels.weights, positions, corners)
        directions = unit(mix(texels.weights, normals, corners))
        image[texels.index] = source.colours(points, directions)
        painted[texels.index] = True
    rows, columns = distance_transform_edt(~painted.reshape(size, size), return_distances=False, return_indices=True)
    filled: UInt8 = image.reshape(size, size, 3)[rows, columns]
    return filled
