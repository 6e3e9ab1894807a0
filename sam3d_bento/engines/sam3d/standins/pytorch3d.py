"""Stand-in for pytorch3d 0.7. Upstream executes rigid transforms of points, and conversions of quaternions.

pytorch3d multiplies row vectors from the left: points (N, 3) become `points @ R + t`, and `a.compose(b)` applies `a`
first. Quaternions are wxyz, with the real part first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize, one_hot

from sam3d_bento.engines.sam3d import standins


def quaternion_to_matrix(quaternions: Any) -> Any:
    """Convert quaternions (..., 4), of any length but zero, to rotation matrices (..., 3, 3)."""
    r, i, j, k = torch.unbind(quaternions, -1)
    two = 2.0 / (quaternions * quaternions).sum(-1)
    rows = (
        1 - two * (j * j + k * k),
        two * (i * j - k * r),
        two * (i * k + j * r),
        two * (i * j + k * r),
        1 - two * (i * i + k * k),
        two * (j * k - i * r),
        two * (i * k - j * r),
        two * (j * k + i * r),
        1 - two * (i * i + j * j),
    )
    return torch.stack(rows, -1).reshape((*quaternions.shape[:-1], 3, 3))


def matrix_to_quaternion(matrix: Any) -> Any:
    """Convert rotation matrices (..., 3, 3) to unit quaternions (..., 4) with a real part that is not negative.

    There are four ways to divide, each stable where its component is large (Shepperd 1978). The most stable is used.
    """
    batch = matrix.shape[:-2]
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = torch.unbind(matrix.reshape((*batch, 9)), -1)
    squares = torch.stack((1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22), -1)
    size = squares.clamp(min=0).sqrt()  # twice the magnitude of each component
    by_component = torch.stack(
        (
            torch.stack((size[..., 0] ** 2, m21 - m12, m02 - m20, m10 - m01), -1),
            torch.stack((m21 - m12, size[..., 1] ** 2, m10 + m01, m02 + m20), -1),
            torch.stack((m02 - m20, m10 + m01, size[..., 2] ** 2, m12 + m21), -1),
            torch.stack((m10 - m01, m20 + m02, m21 + m12, size[..., 3] ** 2), -1),
        ),
        -2,
    )
    candidates = by_component / (2.0 * size[..., None].clamp(min=0.1))
    chosen = candidates[one_hot(size.argmax(-1), 4) > 0.5, :].reshape((*batch, 4))
    return torch.where(chosen[..., :1] < 0, -chosen, chosen)


class Transform3d:
    """Chain of transforms as one matrix (B, 4, 4) for row vectors."""

    def __init__(self, dtype: Any = torch.float32, device: Any = "cpu", matrix: Any = None) -> None:
        if matrix is None:
            matrix = torch.eye(4, dtype=dtype, device=device)
        self._matrix = matrix if matrix.dim() == 3 else matrix[None]

    def get_matrix(self) -> Any:
        """Return the matrix (B, 4, 4)."""
        return self._matrix

    def compose(self, *others: Transform3d) -> Transform3d:
        """Return the transform that applies this one first, then the others."""
        matrix = self._matrix
        for other in others:
            matrix = matrix @ other.get_matrix()
        return Transform3d(matrix=matrix)

    def scale(self, factors: Any) -> Transform3d:
        """Return this transform followed by a scaling. factors: a number, (3,) or (B, 3)."""
        factors = torch.as_tensor(factors, dtype=self._matrix.dtype, device=self._matrix.device)
        factors = factors.reshape(1, 1).expand(1, 3) if factors.dim() == 0 else factors.reshape(-1, 3)
        step = self._identity(len(factors))
        for axis in range(3):
            step[:, axis, axis] = factors[:, axis]
        return Transform3d(matrix=self._matrix @ step)

    def rotate(self, rotation: Any) -> Transform3d:
        """Return this transform followed by a rotation (3, 3) or (B, 3, 3)."""
        rotation = rotation.to(self._matrix).reshape(-1, 3, 3)
        step = self._identity(len(rotation))
        step[:, :3, :3] = rotation
        return Transform3d(matrix=self._matrix @ step)

    def translate(self, offset: Any) -> Transform3d:
        """Return this transform followed by a translation (3,) or (B, 3)."""
        offset = torch.as_tensor(offset, dtype=self._matrix.dtype, device=self._matrix.device).reshape(-1, 3)
        step = self._identity(len(offset))
        step[:, 3, :3] = offset
        return Transform3d(matrix=self._matrix @ step)

    def inverse(self) -> Transform3d:
        """Return the transform that undoes this one."""
        return Transform3d(matrix=torch.linalg.inv(self._matrix))

    def to(self, device: Any, copy: bool = False, dtype: Any = None) -> Transform3d:
        """Return the same transform on another device."""
        return Transform3d(matrix=self._matrix.to(device=device, dtype=dtype, copy=copy))

    def transform_points(self, points: Any) -> Any:
        """Transform points (..., 3). The result has the precision of the transform."""
        points = points.to(self._matrix.dtype)  # upstream's version of MoGe returns float16 on a CPU
        homogeneous = torch.cat((points, torch.ones_like(points[..., :1])), -1)
        if len(self._matrix) == 1:
            homogeneous = homogeneous.reshape(-1, 4) @ self._matrix[0]
        else:
            homogeneous = homogeneous @ self._matrix
        return (homogeneous[..., :3] / homogeneous[..., 3:]).reshape(points.shape)

    def _identity(self, count: int) -> Any:
        return torch.eye(4, dtype=self._matrix.dtype, device=self._matrix.device).repeat(count, 1, 1)


def look_at_view_transform(eye: Any, at: Any, up: Any, device: Any = "cpu") -> tuple[Any, Any]:
    """Return the transform from world to camera (x left, y up, z forward) of cameras at `eye` that look at `at`.

    eye, at, up (B, 3). Returns R (B, 3, 3) and T (B, 3) for row vectors.
    """
    eye, at, up = (torch.as_tensor(vector, dtype=torch.float32, device=device) for vector in (eye, at, up))
    forward = normalize(at - eye, eps=1e-5)
    left = normalize(torch.cross(up.expand_as(forward), forward, dim=1), eps=1e-5)
    upward = normalize(torch.cross(forward, left, dim=1), eps=1e-5)
    rotation = torch.stack((left, upward, forward), 1).transpose(1, 2)
    return rotation, -torch.bmm(rotation.transpose(1, 2), eye[:, :, None])[:, :, 0]


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    standins.module(
        "pytorch3d.transforms",
        Transform3d=Transform3d,
        quaternion_to_matrix=quaternion_to_matrix,
        matrix_to_quaternion=matrix_to_quaternion,
    )
    standins.module("pytorch3d.structures")
    standins.module("pytorch3d.renderer", look_at_view_transform=look_at_view_transform)
