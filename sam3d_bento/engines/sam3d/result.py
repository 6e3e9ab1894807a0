"""Turn upstream's tensors into this project's `Reconstruction`. This is the only place where z-up becomes y-up.

Upstream's object frame is z-up. A rotation by -90 degrees about x turns (x, y, z) into (x, z, -y): y-up, right-handed,
the same numbers. Upstream's pose takes row vectors to the camera frame: `(points * scale) @ matrix(rotation) +
translation`. The pose of a `Reconstruction` does the same to its vertices as column vectors, which is the usual meaning
of a quaternion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sam3d_bento.arrays import Float32
from sam3d_bento.camera import PYTORCH3D_FRAME
from sam3d_bento.reconstruction import SH_C0, Pose, Reconstruction, Splats

# Quaternion wxyz of the rotation by -90 degrees about x: the half angle gives cos 45° and -sin 45°.
TURN = np.array([np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0])

# Each array begins at a multiple of this, as NumPy's own memory does.
ALIGNMENT_BYTES = 64


def to_reconstruction(output: dict[str, Any], details: dict[str, Any]) -> Reconstruction:
    """Return the output of upstream's `run` as a reconstruction in main memory. details: as in `Reconstruction`.

    Colours are those of the network, in sRGB (upstream writes them into its GLB unchanged). A pose that is not finite,
    because no depth was found inside the mask, is omitted. Splats that are not finite are omitted as well.

    All is computed where the tensors are, and copied to main memory at once.
    """
    mesh = output["mesh"][0]
    tensors = {
        "vertices": _y_up(mesh.vertices),
        "faces": mesh.faces.int(),
        "colours": _to_8_bit(mesh.vertex_attrs[:, :3]),
    }
    tensors |= {name: output[name][0].float() for name in ("rotation", "translation", "scale")}
    if "gaussian" in output:
        tensors |= {f"splats.{name}": tensor for name, tensor in _splats(output["gaussian"][0]).items()}
    arrays = _to_main_memory(tensors)
    splats = None
    if "gaussian" in output:
        found = {name.removeprefix("splats."): array for name, array in arrays.items() if name.startswith("splats.")}
        finite = found.pop("finite")
        splats = Splats(**(found if finite.all() else {name: array[finite] for name, array in found.items()}))
    return Reconstruction(
        vertices=arrays["vertices"],
        faces=arrays["faces"],
        colours=arrays["colours"],
        splats=splats,
        pose=_pose(arrays["rotation"], arrays["translation"], arrays["scale"]),
        details=details,
    )


def _multiply(one: npt.NDArray[Any], other: Any) -> Any:
    """Return the Hamilton product of quaternions wxyz: the rotation of `other`, followed by that of `one`.

    one (4,): an array. other (..., 4): an array or a tensor, which the result is too.
    """
    w, x, y, z = (float(part) for part in one)
    a, b, c, d = (other[..., place] for place in range(4))
    parts = (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )
    return torch.stack(parts, -1) if isinstance(other, torch.Tensor) else np.stack(parts, -1)


def _y_up(points: torch.Tensor) -> torch.Tensor:
    """Return points (N, 3) of upstream's z-up frame in the y-up frame, float32."""
    return torch.stack((points[:, 0], points[:, 2], -points[:, 1]), 1).float()


def _to_8_bit(colours: torch.Tensor) -> torch.Tensor:
    return (colours.float().clamp(0, 1) * 255).round().to(torch.uint8)


def _splats(gaussian: Any) -> dict[str, torch.Tensor]:
    """Return the fields of `Splats`, and which splats are `finite` (N,), bool."""
    position, rotation = gaussian.get_xyz.float(), gaussian.get_rotation.float()
    colour = 0.5 + SH_C0 * gaussian.get_features.float()[:, 0]
    opacity, scale = gaussian.get_opacity.float()[:, 0], gaussian.get_scaling.float()
    return {
        "positions": _y_up(position),
        "colours": _to_8_bit(colour),
        "opacity": opacity,
        # The scale is along the splat's own axes, which its rotation turns. The numbers stay.
        "scale": scale,
        "rotation": _multiply(TURN, rotation),
        "finite": torch.cat((position, colour, opacity[:, None], scale, rotation), 1).isfinite().all(1),
    }


def _pose(rotation: Float32, translation: Float32, scale: Float32) -> Pose | None:
    if not np.isfinite(np.concatenate((rotation, translation, scale))).all():
        return None
    # For column vectors, the rotation is the inverse. Before it, the inverse of TURN takes our vertices back to z-up.
    inverse = _multiply(rotation.astype(np.float64) * (1, -1, -1, -1), TURN * (1, -1, -1, -1))
    return Pose(
        rotation=inverse.astype(np.float32),
        translation=translation,
        scale=scale[[0, 2, 1]],  # along our axes
        # In the unit of the point map: metres where the caller's was in metres. The depth model (MoGe, version 1) has
        # no unit: it finds depth up to one factor per photo.
        frame=PYTORCH3D_FRAME,
    )


def _to_main_memory(tensors: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Copy tensors to main memory; return contiguous arrays, which share one block of memory.

    From a GPU, the block is page-locked, so that all are copied at the full speed of the bus, and waited for
    once.
    """
    sizes = {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}
    places, end = {}, 0
    for name, size in sizes.items():
        places[name], end = end, end + -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    cuda = next(iter(tensors.values())).is_cuda
    block = torch.empty(end, dtype=torch.uint8, device="cpu", pin_memory=cuda)
    arrays = {}
    for name, tensor in tensors.items():
        part = block[places[name] : places[name] + sizes[name]].view(tensor.dtype).view(tensor.shape)
        arrays[name] = part.copy_(tensor.detach(), non_blocking=True).numpy()
    if cuda:
        torch.cuda.current_stream().synchronize()
    return arrays
