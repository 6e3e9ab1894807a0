"""Make convex collision shapes of a model: one hull, or parts whose hulls together follow its hollows."""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.export.glb.read import TexturedMesh
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.formats import Collision

# Most vertices of a hull. Triangles between them are at most 252; PhysX, hence Unreal and Unity, takes at most 255.
HULL_VERTICES = 128
MOST_PARTS = 16  # enough for a mug with its handle; each part costs time in every step of a simulation

# Faces that a model keeps for CoACD, whose time grows with them. The parts are far coarser.
PARTS_FACES = 2000
# How far the surface may be from its hull, as a share of CoACD's unit (0.05 is its default), and how long it searches
# for a cut. More of either gained less than 1 % of volume on a mug, in twice the time.
CONCAVITY = 0.05
SEARCH = {"mcts_iterations": 100, "mcts_nodes": 15}
# Cells along CoACD's unit with which it makes a mesh anew that intersects itself: its least. With its default of 50,
# two balls that overlap have 55,000 faces then, and the search takes minutes.
REMESH_CELLS = 20

# Thickness of the hull of a flat model, as a share of its longest side. No engine takes a hull without volume.
LEAST_THICKNESS = 1e-3

# Smallest value of fast_simplification's `agg` that reaches the target in most cases.
ACCURATE = 3.0


@dataclass(frozen=True)
class ConvexShape:
    """Closed convex mesh. vertices (N, 3) float64; faces (F, 3) int32, counter-clockwise seen from outside."""

    vertices: Float64
    faces: Int32


def make_shapes(mesh: TexturedMesh, collision: Collision) -> list[ConvexShape]:
    """Return the collision shapes of a mesh, in its frame and unit. `parts` needs the package coacd.

    A mesh that is not closed has no inside to divide, and gets its hull.
    """
    points, faces = welded(mesh)
    if collision == "hull" or not is_watertight(points.astype(np.float32), faces):
        return [hull(points)]
    return divide(points, faces)


def welded(mesh: TexturedMesh) -> tuple[Float64, Int32]:
    """Return vertices (N, 3) and faces (F, 3) of a mesh without its seams, and without faces that weld to an edge."""
    points, place = np.unique(mesh.positions, axis=0, return_inverse=True)
    faces = place.reshape(-1).astype(np.int32)[mesh.faces]
    a, b, c = faces.T
    return points.astype(np.float64), faces[(a != b) & (b != c) & (c != a)]


def hull(points: Float64) -> ConvexShape:
    """Return a convex hull of points (N, 3) with at most HULL_VERTICES vertices, all of them points.

    Of more corners, those stay that are farthest in directions spread evenly, each axis measured by its own extent. A
    flat model, a line or a point gets LEAST_THICKNESS.
    """
    corners = _farthest(points)
    try:
        return _hull(corners)
    except QhullError:  # no volume
        half = LEAST_THICKNESS / 2 * (float(np.ptp(points, axis=0).max()) or 1.0)
        signs = np.stack(np.meshgrid(*[[-half, half]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        return _hull(_farthest((corners[:, None] + signs).reshape(-1, 3)))


def divide(points: Float64, faces: Int32) -> list[ConvexShape]:
    """Divide a closed mesh into at most MOST_PARTS convex parts by CoACD (Wei et al., 2022).

    Equal meshes give equal parts. A mesh that intersects itself is made anew first, which makes it a little thicker.
    """
    import coacd

    if len(faces) > PARTS_FACES:
        points, faces = fast_simplification.simplify(
            points.astype(np.float32), faces, target_count=PARTS_FACES, agg=ACCURATE
        )
    coacd.set_log_level("off")
    found = coacd.run_coacd(
        coacd.Mesh(points.astype(np.float64), faces),
        threshold=CONCAVITY,
        max_convex_hull=MOST_PARTS,
        decimate=True,
        max_ch_vertex=HULL_VERTICES,
        preprocess_resolution=REMESH_CELLS,
        seed=0,
        **SEARCH,
    )
    return [hull(np.asarray(vertices, np.float64)) for vertices, _ in found] or [hull(points)]


def _farthest(points: Float64) -> Float64:
    """Return the points (N, 3) that are farthest in HULL_VERTICES directions; all of them if there are no more."""
    if len(points) <= HULL_VERTICES:
        return points
    extents = np.ptp(points, axis=0)
    scaled = (points - points.min(0)) / np.where(extents > 0, extents, 1)
    farthest: Float64 = points[np.unique((scaled @ _directions(HULL_VERTICES).T).argmax(axis=0))]
    return farthest


def _directions(count: int) -> Float64:
    """Return unit vectors (count, 3) that are spread evenly: a Fibonacci sphere."""
    number = np.arange(count) + 0.5
    height = 1 - 2 * number / count
    angle = np.pi * (1 + 5**0.5) * number
    radius = np.sqrt(1 - height**2)
    directions: Float64 = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)
    return directions


def _hull(points: npt.NDArray[np.float64]) -> ConvexShape:
    """Return the convex hull of points (N, 3). Raises QhullError if it has no volume."""
    found = ConvexHull(points)
    vertices = points[found.vertices]
    number = np.zeros(len(points), np.int32)
    number[found.vertices] = np.arange(len(found.vertices))
    faces = number[found.simplices]
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), found.equations[:, :3]) < 0
    faces[inward] = faces[inward][:, ::-1]
    return ConvexShape(vertices, faces)
