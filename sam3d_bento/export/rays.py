"""Cast rays at a triangle mesh with Embree, through `embreex`.

embreex 4.4 converts a mesh into Python objects, which takes half a second for 500,000 faces. Embree itself can read the
arrays in place; with building the tree, that takes a fifth of the time. So this module creates the scene with embreex
and adds the mesh with Embree's own functions. If an embreex is installed whose scenes have another memory layout, its
own constructor is used.
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

NOWHERE = -1  # stands for a face in the results of rays that hit nothing

# Values of Embree's enumerations, from rtcore_*.h of Embree 4, whose interface does not change within a major version.
TRIANGLES, VERTEX_BUFFER, INDEX_BUFFER, FLOAT3, UINT3 = 0, 1, 0, 0x9003, 0x5003

# Offset in bytes of Embree's scene in a scene of embreex. It is the first of the three fields, 24 bytes in all, that
# embreex's rtcore_scene.pxd declares for other modules to compile against.
SCENE_OFFSET = object.__basicsize__
SCENE_SIZE = SCENE_OFFSET + 24

log = logging.getLogger("sam3d_bento.rays")


@dataclass(frozen=True)
class Hits:
    """First hits of N rays. Where a ray hits nothing, only `face` and `distance` are meaningful.

    face (N,) int32: the face, or NOWHERE. u, v (N,) float32: the weights of the face's second and third corner.
    distance (N,) float32: in lengths of the direction; for a ray that hits nothing, how far it went. normal (N, 3)
    float32: of the face, of any length.
    """

    face: Int32
    u: Float32
    v: Float32
    distance: Float32
    normal: Float32


class Rays:
    """Mesh at which rays can be cast, from several threads at a time.

    vertices (V, 3) and faces (F, 3), of any number type. Embree takes some 100 bytes for each face until the object is
    deleted.
    """

    def __init__(self, vertices: npt.NDArray[Any], faces: npt.NDArray[Any]) -> None:
        # Embree reads these arrays in place as long as the object exists. It reads a vertex as four numbers, so one
        # number must follow the last vertex: the array has one row more.
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
        """Add the mesh with embreex's own constructor, and build the tree."""
        self._mesh = TriangleMesh(self._scene, self._vertices[:-1], self._faces.astype(np.int32))
        # The first rays build the tree. Cast one now, so that no two threads build it later.
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def _build(self, embree: _Embree) -> None:
        """Share the arrays with Embree, without a copy, and build the tree."""
        scene = ctypes.c_void_p.from_address(id(self._scene) + SCENE_OFFSET)
        device = embree.scene_device(scene)  # with a reference more, which is ours to release
        geometry = embree.new_geometry(device, TRIANGLES)
        embree.release_device(device)
        for kind, numbers, array, count in (
            (VERTEX_BUFFER, FLOAT3, self._vertices, len(self._vertices) - 1),
            (INDEX_BUFFER, UINT3, self._faces, len(self._faces)),
        ):
            embree.set_shared_buffer(geometry, kind, 0, numbers, array.ctypes.data, 0, array.strides[0], count)
        embree.commit_geometry(geometry)
        embree.attach_geometry(scene, geometry)
        embree.release_geometry(geometry)
        embree.commit_scene(scene)
        self._scene.is_committed = 1  # without this, the first rays in each thread would build the tree again

    def faces_met(self, origins: Float32, directions: Float32) -> Int32:
        """Return the face (N,) int32 that each ray hits first, or NOWHERE. origins, directions (N, 3) float32."""
        faces: Int32 = self._scene.run(origins, directions)
        return faces

    def cast(self, origins: Float32, directions: Float32, reach: Float32 | None = None) -> Hits:
        """Find the first hit of each ray.

        origins, directions (N, 3) float32, directions of any length. reach (N,) float32: the maximum distance of each
        ray, in lengths of its direction; None for no limit.
        """
        # embreex overwrites the limits that it receives with the distances.
        found = self._scene.run(origins, directions, dists=None if reach is None else reach.copy(), output=True)
        return Hits(found["primID"].astype(np.int32, copy=False), found["u"], found["v"], found["tfar"], found["Ng"])


class _Embree:
    """Functions of Embree that embreex does not offer for arrays."""

    def __init__(self) -> None:
        """Find the functions. Raises OSError or AttributeError where embreex does not contain them."""
        # Names are also looked up in the libraries that this module of embreex is linked with. One of them is Embree,
        # whose file has a name that changes with every wheel.
        library = ctypes.CDLL(embreex.rtcore_scene.__file__)
        handle, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t

        def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
            found = getattr(library, name)
            found.restype, found.argtypes = result, arguments
            return found  # type: ignore[no-any-return]

        self.scene_device = function("rtcGetSceneDevice", handle, handle)
        self.release_device = function("rtcReleaseDevice", None, handle)
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
    """Return Embree's functions; None, after logging why, if the memory layout of embreex's scenes is unknown."""
    reason: object = f"its scenes take {EmbreeScene.__basicsize__} bytes instead of {SCENE_SIZE}"
    if EmbreeScene.__basicsize__ == SCENE_SIZE:
        try:
            return _Embree()
        except (OSError, AttributeError) as exc:
            reason = exc
    log.warning("this embreex is not known here: meshes are taken in slowly (%s)", reason)
    return None
