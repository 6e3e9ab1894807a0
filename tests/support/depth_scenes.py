"""A can of 95 mm on a table before a wall, photographed with its depth: every pixel is computed, none is rendered."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

HEIGHT_METRES = 0.095
RADIUS_METRES = 0.033
DISTANCE_METRES = 0.42  # of the camera from the can's middle
PITCH_DEGREES = 18  # by which the camera looks down
WALL_METRES = 0.6  # of the wall from the camera, along the optical axis


@dataclass(frozen=True)
class Scene:
    """rgb (H, W, 3) uint8; mask (H, W) bool; depth (H, W) uint16 in millimetres; camera: fx, fy, cx, cy in pixels."""

    rgb: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    camera: tuple[float, float, float, float]

    @property
    def intrinsics(self) -> str:
        return ",".join(str(number) for number in self.camera)

    def png(self, pixels, **how):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", **how)
        return file.getvalue()

    @property
    def photo_file(self):
        return self.png(self.rgb)

    @property
    def mask_file(self):
        return self.png(self.mask.astype(np.uint8) * 255)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def can(width=480, height=360, missing=0.0):
    """Photograph the can. missing: share of the depth's pixels without a value, in blots."""
    focal = 1.3 * max(width, height)
    camera = (focal, focal, width / 2, height / 2)
    x = (np.arange(width) + 0.5 - camera[2])[None] / focal * np.ones((height, 1))
    y = -(np.arange(height) + 0.5 - camera[3])[:, None] / focal * np.ones((1, width))
    pitch = np.radians(PITCH_DEGREES)
    # World: the can's axis is y, its middle the origin. rays (H, W, 3) have a length of 1 along the optical axis.
    right, up = np.array([1.0, 0, 0]), np.array([0, np.cos(pitch), -np.sin(pitch)])
    backward = np.array([0, np.sin(pitch), np.cos(pitch)])
    eye = backward * DISTANCE_METRES
    rays = x[..., None] * right + y[..., None] * up - backward
    a = rays[..., 0] ** 2 + rays[..., 2] ** 2
    b = eye[0] * rays[..., 0] + eye[2] * rays[..., 2]
    root = b**2 - a * (eye[0] ** 2 + eye[2] ** 2 - RADIUS_METRES**2)
    with np.errstate(invalid="ignore"):
        side = (-b - np.sqrt(root)) / a
        on_side = np.abs(eye[1] + side * rays[..., 1]) <= HEIGHT_METRES / 2
        lid = (HEIGHT_METRES / 2 - eye[1]) / rays[..., 1]
        at_lid = eye + lid[..., None] * rays
        on_lid = np.hypot(at_lid[..., 0], at_lid[..., 2]) <= RADIUS_METRES
    z = np.where(on_lid, lid, np.where(on_side, side, np.nan))
    mask = np.isfinite(z)
    z = np.where(mask, z, WALL_METRES)
    place = eye + z[..., None] * rays
    angle = np.arctan2(place[..., 0], place[..., 2])
    paint = np.stack((128 + 90 * np.sin(5 * angle), 128 + 90 * np.sin(place[..., 1] * 200), np.full(z.shape, 90)), -1)
    rgb = np.where(mask[..., None], np.where(on_lid[..., None], 190, paint), 235).astype(np.uint8)
    depth = np.rint(z * 1000).astype(np.uint16)
    if missing:
        cells = np.random.default_rng(3).random((height // 6 + 1, width // 6 + 1)) < missing
        depth[np.kron(cells, np.ones((6, 6), bool))[:height, :width]] = 0
    return Scene(rgb, mask, depth, camera)
