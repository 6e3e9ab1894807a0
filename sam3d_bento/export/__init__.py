"""Turn a dense coloured mesh into a small textured GLB."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import degrees, sqrt
from typing import Any, Self

from sam3d_bento.export import size
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.geometry import as_written
from sam3d_bento.export.glb.relief import Relief
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.tangents import add_tangents
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.export.shapes import Shape, Shapes
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import ColourSource, choose_source
from sam3d_bento.export.texture.detail import measure_detail
from sam3d_bento.export.texture.normal_map import NormalMap, NormalPainter
from sam3d_bento.export.uv.unwrap import unwrap
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import Pose, Reconstruction
from sam3d_bento.warning_codes import WarningCode

__all__ = ["DenseModel", "Export", "to_glb"]

OWN_WARNINGS = frozenset({WarningCode.SPLATS_MISSING, WarningCode.DEVIATION_EXCEEDED})  # of an export, not of a run


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
    with DenseModel(reconstruction, options) as dense:
        on_progress(0.1)
        shape = dense.shape(options, part(on_progress, 0.1, 0.4))
        return dense.export(shape, options, extras, part(on_progress, 0.4, 1.0))


class DenseModel:
    """Cleaned reconstruction, ready to be exported as one file or as several levels of detail.

    Used as a context: what the options' texture needs is prepared in a thread beside the caller, which ends with it.
    Raises BadResult when there is nothing to export.
    """

    def __init__(self, reconstruction: Reconstruction, options: Options) -> None:
        self._reconstruction = reconstruction
        self._surface = clean(reconstruction)
        self.shapes = Shapes(self._surface, reconstruction.exact)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._source = self._beside.submit(choose_source, self._surface, reconstruction.splats, options.colour_source)
        if options.normal_map:
            self._beside.submit(lambda: self._surface.normals)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._beside.shutdown()

    def shape(self, options: Options, on_progress: OnProgress = silent) -> Shape:
        """Return the mesh that the options ask for."""
        if options.max_deviation is not None:
            return self.shapes.within(options.max_deviation, on_progress=on_progress)
        return self.shapes.with_faces(options.target_faces, on_progress)

    def export(
        self, shape: Shape, options: Options, extras: Mapping[str, Any], on_progress: OnProgress = silent
    ) -> Export:
        """Unwrap and bake a mesh of this model; write and check its GLB. extras, errors: as of `to_glb`."""
        reconstruction, source = self._reconstruction, self._source.result()
        detail = measure_detail(shape.vertices, shape.normals, shape.faces, source.colours, options.texture_size)
        unwrapped = unwrap(shape.vertices, shape.faces, options.texture_size, detail)
        on_progress(1 / 3)
        # Vertices are split along the seams only after the normals are known, so that no seam shows in the shading.
        positions, normals = shape.vertices[unwrapped.vertex_map], shape.normals[unwrapped.vertex_map]
        uv, faces = unwrapped.uv, unwrapped.faces
        painter: NormalPainter | None = None
        if options.normal_map and not shape.is_exact:  # the normals of an exact surface are those of its formula
            split = add_tangents(positions, normals, uv, faces)
            painter = NormalPainter(
                source.mesh, normals[split.vertex_map], split.tangents, split.faces, options.texture_size
            )
        texture, normal_map = bake(
            positions,
            normals,
            uv,
            faces,
            source,
            options.texture_size,
            part(on_progress, 1 / 3, 3 / 4),
            painter,
        )
        relief: Relief | None = None
        if normal_map is not None and normal_map.helps:
            relief = Relief(normal_map.image, split.tangents)
            positions, normals, uv = (values[split.vertex_map] for values in (positions, normals, uv))
            faces = split.faces
        on_progress(3 / 4)
        placement = size.choose_placement(positions, options, reconstruction.measured)
        positions = placement.place(positions)
        described = {
            **extras,
            "name": options.result_name,
            "faces": len(faces),
            "vertices": len(positions),
            "deviation": shape.deviation,
            "holes_filled": self._surface.holes_filled,
            "holes_kept": self._surface.holes_kept,
            "watertight": is_watertight(as_written(positions, options.compress), faces),
            "texture_size": options.texture_size,
            "colour_source": source.name,
            "normal_map": _describe_normal_map(normal_map) if options.normal_map else None,
            "scale": size.describe(positions, placement, options, reconstruction.measured),
        }
        if (warnings := _warnings(extras, shape, source, options)) or "warnings" in extras:
            described["warnings"] = warnings
        if reconstruction.pose is not None:
            described["pose"] = placement.place_pose(_described(reconstruction.pose))
        # A reconstruction that an older version has kept has no camera; the GLB beside it says which it was.
        camera = reconstruction.camera
        described["camera"] = described.get("camera") if camera is None else camera.to_json()
        glb = write_glb(
            positions,
            normals,
            uv,
            faces,
            texture,
            described,
            name=options.result_name,
            texture_format=options.texture_format,
            compress=options.compress,
            double_sided=options.double_sided,
            relief=relief,
        )
        on_progress(0.95)
        check(glb)
        on_progress(1.0)
        return Export(glb, described)


def _describe_normal_map(normal_map: NormalMap | None) -> dict[str, Any]:
    """Return what the report says of a normal map that was asked for. None: it was not painted, for an exact surface.

    own_degrees, map_degrees: root mean square angles between the dense mesh's normals and those of the mesh, or of the
    map.
    """
    if normal_map is None:
        return {"included": False, "reason": "exact_surface", "own_degrees": None, "map_degrees": None}
    own, with_map = (round(degrees(sqrt(error)), 2) for error in (normal_map.own_error, normal_map.map_error))
    reason = None if normal_map.helps else "no_gain"
    return {"included": normal_map.helps, "reason": reason, "own_degrees": own, "map_degrees": with_map}


def _warnings(extras: Mapping[str, Any], shape: Shape, source: ColourSource, options: Options) -> list[str]:
    """Return the warnings of `extras`, and what the caller should know about this mesh and its colours.

    A file that is exported again has warnings of its former export, which these replace.
    """
    found = []
    if options.colour_source in ("splats", "fused") and source.name == "mesh":
        found.append(WarningCode.SPLATS_MISSING)
    if options.max_deviation is not None and (shape.deviation or 0) > options.max_deviation:
        found.append(WarningCode.DEVIATION_EXCEEDED)
    others = [code for code in extras.get("warnings", []) if code not in OWN_WARNINGS]
    return others + [str(code) for code in found]


def _described(pose: Pose) -> dict[str, Any]:
    """Return the pose as JSON values."""
    return {
        "rotation": size.rounded(pose.rotation),
        "translation": size.rounded(pose.translation),
        "scale": size.rounded(pose.scale),
        "frame": pose.frame,
    }
