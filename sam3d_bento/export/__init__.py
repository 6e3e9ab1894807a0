"""A dense coloured mesh in, a small textured GLB out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam3d_bento.arrays import Float32
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.geometry import POSITION_BITS
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.repair import repair
from sam3d_bento.export.mesh.simplify import simplify_visible
from sam3d_bento.export.mesh.surface import bounds, vertex_normals
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.export.uv.unwrap import unwrap
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import Pose, Reconstruction
from sam3d_bento.warning_codes import WarningCode

__all__ = ["Export", "to_glb"]


@dataclass(frozen=True)
class Export:
    """glb: binary glTF 2.0. extras: what its `asset.extras` holds, JSON values."""

    glb: bytes
    extras: dict[str, Any]


def to_glb(
    reconstruction: Reconstruction, options: Options, extras: Mapping[str, Any], on_progress: OnProgress = silent
) -> Export:
    """Clean, simplify, repair, unwrap, bake, write, check. Equal inputs give equal bytes.

    extras: JSON values to keep in the file, beside the exporter's own. A reconstruction without colours
    becomes grey. Raises BadResult when there is nothing to export, or the result fails its check.
    """
    dense = clean(reconstruction)
    on_progress(0.1)
    with ThreadPoolExecutor(1, thread_name_prefix="export") as beside:
        source = beside.submit(choose_source, dense, reconstruction.splats, options.colour_source)
        vertices, faces = simplify_visible(dense, options.target_faces, part(on_progress, 0.1, 0.4))
        vertices, faces = repair(vertices, faces)
        on_progress(0.4)
        unwrapped = unwrap(vertices, faces, options.texture_size)
    on_progress(0.6)
    # Split along the seams after the normals are known, so that no seam shows in the shading.
    positions = vertices[unwrapped.vertex_map]
    normals = vertex_normals(vertices, faces)[unwrapped.vertex_map]
    texture = bake(
        positions,
        normals,
        unwrapped.uv,
        unwrapped.faces,
        source.result(),
        options.texture_size,
        part(on_progress, 0.6, 0.85),
    )
    on_progress(0.85)
    described = {
        **extras,
        "faces": len(unwrapped.faces),
        "vertices": len(positions),
        "watertight": is_watertight(_as_written(positions, compress=options.compress), unwrapped.faces),
        "texture_size": options.texture_size,
        "colour_source": source.result().name,
    }
    if options.colour_source in ("splats", "fused") and source.result().name == "mesh":
        described["warnings"] = [*described.get("warnings", []), str(WarningCode.SPLATS_MISSING)]
    if reconstruction.pose is not None:
        described["pose"] = _described(reconstruction.pose)
    glb = write_glb(
        positions,
        normals,
        unwrapped.uv,
        unwrapped.faces,
        texture,
        described,
        texture_format=options.texture_format,
        compress=options.compress,
    )
    on_progress(0.95)
    check(glb)
    on_progress(1.0)
    return Export(glb, described)


def _as_written(positions: Float32, *, compress: bool) -> Float32:
    """Return the places (N, 3) that vertices have in the file, in any unit: compressed, they lie on a grid."""
    if not compress:
        return positions
    low, high = bounds(positions)
    step = max(float((high - low).max()) / ((1 << POSITION_BITS) - 1), 1e-12)
    places: Float32 = np.rint((positions - low) / np.float32(step))
    return places


def _described(pose: Pose) -> dict[str, Any]:
    """The pose as JSON values, to six digits: float32 holds hardly more."""

    def plain(vector: Float32) -> list[float]:
        return [round(float(number), 6) for number in vector]

    return {
        "rotation": plain(pose.rotation),
        "translation": plain(pose.translation),
        "scale": plain(pose.scale),
        "frame": pose.frame,
    }
