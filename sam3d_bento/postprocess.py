"""Make files from a finished result without inference: its mesh in another size or format, and its picture.

Of the possible sources of a file, the one that loses nothing is used; where two lose nothing, the faster one is used.
Equal options give equal files from either source, because the exporter is deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam3d_bento import __version__, export
from sam3d_bento.arrays import Float32
from sam3d_bento.errors import BadRequest, NotFound
from sam3d_bento.export import conversion, render, size
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.read import TexturedMesh, read_document, read_glb
from sam3d_bento.export.glb.write import renamed, write_glb
from sam3d_bento.export.size import Placement
from sam3d_bento.export.splat_file import SPLAT_WRITERS
from sam3d_bento.formats import Format, FormatOptions
from sam3d_bento.options import SIZE_OPTIONS, USED_VALUES, Options, Origin
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import MeasuredScale, Reconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ExportSubmission, OnStageProgress, RunnerInfo, ThumbnailSubmission

NOT_KEPT = (
    "This result's reconstruction is not kept, or not any more: it can be had in every format, packed or not, with"
    " any encoding of its texture, but with its own faces, texture size and colours only, and without its gaussians."
)
NO_SPLATS = "This result has no gaussians: its engine gives none."

# Options that decide how a GLB is written, not what mesh is in it.
ENCODING_OPTIONS = frozenset({"texture_format", "compress", "name"})
# Options of a GLB that can be read back exactly as it was before it was written.
LOSSLESS = {"texture_format": "png", "compress": False}


class Postprocessor:
    """`Runner` of exports and thumbnails. Needs neither weights nor a GPU."""

    info = RunnerInfo("postprocess", __version__, "cpu", ())

    @classmethod
    def load(cls, settings: Settings) -> Postprocessor:
        """Return a postprocessor. There is nothing to load beyond the import of this module."""
        return cls()

    def run(self, order: ExportSubmission | ThumbnailSubmission, on_progress: OnStageProgress) -> bytes:
        """Make the file. Raises NotFound when a file that it needs is no longer kept, and what the exporter raises."""
        on_progress("export", 0.0)
        try:
            if isinstance(order, ThumbnailSubmission):
                made = render.thumbnail(read_glb(order.glb.read_bytes()))
            else:
                made = _export(order, lambda fraction: on_progress("export", 0.9 * fraction))
        except FileNotFoundError as exc:  # removed meanwhile, because it expired
            raise NotFound("The result has just expired.") from exc
        on_progress("export", 1.0)
        return made


@dataclass(frozen=True)
class ExportedFile:
    """Bytes of a file. facts: the exporter's figures of the mesh, as in `asset.extras`; empty for gaussians."""

    content: bytes
    facts: dict[str, Any]


def export_reconstruction(
    dense: Reconstruction,
    wanted: Format,
    options: Options,
    extras: dict[str, Any],
    of_format: FormatOptions,
    on_progress: OnProgress = silent,
) -> ExportedFile:
    """Export a dense mesh to a file of any format. extras: JSON values for the GLB.

    Raises NotFound for gaussians where there are none, and what the exporter raises.
    """
    if wanted in SPLAT_WRITERS:
        placement = size.choose_placement(dense.vertices, options, dense.measured)
        return ExportedFile(_gaussians(dense, placement, wanted, options.result_name), {})
    exported = export.to_glb(dense, options if wanted == "glb" else plain(options), extras, on_progress)
    if wanted == "glb":
        return ExportedFile(exported.glb, exported.extras)
    mesh = read_glb(exported.glb)
    return ExportedFile(_converted(mesh, exported.extras, wanted, of_format, options.origin), exported.extras)


def converted(glb: bytes, mesh: TexturedMesh, dense: Reconstruction | None, wanted: Format) -> bytes:
    """Return a GLB in another format, with that format's own defaults.

    mesh: that of the GLB. dense: what it was exported from, for gaussians.

    Raises NotFound for gaussians where there are none.
    """
    if wanted == "glb":
        return glb
    extras = read_document(glb)["asset"]["extras"]
    if wanted in SPLAT_WRITERS:
        if dense is None:
            raise NotFound(NOT_KEPT)
        return _gaussians(dense, size.read_description(extras)[0], wanted, mesh.name)
    return _converted(mesh, extras, wanted, FormatOptions(), extras.get("options", {}).get("origin"))


def _converted(
    mesh: TexturedMesh, extras: dict[str, Any], wanted: Format, of_format: FormatOptions, origin: Origin | None
) -> bytes:
    """Return a GLB's mesh in another format. extras: of the GLB. origin: that the caller asks for, if any."""
    return conversion.convert(mesh, wanted, of_format, origin=origin, sized=size.is_sized(extras))


def _gaussians(dense: Reconstruction, placement: Placement, wanted: Format, name: str) -> bytes:
    """Return the file of the gaussians in a format of SPLAT_WRITERS. Raises NotFound where there are none."""
    if dense.splats is None or not len(dense.splats.positions):
        raise NotFound(NO_SPLATS)
    return SPLAT_WRITERS[wanted](placement.place_splats(dense.splats), name)


def _export(order: ExportSubmission, on_progress: OnProgress) -> bytes:
    """Make a result's file in another format, or by other options."""
    stored = order.glb.read_bytes()
    extras = read_document(stored)["asset"]["extras"]
    before = Options.model_validate(
        {name: value for name, value in extras.get("options", {}).items() if name in Options.model_fields}
        | {"name": extras.get("name")}
    )
    wanted = before.changed(_changes(order.format, order.changes))
    if order.format in SPLAT_WRITERS:
        placement, measured = size.read_description(extras)
        if _size(before) != _size(wanted):
            unplaced = placement.undo(read_glb(stored).positions)
            placement = size.choose_placement(unplaced, wanted, measured)
        return _gaussians(_dense(order.reconstruction), placement, order.format, wanted.result_name)
    if wanted.model_copy(update={"name": before.name}) == before:
        glb = stored if wanted == before else renamed(stored, wanted.result_name)
    else:
        written = wanted if order.format == "glb" else plain(wanted)
        glb = _exported_anew(order, stored, extras, before, written, on_progress)
    if order.format == "glb":
        return glb
    extras = read_document(glb)["asset"]["extras"]
    return _converted(read_glb(glb), extras, order.format, order.format_options, wanted.origin)


def _changes(wanted: Format, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes that have an effect in the format: only a GLB can be compressed or have a WebP texture."""
    if wanted == "glb":
        return changes
    kept = {name: value for name, value in changes.items() if name != "compress"}
    return kept | ({"texture_format": "png"} if kept.get("texture_format") == "webp" else {})


def plain(options: Options) -> Options:
    """Return the options of a GLB that loses nothing when it is converted into another format."""
    lossy = {"texture_format": "png"} if options.texture_format == "webp" else {}
    return options.model_copy(update={"compress": False, **lossy})


def _exported_anew(
    order: ExportSubmission,
    stored: bytes,
    extras: dict[str, Any],
    before: Options,
    wanted: Options,
    on_progress: OnProgress,
) -> bytes:
    """Export the GLB of a result with other options than those it was made with. extras: of the stored GLB.

    The source is the stored GLB if the options differ in the encoding and the size alone, and if either the stored GLB
    can be read back exactly or the reconstruction is not kept. Otherwise the source is the reconstruction. Raises
    NotFound when neither is possible, and NoScale for metres that are not known.
    """
    used = {"options": wanted.model_dump(exclude=set(USED_VALUES)), "name": wanted.result_name}
    extras = {**extras, **used}
    same_size = _size(before) == _size(wanted)
    placement, measured = size.read_description(extras)
    is_exact = before == before.model_copy(update=LOSSLESS) and (same_size or placement.is_identity)
    if _model(before) == _model(wanted) and (is_exact or not _is_kept(order.reconstruction)):
        mesh = read_glb(stored)
        positions = mesh.positions
        if not same_size:
            positions, extras = _placed_anew(positions, placement, measured, wanted, extras)
        glb = write_glb(
            positions,
            mesh.normals,
            mesh.uv,
            mesh.faces,
            mesh.image,
            extras,
            name=wanted.result_name,
            texture_format=wanted.texture_format,
            compress=wanted.compress,
        )
        check(glb)
        return glb
    return export.to_glb(_dense(order.reconstruction), wanted, extras, on_progress).glb


def _placed_anew(
    positions: Float32,
    former: Placement,
    measured: MeasuredScale | None,
    options: Options,
    extras: dict[str, Any],
) -> tuple[Float32, dict[str, Any]]:
    """Return positions of the file so far, and its extras, with the size and origin of other options.

    former, measured: as `size.read_description` finds them in the extras.
    """
    unplaced = former.undo(positions)
    placement = size.choose_placement(unplaced, options, measured)
    positions = placement.place(unplaced)
    changed = {"scale": size.describe(positions, placement, options, measured)}
    if extras.get("pose") is not None:
        changed["pose"] = placement.place_pose(former.inverse().place_pose(extras["pose"]))
    return positions, {**extras, **changed}


def _model(options: Options) -> dict[str, Any]:
    """Return the options that decide what mesh and texture are in the file."""
    return options.model_dump(exclude={*ENCODING_OPTIONS, *SIZE_OPTIONS})


def _size(options: Options) -> dict[str, Any]:
    """Return the options that decide the size and the origin."""
    return options.model_dump(include=set(SIZE_OPTIONS))


def _is_kept(path: Path | None) -> bool:
    return path is not None and path.exists()


def _dense(path: Path | None) -> Reconstruction:
    """Load the reconstruction that was kept. Raises NotFound when none is kept."""
    if path is None or not path.exists():
        raise NotFound(NOT_KEPT)
    try:
        return Reconstruction.load(path)
    except BadRequest:
        if path.exists():
            raise
        raise NotFound(NOT_KEPT) from None  # removed meanwhile, because it expired
