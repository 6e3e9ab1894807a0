"""Turn upstream's tensors into this project's `Reconstruction`. This is the only place where z-up becomes y-up.

Upstream's object frame is z-up. A rotation by -90 degrees about x turns (x, y, z) into (x, z, -y): y-up, right-handed,
the same numbers. Upstream's pose takes row vectors to the camera frame: `(points * scale) @ matrix(rotation) +
translation`. The pose of a `Reconstruction` does the same to its vertices as column vectors, which is the usual meaning
of a quaternion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.reconstruction import SH_C0, Pose, Reconstruction, Splats

# Quaternion wxyz of the rotation by -90 degrees about x: the half angle gives cos 45° and -sin 45°.
TURN = np.array([np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0])

# Name of PyTorch3D's camera frame: x to the left, y up, z forward. Its unit is that of the point map: metres where the
# caller's was in metres. The depth model (MoGe, version 1) has no unit: it finds depth up to one factor per photo.
CAMERA_FRAME = "pytorch3d"


def to_reconstruction(output: dict[str, Any], details: dict[str, Any]) -> Reconstruction:
    """Return the output of upstream's `run` as a reconstruction in main memory. details: as in `Reconstruction`.

    Colours are those of the network, in sRGB (upstream writes them into its GLB unchanged). A pose that is not finite,
    because no depth was found inside the mask, is omitted. Splats that are not finite are omitted as well.
    """
    mesh = output["mesh"][0]
    return Reconstruction(
        vertices=y_up(_numpy(mesh.vertices)),
        faces=np.ascontiguousarray(_numpy(mesh.faces), dtype=np.int32),
        colours=_to_8_bit(_numpy(mesh.vertex_attrs[:, :3])),
        splats=_splats(output["gaussian"][0]) if "gaussian" in output else None,
        pose=_pose(output),
        details=details,
    )


def y_up(points: npt.NDArray[Any]) -> Float32:
    """Return points (N, 3) of upstream's z-up frame in the y-up frame, float32."""
    turned: Float32 = np.stack((points[:, 0], points[:, 2], -points[:, 1]), axis=1).astype(np.float32)
    return turned


def multiply(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the Hamilton product of quaternions (..., 4) wxyz: the rotation of `other`, followed by that of `one`."""
    w, x, y, z = np.moveaxis(one, -1, 0)
    a, b, c, d = np.moveaxis(other, -1, 0)
    return np.stack(
        (
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ),
        axis=-1,
    )


def _splats(gaussian: Any) -> Splats:
    positions = _numpy(gaussian.get_xyz)
    colours = 0.5 + SH_C0 * _numpy(gaussian.get_features)[:, 0]
    opacity = _numpy(gaussian.get_opacity)[:, 0]
    scale = _numpy(gaussian.get_scaling)
    rotation = _numpy(gaussian.get_rotation)
    finite = np.isfinite(np.concatenate((positions, colours, opacity[:, None], scale, rotation), axis=1)).all(1)
    turned = multiply(TURN, rotation[finite])
    return Splats(
        positions=y_up(positions[finite]),
        colours=_to_8_bit(colours[finite]),
        opacity=opacity[finite].astype(np.float32),
        # The scale is along the splat's own axes, which its rotation turns. The numbers stay.
        scale=scale[finite].astype(np.float32),
        rotation=turned.astype(np.float32),
    )


def _pose(output: dict[str, Any]) -> Pose | None:
    rotation, translation, scale = (_numpy(output[name])[0] for name in ("rotation", "translation", "scale"))
    if not np.isfinite(np.concatenate((rotation, translation, scale))).all():
        return None
    # For column vectors, the rotation is the inverse. Before it, the inverse of TURN takes our vertices back to z-up.
    rotation = multiply(rotation * (1, -1, -1, -1), TURN * (1, -1, -1, -1))
    return Pose(
        rotation=rotation.astype(np.float32),
        translation=translation.astype(np.float32),
        scale=scale[[0, 2, 1]].astype(np.float32),  # along our axes
        frame=CAMERA_FRAME,
    )


def _to_8_bit(colours: npt.NDArray[Any]) -> UInt8:
    rounded: UInt8 = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return rounded


def _numpy(tensor: Any) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = (
        tensor.detach().float().cpu().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()
    )
    return array
