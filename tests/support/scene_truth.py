"""A scene whose truth is known: three painted objects with poses before a camera, and the photo of it.

The photo is cast from the formulas of the frames, ray by ray in PyTorch3D's camera frame, with none of the code that
writes or reads scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from sam3d_bento.camera import PYTORCH3D_FRAME, Camera
from sam3d_bento.export.rays import NOWHERE, Rays
from sam3d_bento.reconstruction import Pose, Reconstruction
from tests.support.export_meshes import Mesh, blob, colour_at, joined, painted, sphere

SAMPLES = 2  # rays for a pixel along each axis
# Off-centre, and with pixels that are not square, so that no two numbers can be confused.
CAMERA = Camera(fx=1100.0, fy=1150.0, cx=530.0, cy=371.0, width=1024, height=768, source="given")


@dataclass(frozen=True)
class Truth:
    """Objects by name, with the photo (H, W, 3) uint8 and the mask (H, W) bool of each, as it is seen."""

    objects: dict[str, Reconstruction]
    photo: np.ndarray
    masks: dict[str, np.ndarray]
    camera: Camera

    @property
    def silhouette(self) -> np.ndarray:
        return np.any(list(self.masks.values()), axis=0)


def _pose(turn: tuple[float, float, float], translation: tuple[float, float, float], scale: float) -> Pose:
    rotation = Rotation.from_euler("yxz", turn, degrees=True).as_quat(scalar_first=True)
    return Pose(np.float32(rotation), np.float32(translation), np.full(3, scale, np.float32), PYTORCH3D_FRAME)


def _ell() -> Mesh:
    """Two balls, of which one is at the side of the other: nothing about it is symmetric enough to hide a turn."""
    return joined(sphere(40, 0.25, (0, -0.1, 0)), sphere(30, 0.14, (0.1, 0.25, 0.2)))


def build(camera: Camera = CAMERA) -> Truth:
    """Return the scene: x to the left, y up, z forward. One object covers a part of another."""
    placed = {
        "jug": (blob(70), _pose((200, -12, 4), (0.55, -0.1, 2.6), 0.9)),
        "lamp": (_ell(), _pose((35, 10, 0), (-0.5, 0.15, 3.0), 1.1)),
        "stone": (blob(60, seed=3), _pose((80, 0, 15), (0.37, -0.3, 2.1), 0.5)),
    }
    objects = {}
    for name, (mesh, pose) in placed.items():
        made = painted(mesh)
        objects[name] = Reconstruction(made.vertices, made.faces, made.colours, pose=pose, camera=camera)
    across = (np.arange(camera.width * SAMPLES) + 0.5) / SAMPLES
    down = (np.arange(camera.height * SAMPLES) + 0.5) / SAMPLES
    u, v = np.meshgrid(across, down)
    rays = np.stack([-(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, np.ones_like(u)], -1).reshape(-1, 3)
    nearest, owner = np.full(len(rays), np.inf), np.full(len(rays), -1)
    colours = np.full((len(rays), 3), 128.0)
    for index, made in enumerate(objects.values()):
        pose = made.pose
        turn = Rotation.from_quat(pose.rotation, scalar_first=True).as_matrix()
        # The ray in the object's frame: v = R^T (x - t) / s.
        directions = np.float32(rays @ turn / pose.scale[0])
        origin = np.float32(-pose.translation @ turn / pose.scale[0])
        hits = Rays(made.vertices, made.faces).cast(np.tile(origin, (len(rays), 1)), directions)
        met = (hits.face != NOWHERE) & (hits.distance < nearest)
        nearest[met], owner[met] = hits.distance[met], index
        colours[met] = colour_at(origin + hits.distance[met, None] * directions[met])
    blocks = (camera.height, SAMPLES, camera.width, SAMPLES)
    photo = np.rint(colours.reshape(*blocks, 3).mean((1, 3))).clip(0, 255).astype(np.uint8)
    shares = {name: (owner == index).reshape(blocks).mean((1, 3)) for index, name in enumerate(objects)}
    return Truth(objects, photo, {name: share >= 0.5 for name, share in shares.items()}, camera)


def points_of(truth: Truth) -> np.ndarray:
    """What the pixels show (H, W, 3), in PyTorch3D's camera frame; NaN where there is nothing."""
    camera = truth.camera
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([-(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, np.ones_like(u)], -1).reshape(-1, 3)
    nearest = np.full(len(rays), np.inf)
    for made in truth.objects.values():
        turn = Rotation.from_quat(made.pose.rotation, scalar_first=True).as_matrix()
        directions = np.float32(rays @ turn / made.pose.scale[0])
        origin = np.float32(-made.pose.translation @ turn / made.pose.scale[0])
        hits = Rays(made.vertices, made.faces).cast(np.tile(origin, (len(rays), 1)), directions)
        nearest = np.where(hits.face != NOWHERE, np.minimum(nearest, hits.distance), nearest)
    points = np.where(np.isfinite(nearest)[:, None], rays * nearest[:, None], np.nan)
    return points.reshape(camera.height, camera.width, 3).astype(np.float32)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Of colours 0..255, (N, 3) each, in dB."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2)))
