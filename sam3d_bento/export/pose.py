"""Place objects in a scene: from poses before the camera to the transforms of glTF's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from sam3d_bento.arrays import Bool, Float32, Float64
from sam3d_bento.camera import GLTF_FRAME, PYTORCH3D_FRAME, Camera
from sam3d_bento.reconstruction import Splats

# The half turn about y that takes PyTorch3D's camera frame to glTF's and back.
HALF_TURN = Rotation.from_quat([0, 0, 1, 0], scalar_first=True)
TO_GLTF = {PYTORCH3D_FRAME: HALF_TURN, GLTF_FRAME: Rotation.identity()}
SPLAT_ARRAYS = tuple(field.name for field in fields(Splats))
# Shorter sums of directions say nothing about which way is up: the objects' up directions cancel each other.
MIN_UP = 0.1


@dataclass(frozen=True)
class Transform:
    """Transform of a node, which takes v to R(rotation) (scale v) + translation.

    rotation (4,) a unit quaternion wxyz, translation (3,), scale (3,), all float64.
    """

    rotation: Float64
    translation: Float64
    scale: Float64

    @classmethod
    def from_pose(cls, pose: Mapping[str, Any]) -> Transform:
        """Return a pose, as JSON values, in glTF's camera frame.

        From PyTorch3D's frame, x_cam = F (R (s v) + t) with the half turn F, hence R' = F R and t' = F t. Raises
        KeyError for a camera frame that is not known here.
        """
        turn = TO_GLTF[pose["frame"]]
        rotation = turn * Rotation.from_quat(pose["rotation"], scalar_first=True)
        return cls(
            rotation.as_quat(scalar_first=True, canonical=True),
            turn.apply(np.array(pose["translation"], np.float64)) + 0.0,  # without -0
            np.array(pose["scale"], np.float64),
        )

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> Transform:
        """Return the transform of a node of a glTF document; a property that it has not is the identity's."""
        x, y, z, w = node.get("rotation", (0, 0, 0, 1))
        translation, scale = node.get("translation", (0, 0, 0)), node.get("scale", (1, 1, 1))
        return cls(*(np.array(part, np.float64) for part in ((w, x, y, z), translation, scale)))

    def to_node(self) -> dict[str, Any]:
        """Return the properties of a glTF node, whose quaternions are xyzw."""
        w, x, y, z = self.rotation.tolist()
        return {"rotation": [x, y, z, w], "translation": self.translation.tolist(), "scale": self.scale.tolist()}

    def enlarged(self, factor: float) -> Transform:
        """Return the transform of an object that is larger and farther away by a factor, and looks the same."""
        return replace(self, translation=self.translation * factor, scale=self.scale * factor)

    @property
    def linear(self) -> Float64:
        """Matrix (3, 3) that turns and scales column vectors."""
        turn: Float64 = Rotation.from_quat(self.rotation, scalar_first=True).as_matrix()
        return turn * self.scale

    @property
    def matrix(self) -> Float64:
        """Matrix (4, 4) of the whole transform, for column vectors."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.linear, self.translation
        return matrix


def apply(matrix: Float64, points: npt.NDArray[Any]) -> Float64:
    """Return points (N, 3), float64, moved by a matrix (4, 4)."""
    moved: Float64 = points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def place_splats(splats: Splats, matrix: Float64) -> Splats:
    """Return the splats moved by a matrix (4, 4) that turns, scales in all directions alike, and shifts."""
    factor = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    turn = Rotation.from_matrix(matrix[:3, :3] / factor)
    rotation = turn * Rotation.from_quat(splats.rotation, scalar_first=True)
    return replace(
        splats,
        positions=apply(matrix, splats.positions).astype(np.float32),
        scale=(splats.scale.astype(np.float64) * factor).astype(np.float32),
        rotation=rotation.as_quat(scalar_first=True).astype(np.float32),
    )


def join_splats(parts: Sequence[Splats]) -> Splats:
    """Return several splats, all in one frame, as one; at least one of them."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in SPLAT_ARRAYS}
    return Splats(**columns)


def find_ground(objects: Sequence[tuple[Transform, Float32]]) -> Transform:
    """Return the transform that makes the objects of a scene stand upright on the floor at y = 0.

    objects: the transform of each, and its vertices (N, 3), y up. Up is the mean of their up directions; the lowest
    vertex along it is on the floor. The camera stays above the origin of the floor.
    """
    up = np.sum([transform.linear[:, 1] / np.linalg.norm(transform.linear[:, 1]) for transform, _ in objects], axis=0)
    length = float(np.linalg.norm(up))
    up = up / length if length > MIN_UP * len(objects) else np.array([0.0, 1.0, 0.0])
    lowest = min(float((apply(transform.matrix, vertices) @ up).min()) for transform, vertices in objects)
    return Transform(_shortest_turn_to_y(up), np.array([0.0, -lowest, 0.0]), np.ones(3))


def _shortest_turn_to_y(up: Float64) -> Float64:
    """Return the quaternion wxyz of the shortest turn that takes a unit vector (3,) to +y."""
    half = np.array([1 + up[1], -up[2], 0.0, up[0]])  # 1 + cosine, and the cross product of `up` and y
    length = float(np.linalg.norm(half))
    turn: Float64 = half / length if length > MIN_UP else np.array([0.0, 1.0, 0.0, 0.0])
    return turn


def guess_transform(vertices: Float32, mask: Bool, camera: Camera, distance: float) -> Transform:
    """Return a transform for an object whose pose is not known: upright, facing the camera, where its mask is.

    vertices (N, 3) in the object's frame; mask (H, W), not empty, of the camera's picture; distance: along the optical
    axis. The box of the object's front has the width or the height of the mask's box, whichever needs less.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    extents = np.maximum(high - low, 1e-12)
    width, height = (right - left) / camera.fx * distance, (bottom - top) / camera.fy * distance
    scale = min(width / extents[0], height / extents[1])
    x = ((left + right) / 2 - camera.cx) / camera.fx * distance
    y = (camera.cy - (top + bottom) / 2) / camera.fy * distance
    centre = (low + high) / 2 * scale
    return Transform(np.array([1.0, 0, 0, 0]), np.array([x, y, -distance]) - centre, np.full(3, scale))
