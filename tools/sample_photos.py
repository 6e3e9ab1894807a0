"""Photograph an object made from formulas: a lamp with soft shadows, light from all around, a gloss; ray-cast.

Frame and colours as in `tools/sample_objects.py`. The same object gives the same picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh

from sam3d_bento.export.rays import NOWHERE, Rays
from sam3d_bento.export.render import camera_axes
from tools.sample_objects import SampleObject

Array = npt.NDArray[Any]

DISTANCE = 3.0  # of the camera, in sizes of the object
SUPERSAMPLING = 2  # rays for a pixel along each axis
SAMPLES = 12  # rays to the lamp, and as many to all around, for each ray that hits
CHUNK = 150_000  # rays that are shaded together: some 100 MB
SHARP_DEGREES = 40.0  # an edge between faces that differ by more than this is not smoothed
MARGIN = 1.35  # side of the picture in sizes of the object
GROUND = np.array([0.5, 0.5, 0.49])  # reflectance
BACKDROP = np.array([0.62, 0.64, 0.67])
LAMP = np.array([-2.2, 3.6, 2.6])  # its middle; its light comes from a ball around it
LAMP_RADIUS = 1.1
LAMP_LIGHT = np.array([1.45, 1.38, 1.28])
SKY_LIGHT = np.array([0.5, 0.54, 0.6])  # from straight above; less from the sides
OFFSET = 1e-3  # how far above a surface a ray starts


def photograph(thing: SampleObject, size: int) -> npt.NDArray[np.uint8]:
    """The object on a grey table, (size, size, 3) sRGB."""
    mesh = trimesh.graph.smooth_shade(thing.mesh, angle=np.radians(SHARP_DEGREES))
    vertices, faces, normals = np.asarray(mesh.vertices), np.asarray(mesh.faces), np.asarray(mesh.vertex_normals)
    rays = Rays(vertices, faces)
    origin, directions = _camera(vertices, thing, size * SUPERSAMPLING)
    random = np.random.default_rng(0)
    light = np.empty((len(directions), 3))
    for start in range(0, len(directions), CHUNK):
        part = directions[start : start + CHUNK]
        light[start : start + CHUNK] = _seen(rays, faces, normals, thing, origin, part, random)
    blocks = light.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).clip(0, 1).mean((1, 3))
    srgb = np.where(blocks <= 0.0031308, blocks * 12.92, 1.055 * blocks ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.asarray((srgb * 255).round(), np.uint8)


def _camera(vertices: Array, thing: SampleObject, count: int) -> tuple[Array, Array]:
    """The camera's place (3,) and the directions (count², 3) of its rays, row by row."""
    axes = camera_axes(thing.azimuth, thing.elevation)
    right, up, backward = axes.T
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2
    distance = DISTANCE * float((high - low).max())
    seen = (vertices - middle) @ axes
    slopes = seen[:, :2] / (distance - seen[:, 2:])
    low, high = slopes.min(0), slopes.max(0)
    across = ((np.arange(count) + 0.5) / count * 2 - 1) * float((high - low).max()) / 2 * MARGIN
    x, y = np.meshgrid((low + high)[0] / 2 + across, (low + high)[1] / 2 - across)
    directions = x[..., None] * right + y[..., None] * up - backward
    eye = middle + distance * backward
    return eye, _unit(directions.reshape(-1, 3))


def _seen(
    rays: Rays, faces: Array, normals: Array, thing: SampleObject, eye: Array, directions: Array, random: Any
) -> Array:
    """The light (N, 3) that comes along these rays: of the object, the table, or the backdrop."""
    hits = rays.cast(*_float32(np.broadcast_to(eye, directions.shape), directions))
    on_object = hits.face != NOWHERE
    to_table = np.where(directions[:, 1] < -1e-4, -eye[1] / np.minimum(directions[:, 1], -1e-4), np.inf)
    distance = np.where(on_object, hits.distance, to_table)
    light = np.tile(BACKDROP, (len(directions), 1))
    met = np.flatnonzero(np.isfinite(distance) & (distance < 60))
    if not len(met):
        return light
    points = eye + distance[met, None] * directions[met]
    normal, reflectance = np.tile([0.0, 1.0, 0.0], (len(met), 1)), np.tile(GROUND, (len(met), 1))
    own = np.flatnonzero(on_object[met])
    if len(own):
        index = met[own]
        weights = np.stack([1 - hits.u[index] - hits.v[index], hits.u[index], hits.v[index]], 1)
        normal[own] = _unit(np.einsum("nk,nkc->nc", weights, normals[faces[hits.face[index]]]))
        reflectance[own] = thing.paint(points[own])
    facing = np.einsum("nc,nc->n", normal, directions[met]) > 0
    normal[facing] *= -1
    shaded = reflectance * _irradiance(rays, points, normal, random)
    gloss = np.where(on_object[met], thing.gloss, 0.0)
    shaded += _mirrored(rays, points, normal, directions[met], gloss)
    # Far away the table and the backdrop become one.
    far = np.where(on_object[met], 0.0, np.clip((np.linalg.norm(points[:, [0, 2]], axis=1) - 1.2) / 4, 0, 1))
    light[met] = shaded + far[:, None] * (BACKDROP - shaded)
    return light


def _irradiance(rays: Rays, points: Array, normals: Array, random: Any) -> Array:
    """The light (N, 3) over pi that falls on these points, of the lamp and the sky, where nothing is between."""
    total = np.zeros((len(points), 3))
    starts = points + OFFSET * normals
    side = _unit(np.cross(normals, np.where(np.abs(normals[:, 1:2]) < 0.9, [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])))
    other = np.cross(normals, side)
    for sample in range(SAMPLES):
        to_lamp = LAMP + LAMP_RADIUS * _unit(random.normal(size=points.shape)) - points
        to_lamp = _unit(to_lamp)
        lit = np.einsum("nc,nc->n", normals, to_lamp).clip(0)
        lit[rays.cast(*_float32(starts, to_lamp)).face != NOWHERE] = 0
        total += lit[:, None] * LAMP_LIGHT
        # Directions as dense as their cosine; stratified by the distance from the normal.
        radius = np.sqrt((sample + random.uniform(size=len(points))) / SAMPLES)
        angle = random.uniform(0, 2 * np.pi, len(points))
        up = np.sqrt(1 - radius**2)
        around = (radius * np.cos(angle))[:, None] * side + (radius * np.sin(angle))[:, None] * other
        around = around + up[:, None] * normals
        open_sky = rays.cast(*_float32(starts, around)).face == NOWHERE
        total += open_sky[:, None] * _sky(around)
    return total / SAMPLES


def _sky(directions: Array) -> Array:
    """The light from all around: full from above, a fifth from below (the table throws some back)."""
    return np.asarray(SKY_LIGHT * (0.2 + 0.8 * (0.5 + 0.5 * directions[:, 1:2]) ** 1.5))


def _mirrored(rays: Rays, points: Array, normals: Array, directions: Array, gloss: Array) -> Array:
    """The light (N, 3) that a glossy surface mirrors, by Schlick's approximation of Fresnel's law."""
    shining = np.flatnonzero(gloss)
    light = np.zeros((len(points), 3))
    if not len(shining):
        return light
    normal, into = normals[shining], directions[shining]
    cosine = -np.einsum("nc,nc->n", normal, into)
    away = into + 2 * cosine[:, None] * normal
    share = gloss[shining] + (1 - gloss[shining]) * (1 - cosine.clip(0, 1)) ** 5
    lamp = np.einsum("nc,nc->n", _unit(LAMP - points[shining]), away)
    lamp = np.clip((lamp - 0.955) / 0.02, 0, 1)
    seen = _sky(away) + (4.0 * lamp)[:, None] * LAMP_LIGHT
    seen[rays.cast(*_float32(points[shining] + OFFSET * normal, away)).face != NOWHERE] *= 0.15
    light[shining] = share[:, None] * seen
    return light


def _float32(origins: Array, directions: Array) -> tuple[Array, Array]:
    return np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
