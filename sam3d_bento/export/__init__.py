"""Turn a dense coloured mesh into a small textured GLB."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sam3d_bento.export import size
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.geometry import as_written
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.repair import repair
from sam3d_bento.export.mesh.simplify import simplify_visible
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.export.texture.detail import measure_detail
from sam3d_bento.export.uv.unwrap import unwrap
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import Pose, Reconstruction
from sam3d_bento.warning_codes import WarningCode

__all__ = ["Export", "to_glb"]


@dataclass(frozen=True)
class Export:
    """Result of an export. glb: binary glTF 2.0. extras: the JSON values that its `asset.extras` holds."""

    glb: bytes
    extras: dict[str, Any]


def to_glb(
    reconstruction: Reconstruction, options: Options, extras: Mapping[str, Any], on_progress: OnProgress = silent
) -> Export:
    """Clean, simplify, repair, unwrap and bake a reconstruction; write and check the GLB.

    extras: JSON values to keep in the file, beside the exporter's own. A reconstruction without colours becomes grey.
    Equal inputs give equal bytes. Raises NoScale for metres that are not known, and BadResult when there is nothing to
    export, or when the result fails its check.
    """
    size.require_scale(options, reconstruction.measured is not None)
    dense = clean(reconstruction)
    on_progress(0.1)
    with ThreadPoolExecutor(1, thread_name_prefix="export") as beside:
        source = beside.submit(choose_source, dense, reconstruction.splats, options.colour_source)
        exact = reconstruction.exact
        if exact is not None and len(exact.faces) <= options.target_faces:
            vertices, faces, normals = exact.vertices, exact.faces, exact.normals
        else:
            vertices, faces = simplify_visible(dense, options.target_faces, part(on_progress, 0.1, 0.4))
            vertices, faces = repair(vertices, faces)
            normals = vertex_normals(vertices, faces)
        on_progress(0.4)
        detail = measure_detail(vertices, normals, faces, source.result().colours, options.texture_size)
        unwrapped = unwrap(vertices, faces, options.texture_size, detail)
    on_progress(0.6)
    # Vertices are split along the seams only after the normals are known, so that no seam shows in the shading.
    positions, normals = vertices[unwrapped.vertex_map], normals[unwrapped.vertex_map]
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
    placement = size.choose_placement(positions, options, reconstruction.measured)
    positions = placement.place(positions)
    described = {
        **extras,
        "name": options.result_name,
        "faces": len(unwrapped.faces),
        "vertices": len(positions),
        "holes_filled": dense.holes_filled,
        "holes_kept": dense.holes_kept,
        "watertight": is_watertight(as_written(positions, options.compress), unwrapped.faces),
        "texture_size": options.texture_size,
        "colour_source": source.result().name,
        "scale": size.describe(positions, placement, options, reconstruction.measured),
    }
    if options.colour_source in ("splats", "fused") and source.result().name == "mesh":
        described["warnings"] = [*described.get("warnings", []), str(WarningCode.SPLATS_MISSING)]
    if reconstruction.pose is not None:
        described["pose"] = placement.place_pose(_described(reconstruction.pose))
    # A reconstruction that an older version has kept has no camera; the GLB beside it says which it was.
    camera = reconstruction.camera
    described["camera"] = described.get("camera") if camera is None else camera.to_json()
    glb = write_glb(
        positions,
        normals,
        unwrapped.uv,
        unwrapped.faces,
        texture,
        described,
        name=options.result_name,
        texture_format=options.texture_format,
        compress=options.compress,
        double_sided=options.double_sided,
    )
    on_progress(0.95)
    check(glb)
    on_progress(1.0)
    return Export(glb, described)


def _described(pose: Pose) -> dict[str, Any]:
    """Return the pose as JSON values."""
    return {
        "rotation": size.rounded(pose.rotation),
        "translation": size.rounded(pose.translation),
        "scale": size.rounded(pose.scale),
        "frame": pose.frame,
    }
