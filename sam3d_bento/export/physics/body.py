"""Compute mass, centre and inertia of a model that is solid and of one density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.export.glb.read import TexturedMesh
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.export.physics.collision import ConvexShape, hull, make_shapes, welded
from sam3d_bento.formats import Collision

# Largest volume of a solid, as a share of its hull's. A hull leaves out corners, of 3 % of a ball.
MOST_OF_HULL = 1.1

# Kilograms times square metres. MuJoCo takes no body of less than 1e-15 about any axis; a cube of water of 1 mm has
# 1.7e-13.
LEAST_INERTIA = 1e-14


@dataclass(frozen=True)
class Body:
    """Rigid body in the frame of its mesh, in kilograms and metres.

    centre: of mass, (3,). inertia: (3, 3), about the centre, at least LEAST_INERTIA about any axis. is_solid: whether
    mass and inertia are those of the mesh; otherwise its surface is open or inside out, and they are those of its hull.
    """

    shapes: list[ConvexShape]
    mass: float
    centre: Float64
    inertia: Float64
    is_solid: bool


def make_body(mesh: TexturedMesh, collision: Collision, density: float) -> Body:
    """Return the rigid body of a mesh whose unit is the metre. density: in kilograms per cubic metre."""
    points, faces = welded(mesh)
    around = hull(points)
    mass, centre, inertia = _solid(around.vertices, around.faces, density)
    is_solid = False
    if len(faces) and is_watertight(points.astype(np.float32), faces):
        own = _solid(points, faces, density)
        is_solid = 0 < own[0] <= MOST_OF_HULL * mass and bool((np.linalg.eigvalsh(own[2]) > 0).all())
        if is_solid:
            mass, centre, inertia = own
    return Body(make_shapes(mesh, collision), mass, centre, _at_least(inertia, LEAST_INERTIA), is_solid)


def _at_least(inertia: Float64, least: float) -> Float64:
    """Return an inertia (3, 3) of at least that much about any axis."""
    moments, axes = np.linalg.eigh(inertia)
    if moments.min() >= least:
        return inertia
    raised: Float64 = (axes * moments.clip(least)) @ axes.T
    return raised


def _solid(points: Float64, faces: Int32, density: float) -> tuple[float, Float64, Float64]:
    """Return mass, centre of mass (3,) and inertia (3, 3) about it of a closed mesh."""
    # Moved to the origin and scaled to 1, so that little is lost to rounding and trimesh takes nothing for nothing.
    middle, extent = points.mean(0), float(np.ptp(points, axis=0).max())
    solid = trimesh.Trimesh((points - middle) / extent, faces, process=False, validate=False).mass_properties
    mass = float(solid.volume) * extent**3 * density
    inertia = np.asarray(solid.inertia, np.float64) * extent**5 * density
    return mass, middle + np.asarray(solid.center_mass) * extent, (inertia + inertia.T) / 2
