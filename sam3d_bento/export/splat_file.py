"""Write Gaussians as the PLY file that viewers of 3D Gaussian Splatting read."""

from __future__ import annotations

import numpy as np

from sam3d_bento.reconstruction import SH_C0, Splats

# Limits within which the logit of an opacity and the logarithm of a scale (scene units) are finite. Values beyond them
# look the same: fully opaque, fully transparent, or a point.
OPAQUE = 1 - 1e-6
SMALLEST_SCALE = 1e-9

# Names of the file's properties, in the order of the columns.
FIELDS = (
    *("x", "y", "z", "nx", "ny", "nz"),
    *("f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def to_ply(splats: Splats) -> bytes:
    """Return a binary PLY with the field names of the original code, in the frame of the mesh.

    f_dc holds the sRGB colours, opacity is a logit, scale is a logarithm, and rotation is wxyz. The normals are 0, as
    in the files of the original code.
    """
    opacity = splats.opacity.astype(np.float64).clip(1 - OPAQUE, OPAQUE)
    columns = np.column_stack(
        [
            splats.positions,
            np.zeros_like(splats.positions),
            (splats.colours / 255.0 - 0.5) / SH_C0,
            np.log(opacity / (1 - opacity)),
            np.log(splats.scale.clip(SMALLEST_SCALE)),
            splats.rotation,
        ]
    )
    lines = ("ply", "format binary_little_endian 1.0", f"element vertex {len(columns)}")
    properties = (f"property float {name}" for name in FIELDS)
    header = "\n".join((*lines, *properties, "end_header\n"))
    return header.encode() + columns.astype("<f4").tobytes()
