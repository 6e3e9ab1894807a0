"""Paint a normal map: the normals of the dense surface, in the tangent space of the simplified mesh.

It has OpenGL's orientation, which is glTF's: red grows to the right in the image, green to its top. The frame at a
texel is what viewers interpolate: normal, tangent and bitangent of the corners, each scaled to length 1. These need not
be at right angles to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32, UInt8
from sam3d_bento.export import raster
from sam3d_bento.export.mesh.surface import mix, unit
from sam3d_bento.export.texture.fill import fill
from sam3d_bento.export.texture.mesh_source import MeshSource, NearestHits

# Least part along the simplified mesh's normal that a painted normal has: half a step of 8 bits above the surface.
LEAST_UP = 1 / 255


# Mean squared difference of unit normals by which a map must be better than the mesh's own normals: 1.3 degrees in the
# root mean square. Lit pictures of a model at 40 to 45 dB then gain at least 1 dB. Below it, the colours' own error
# hides the difference (benchmarks/normals.py).
LEAST_GAIN = 5e-4


# Rows of texels, evenly spaced, in which a map is measured. All of a large one would take a gigabyte.
SAMPLED_ROWS = 512


@dataclass(frozen=True)
class NormalMap:
    """Normal map that `NormalPainter` has painted.

    image: (S, S, 3) uint8. own_error: mean squared difference between the normals of the mesh and of the dense surface,
    both of length 1. map_error: the same of the map, between its texels.
    """

    image: UInt8
    own_error: float
    map_error: float

    @property
    def helps(self) -> bool:
        """Whether the mesh is shaded better with the map than without it."""
        return self.own_error - self.map_error >= LEAST_GAIN


class NormalPainter:
    """Normal map of a mesh, painted batch by batch where the dense surface was met.

    source: the dense surface. normals (N, 3), tangents (N, 4), faces (F, 3): of the mesh, as of `add_tangents`. size:
    edge of the map in texels.
    """

    def __init__(self, source: MeshSource, normals: Float32, tangents: Float32, faces: Int32, size: int) -> None:
        self._source = source
        across = np.cross(normals, tangents[:, :3]) * tangents[:, 3:]
        self._frames = np.concatenate([tangents[:, :3], across, normals], axis=1).astype(np.float32)
        self._faces = faces
        self._size = size
        self._image = np.zeros((size * size, 3), dtype=np.uint8)
        self._wrong = np.zeros(size * size, dtype=np.float32)

    def look_up(self, texels: raster.Texels, hits: NearestHits) -> tuple[UInt8, Float32]:
        """Return the encoded normals (N, 3) of a batch of texels, and how wrong (N,) the mesh's own normals are.

        hits: where the texels are on the dense surface. Wrong is the squared length of the difference. Several threads
        may call this at once.
        """
        frames = mix(texels.weights, self._frames, self._faces.take(texels.faces, axis=0))
        along, across, up = (unit(frames[:, start : start + 3]) for start in (0, 3, 6))
        dense = self._source.normals(hits)
        # Where the nearest surface looks the other way, it is another one.
        dense = np.where(np.einsum("ij,ij->i", dense, up)[:, None] > 0, dense, up)
        wrong = np.square(dense - up).sum(axis=1)
        return _encoded(_in_frame(dense, along, across, up)), wrong

    def paint(self, index: Indices, found: tuple[UInt8, Float32]) -> None:
        """Paint what `look_up` returned for the texels of these indices."""
        self._image[index], self._wrong[index] = found

    def finish(self, painted: Bool) -> NormalMap:
        """Return the map, with a normal in every texel. painted (S, S): the texels that were painted."""
        image = self._image.reshape(self._size, self._size, 3)
        return NormalMap(
            fill(image, painted), float(self._wrong[painted.ravel()].mean()), _interpolation(image, painted)
        )


def _in_frame(vectors: Float32, along: Float32, across: Float32, up: Float32) -> Floats:
    """Return the parts (N, 3) of unit vectors (N, 3) along three unit vectors each, up to a common factor above 0.

    Cramer's rule.
    """
    first, second, third = np.cross(across, up), np.cross(up, along), np.cross(along, across)
    turned = np.sign(np.einsum("ij,ij->i", along, first))
    parts = np.stack([np.einsum("ij,ij->i", vectors, other) for other in (first, second, third)], axis=1)
    found: Floats = parts * turned[:, None]
    return found


def _interpolation(image: UInt8, painted: Bool) -> float:
    """Return about how wrong a map is between its texels: the mean squared difference to the normal that is missed.

    image (S, S, 3); painted (S, S). If neighbours have nothing to do with each other, it is a quarter of the squared
    second difference along a row, and less if they have.
    """
    step = max(1, len(image) // SAMPLED_ROWS)
    image, painted = image[::step], painted[::step]
    normals = unit(image.reshape(-1, 3).astype(np.float32) / 127.5 - 1).reshape(image.shape)
    three = painted[:, :-2] & painted[:, 1:-1] & painted[:, 2:]
    bend = np.square(normals[:, :-2] - 2 * normals[:, 1:-1] + normals[:, 2:]).sum(axis=2)[three]
    return float(bend.mean()) / 4 if bend.size else 0.0


def _encoded(vectors: Floats) -> UInt8:
    """Return vectors (N, 3) as colours (N, 3): scaled to length 1, and -1 to 1 as 0 to 255. They point upwards."""
    raised = unit(vectors)
    raised[:, 2] = np.maximum(raised[:, 2], LEAST_UP)
    encoded: UInt8 = np.rint((unit(raised) + 1) * 127.5).astype(np.uint8)
    return encoded
