"""Rays at a triangle mesh, cast by Embree through `embreex`.

embreex 4.4 takes a mesh apart into Python objects, half a second for 500,000 faces. Embree itself reads the arrays as
they lie in memory, which takes a fifth of that with building the tree; so here a scene of embreex's gets its mesh from
Embree's own functions. With an embreex whose scenes lie in memory in another way, its own constructor is used.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import embreex.rtcore_scene
import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from sam3d_bento.arrays import Float32, Int32

NOWHERE = -1  # the face of a ray that meets nothing

# From rtcore_*.h of Embree 4, whose interface stays as it is within a major version.
TRIANGLES, VERTEX_BUFFER, INDEX_BUFFER, FLOAT3, UINT3 = 0, 1, 0, 0x9003, 0x5003

# Where a scene of embreex's holds Embree's: the first of the three fields that its rtcore_scene.pxd lays out for
# others to compile against, 24 bytes in all.
SCENE_OFFSET = object.__basicsize__
SCENE_SIZE = SCENE_OFFSET + 24

log = logging.getLogger("sam3d_bento.rays")


@dataclass(frozen=True)
class Hits:
    """What N rays meet first; where one meets nothing only `face` and `distance` have a meaning.

    face (N,) int32, or NOWHERE. u, v (N,) float32: the weights of the face's second and third corner. distance (N,)
    float32, in lengths of the direction; how far the ray went where it met nothing. normal (N, 3) float32: of the
    face, of any length.
    """

    face: Int32
    u: Float32
    v: Float32
    distance: Float32
    normal: Float32


class Rays:
    """A mesh to cast rays at; several threads may.

    vertices (V, 3) and faces (F, 3), of any number type. Embree takes some 100 bytes for a face until the object goes.
    """

    def __init__(self, vertices: npt.NDArray[Any], faces: npt.NDArray[Any]) -> None:
        # Embree reads the arrays where they are, as long as there are rays; and a vertex as four numbers, so that one
        # more than the last one has must be there.
        self._vertices = np.zeros((len(vertices) + 1, 3), np.float32)
        self._vertices[:-1] = vertices
        self._faces = np.array(faces, np.uint32, order="C")
        self._scene = EmbreeScene(robust=True)
        embree = _embree()
        if embree is None:
            self._build_slowly()
        else:
            self._build(embree)

    def _build_slowly(self) -> None:
        """Hand the mesh to embreex's own constructor, and have the tree built."""
        self._mesh = TriangleMesh(self._scene, self._vertices[:-1], self._faces.astype(np.int32))
        # The first rays build the tree. Cast one now, so that no two threads build it later.
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def _build(self, embree: _Embree) -> None:
        """Show Embree the arrays where they lie, and have the tree built."""
        scene = ctypes.c_void_p.from_address(id(self._scene) + SCENE_OFFSET)
        geometry = embree.new_geometry(embree.scene_device(scene), TRIANGLES)
        for kind, numbers, array, count in (
            (VERTEX_BUFFER, FLOAT3, self._vertices, len(self._vertices) - 1),
            (INDEX_BUFFER, UINT3, self._faces, len(self._faces)),
        ):
            embree.set_shared_buffer(geometry, kind, 0, numbers, array.ctypes.data, 0, array.strides[0], count)
        embree.commit_geometry(geometry)
        embree.attach_geometry(scene, geometry)
        embree.release_geometry(geometry)
        embree.commit_scene(scene)
        self._scene.is_committed = 1  # lest the first rays build the tree again, in each thread

    def faces_met(self, origins: Float32, directions: Float32) -> Int32:
        """(N,) int32: the face that each ray meets first, or NOWHERE. origins, directions (N, 3) float32."""
        faces: Int32 = self._scene.run(origins, directions)
        return faces

    def cast(self, origins: Float32, directions: Float32, reach: Float32 | None = None) -> Hits:
        """What each ray meets first.

        origins, directions (N, 3) float32, directions of any length. reach (N,) float32: how far each one goes, in
        lengths of its direction; without it, as far as may be.
        """
        # embreex writes the distances into what it is given as the limits.
        found = self._scene.run(origins, directions, dists=None if reach is None else reach.copy(), output=True)
        return Hits(found["primID"].astype(np.int32, copy=False), found["u"], found["v"], found["tfar"], found["Ng"])


class _Embree:
    """The functions of Embree that embreex does not offer with arrays."""

    def __init__(self) -> None:
        """Find the functions. Raises OSError or AttributeError where embreex does not bring them."""
        # Names are looked up in what this module of embreex was linked with, too: Embree, whose own file has a name
        # that changes with every wheel.
        library = ctypes.CDLL(embreex.rtcore_scene.__file__)
        handle, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t

        def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
            found = getattr(library, name)
            found.restype, found.argtypes = result, arguments
            return found  # type: ignore[no-any-return]

        self.scene_device = function("rtcGetSceneDevice", handle, handle)
        self.commit_scene = function("rtcCommitScene", None, handle)
        self.new_geometry = function("rtcNewGeometry", handle, handle, number)
        self.set_shared_buffer = function(
            "rtcSetSharedGeometryBuffer", None, handle, number, ctypes.c_uint, number, handle, size, size, size
        )
        self.commit_geometry = function("rtcCommitGeometry", None, handle)
        self.attach_geometry = function("rtcAttachGeometry", ctypes.c_uint, handle, handle)
        self.release_geometry = function("rtcReleaseGeometry", None, handle)


@cache
def _embree() -> _Embree | None:
    """Return Embree's functions; None, with a line in the log, where a scene of embreex's is not laid out as known."""
    reason: object = f"its scenes take {EmbreeScene.__basicsize__} bytes instead of {SCENE_SIZE}"
    if EmbreeScene.__basicsize__ == SCENE_SIZE:
        try:
            return _Embree()
        except (OSError, AttributeError) as exc:
            reason = exc
    log.warning("this embreex is not known here: meshes are taken in slowly (%s)", reason)
    return None
