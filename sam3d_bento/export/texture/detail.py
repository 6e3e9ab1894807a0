"""Measure where the colours have detail, for the layout to give it more texels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Int32
from sam3d_bento.export.mesh.surface import face_areas, mix, unit

# Faces that are looked at, evenly spaced. More would find nothing that the mean over a chart does not have already.
SAMPLE_FACES = 10_000

EXPECTED_USE = 0.6  # share of the texels that charts will cover


def measure_detail(
    vertices: Float32,
    normals: Float32,
    faces: Int32,
    colours: Callable[[Float32, Float32], Float32],
    texture_size: int,
) -> Floats:
    """Measure by how much colours bend within a texel; return (F,) squared sRGB levels, NaN for faces not looked at.

    vertices and their unit normals (V, 3) float32, faces (F, 3) int32. colours: a source, as in `ColourSource`.
    texture_size: the edge of the texture in texels. The value of a face is the squared second difference of the colours
    along a line of two texels through its centre, which is what linear interpolation between texels misses. Equal input
    gives equal values.
    """
    chosen = np.arange(0, len(faces), -(-len(faces) // SAMPLE_FACES))
    some = faces.take(chosen, axis=0)
    texel = np.sqrt(face_areas(vertices, faces).sum() / EXPECTED_USE) / texture_size  # scene units
    # Any direction in the face will do: from a corner that alternates, so that none is preferred on a regular mesh.
    corner = np.arange(len(some)) % 3
    edge = vertices.take(some[np.arange(len(some)), corner], axis=0) - vertices.take(some, axis=0).mean(axis=1)
    step = (unit(edge) * texel).astype(np.float32)
    thirds = np.full((len(some), 3), 1 / 3, np.float32)
    centre = mix(thirds, vertices, some)
    outward = unit(mix(thirds, normals, some))
    points = np.concatenate([centre - step, centre, centre + step])
    before, here, after = np.split(colours(points, np.tile(outward, (3, 1))), 3)
    detail = np.full(len(faces), np.nan)
    detail[chosen] = np.square(before - 2 * here + after).sum(axis=1)
    return detail
