"""Build a lathe or a box by its formula: few faces, exact normals, and edges that are sharp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.reconstruction import ExactSurface

# Vertices of a ring: the polygon misses the circle by 3e-4 of the radius between two of them.
RING_VERTICES = 128

# Rings along the outline, if all of it were curved. A piece has as few as stay within this share of the outline's
# length of it, so that a lathe has 1,500 (a can) to 20,000 faces: below the usual 40,000, with room for a handle.
MAX_RINGS = 120
MAX_MISS = 2e-4


@dataclass(frozen=True)
class Sides:
    """Smooth sides that meet at edges, closed together.

    vertices (V, 3) float64, each in one side. first (V,) int: the first vertex at the place of each. faces (F, 3)
    int32, counter-clockwise from outside. normals (V, 3) float64.
    """

    vertices: Float64
    first: Int32
    faces: Int32
    normals: Float64

    def turn(self, axes: Float64, centre: Float64) -> Sides:
        """Return the sides turned by `axes` (3, 3), whose columns are their axes, and moved to `centre` (3,)."""
        return Sides(self.vertices @ axes.T + centre, self.first, self.faces, self.normals @ axes.T)

    def join(self, other: Sides) -> Sides:
        """Return the sides of both."""
        count = len(self.vertices)
        return Sides(
            np.concatenate([self.vertices, other.vertices]),
            np.concatenate([self.first, other.first + np.int32(count)]),
            np.concatenate([self.faces, other.faces + np.int32(count)]),
            np.concatenate([self.normals, other.normals]),
        )

    def place(self, axes: Float64, middle: Float64, size: float) -> ExactSurface:
        """Return the surface in the frame of `axes` (3, 3), around `middle` (3,) there, in units of `size`."""
        vertices = ((self.vertices @ axes - middle) / size).astype(np.float32)
        # Products of matrices may differ in the last bit from one row to the other.
        return ExactSurface(vertices[self.first], self.faces, (self.normals @ axes).astype(np.float32))


def build_box_sides(sizes: Float64) -> Sides:
    """Build the six sides of a box of sizes (3,) around the origin, along its axes."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    index, normals = [], []
    faces: list[list[int]] = []
    for axis in range(3):
        for side in (-1, 1):
            on = np.flatnonzero(corners[:, axis] * side > 0)  # in the order of the two other axes
            # From outside, the second corner lies clockwise of the third for one of the two sides.
            ring = on[[0, 2, 3, 1]] if (side > 0) == (axis != 1) else on[[0, 1, 3, 2]]
            start = 2 * len(faces)
            faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
            index.append(ring)
            normals.append(np.tile(side * np.eye(3)[axis], (4, 1)))
    corner = np.concatenate(index)
    first = np.array([np.flatnonzero(corner == one)[0] for one in corner], np.int32)
    return Sides(corners[corner] * sizes, first, np.array(faces, np.int32), np.concatenate(normals))


def build_lathe_sides(radii: Float64, heights: Float64, corners: Sequence[int]) -> Sides:
    """Build the base, the sides and the lid of a body of revolution about y.

    radii, heights (N,): its outline, rising. corners: the places in it where it has an edge, with the first and the
    last.
    """
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(radii), np.diff(heights)))])
    base = (np.array([0, radii[0]]), np.full(2, heights[0]))
    lid = (np.array([radii[-1], 0]), np.full(2, heights[-1]))
    outlines = [base]
    for start, stop in pairwise(corners):
        along = _place_rings(length, radii, start, stop)
        outlines.append((np.interp(along, length, radii), np.interp(along, length, heights)))
    outlines.append(lid)
    vertices, normals, faces, first = [], [], [], []
    count = 0
    for radius, height in outlines:
        index = count + np.arange(len(radius) * RING_VERTICES).reshape(-1, RING_VERTICES)
        same = index.copy()
        if count:  # the edge to the side below
            same[0] -= RING_VERTICES
        order: Literal[1, 2] = 2 if len(radius) > 2 else 1
        out, up = np.gradient(height, edge_order=order), -np.gradient(radius, edge_order=order)
        norm = np.hypot(out, up)
        vertices.append(_turn_about_y(radius, height))
        normals.append(_turn_about_y(out / norm, up / norm))
        faces.append(_connect(index))
        first.append(same)
        count += index.size
    first[0][0], first[-1][-1] = 0, count - RING_VERTICES  # the middles of base and lid are points
    joined = np.concatenate(first).ravel().astype(np.int32)
    triangles = np.concatenate(faces).astype(np.int32)
    a, b, c = joined[triangles].T
    real = (a != b) & (b != c) & (c != a)
    return Sides(np.concatenate(vertices), joined, triangles[real], np.concatenate(normals))


def _place_rings(length: Float64, radii: Float64, start: int, stop: int) -> Float64:
    """Choose evenly spaced rings for the piece of the outline from `start` to `stop`; return their lengths along it.

    length, radii (N,): of the outline.
    """
    most = max(1, round(MAX_RINGS * (length[stop] - length[start]) / length[-1]))
    piece = slice(start, stop + 1)
    for count in range(1, most):
        along = np.linspace(length[start], length[stop], count + 1)
        chords = np.interp(length[piece], along, np.interp(along, length, radii))
        if np.abs(chords - radii[piece]).max() < MAX_MISS * length[-1]:
            return along
    return np.linspace(length[start], length[stop], most + 1)


def _turn_about_y(out: Float64, up: Float64) -> Float64:
    """Turn pairs (N,) of a part away from the axis and one along it to all angles; return (N * RING_VERTICES, 3)."""
    turn = np.arange(RING_VERTICES) / RING_VERTICES * 2 * np.pi
    part = np.stack([out[:, None] * np.sin(turn), up[:, None] + 0 * turn, out[:, None] * np.cos(turn)], -1)
    return part.reshape(-1, 3)


def _connect(index: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Connect rings (R, RING_VERTICES) of vertices, of which each is above the one before; return faces (F, 3)."""
    low, high = index[:-1], index[1:]
    low_after, high_after = np.roll(low, -1, 1), np.roll(high, -1, 1)
    quads = [np.stack([low, low_after, high_after], -1), np.stack([low, high_after, high], -1)]
    return np.concatenate([quad.reshape(-1, 3) for quad in quads])
