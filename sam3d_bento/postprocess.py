"""Make files from a finished result without inference: its mesh in another size or format, and its picture.

Of the possible sources of a file, the one that loses nothing is used; where two lose nothing, the faster one is used.
Equal options give equal files from either source, because the exporter is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sam3d_bento import __version__, export
from sam3d_bento.arrays import Float32
from sam3d_bento.errors import BadRequest, NotFound
from sam3d_bento.export import conversion, render, size, web_bundle
from sam3d_bento.export.glb import image
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.colliders import add_colliders
from sam3d_bento.export.glb.read import TexturedMesh, read_extras, read_glb
from sam3d_bento.export.glb.scene import PlacedMesh, object_transforms, read_scene, renamed_scene, take_object
from sam3d_bento.export.glb.write import renamed, write_glb
from sam3d_bento.export.levels import packed_levels, to_levels
from sam3d_bento.export.physics import robot_files
from sam3d_bento.export.physics.collision import make_shapes
from sam3d_bento.export.physics.robot_files import BODY_WRITERS
from sam3d_bento.export.pose import join_splats, place_splats
from sam3d_bento.export.scene import assemble_anew
from sam3d_bento.export.size import Placement
from sam3d_bento.export.splat_file import SPLAT_WRITERS
from sam3d_bento.formats import FILE_TYPES, Format, FormatOptions, require
from sam3d_bento.options import SIZE_OPTIONS, USED_VALUES, Options, Origin
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import MeasuredScale, NamedReconstruction, Reconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import (
    ExportSubmission,
    ObjectSubmission,
    OnStageProgress,
    RunnerInfo,
    ThumbnailSubmission,
    check_scene,
)

NOT_KEPT = (
    "This result's reconstruction is not kept, or not any more: it can be had in every format, packed or not, with"
    " any encoding of its texture, but with its own faces, texture size and colours only, and without its gaussians."
)
NOT_OF_SCENES = (
    "This result is a scene, and '{}' is for results of one object. Run the photo with a mask of the object."
)
NO_SPLATS = "This result has no gaussians: its engine gives none."

LEVELS: Format = "glb-lods"

# Options that decide how a GLB is written, not what mesh is in it.
ENCODING_OPTIONS = frozenset({"texture_format", "compress", "double_sided", "name"})
# Options of a GLB that can be read back exactly as it was before it was written.
LOSSLESS = {"texture_format": "png", "compress": False}


class Postprocessor:
    """`Runner` of exports and thumbnails. Needs neither weights nor a GPU."""

    info = RunnerInfo("postprocess", __version__, "cpu", ())

    @classmethod
    def load(cls, settings: Settings) -> Postprocessor:
        """Return a postprocessor. There is nothing to load beyond the import of this module."""
        return cls()

    def run(
        self, order: ExportSubmission | ThumbnailSubmission | ObjectSubmission, on_progress: OnStageProgress
    ) -> bytes:
        """Make the file. Raises NotFound when a file that it needs is no longer kept, and what the exporter raises."""
        on_progress("export", 0.0)
        try:
            if isinstance(order, ThumbnailSubmission):
                made = render.thumbnail(*(each.in_scene() for each in read_scene(order.glb.read_bytes())))
            elif isinstance(order, ObjectSubmission):
                made = _object_of(order.glb.read_bytes(), order.name)
            else:
                made = _export(order, lambda fraction: on_progress("export", 0.9 * fraction))
        except FileNotFoundError as exc:  # removed meanwhile, because it expired
            raise NotFound("The result has just expired.") from exc
        on_progress("export", 1.0)
        return made


def _object_of(glb: bytes, name: str) -> bytes:
    """Return the file of an object of a scene. Raises NotFound for a name that none has, and for a single result."""
    if "objects" not in read_extras(glb):
        raise NotFound("This result is a single object, not a scene.")
    return take_object(glb, name)


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
    if wanted == LEVELS:
        levels = to_levels(dense, options, extras, of_format.lods, on_progress)
        return ExportedFile(packed_levels(levels, options.result_name), levels[0].extras)
    exported = export.to_glb(dense, options if wanted == "glb" else plain(options), extras, on_progress)
    if wanted == "glb":
        return ExportedFile(_with_colliders(exported.glb, of_format), exported.extras)
    meshes = read_scene(exported.glb)
    file = _converted(exported.glb, meshes, exported.extras, wanted, of_format, options.origin)
    return ExportedFile(file, exported.extras)


def converted(glb: bytes, meshes: Sequence[PlacedMesh], dense: Mapping[str, Reconstruction], wanted: Format) -> bytes:
    """Return a GLB in another format, with that format's own defaults.

    meshes: those of the GLB. dense: what it was exported from, for gaussians: in a scene by the names of the objects,
    otherwise by any name. Raises NotFound for gaussians where there are none.
    """
    if wanted == "glb":
        return glb
    extras = read_extras(glb)
    _require_one_object(wanted, extras)
    if wanted == LEVELS:
        if not dense:
            raise NotFound(NOT_KEPT)
        return _levels(next(iter(dense.values())), extras, _options_of(extras), FormatOptions())
    if wanted in SPLAT_WRITERS:
        if not dense:
            raise NotFound(NOT_KEPT)
        name = str(extras["name"])
        if "objects" in extras:
            return _gaussians_of_scene(glb, dense.__getitem__, wanted, name)
        return _gaussians(next(iter(dense.values())), size.read_description(extras)[0], wanted, name)
    return _converted(glb, meshes, extras, wanted, FormatOptions(), extras.get("options", {}).get("origin"))


def _converted(
    glb: bytes,
    meshes: Sequence[PlacedMesh],
    extras: dict[str, Any],
    wanted: Format,
    of_format: FormatOptions,
    origin: Origin | None,
) -> bytes:
    """Return a GLB in another format. meshes, extras: of the GLB. origin: that the caller asks for, if any."""
    sized = size.is_sized(extras)
    if wanted == "web":
        return _web_bundle(glb, meshes, extras, origin)
    if wanted in BODY_WRITERS:
        return robot_files.convert(meshes[0].mesh, wanted, of_format, origin=origin, sized=sized)
    if "objects" in extras:
        return conversion.convert_scene(meshes, extras["name"], wanted, of_format, sized=sized)
    (only,) = meshes
    return conversion.convert(only.mesh, wanted, of_format, origin=origin, sized=sized)


def _web_bundle(glb: bytes, meshes: Sequence[PlacedMesh], extras: dict[str, Any], origin: Origin | None) -> bytes:
    """Return the files of a GLB for a web page. Arguments: as of `_converted`. Raises UnsupportedMedia."""
    require("web")
    scene = "objects" in extras
    options = _options_of(extras)
    small = options.model_copy(update={"texture_format": "webp", "compress": "quantize"})
    if scene:
        small_glb = _scene_anew(None, glb, small, silent)
    else:
        standing = small.model_copy(update={"origin": origin or FILE_TYPES["web"].origin})
        small_glb = _exported_anew(glb, None, standing, silent)
    # Quick Look reads no WebP, and a PNG would be as large as all other files together.
    packed = [replace(each, mesh=_with_jpeg(each.mesh)) for each in meshes]
    usdz = _converted(glb, packed, extras, "usdz", FormatOptions(), origin)
    picture = render.thumbnail(*(each.in_scene() for each in meshes))
    return web_bundle.to_web(small_glb, usdz, picture, options.result_name)


def _with_jpeg(mesh: TexturedMesh) -> TexturedMesh:
    """Return the mesh with its texture as a JPEG."""
    if mesh.texture_type == "image/jpeg":
        return mesh
    picture, media_type = image.encode(mesh.image, "jpeg")
    return replace(mesh, texture=picture, texture_type=media_type)


def _require_one_object(wanted: Format, extras: Mapping[str, Any]) -> None:
    """Raise BadRequest for a scene in a format that only an object has. extras: of the GLB."""
    if "objects" in extras and FILE_TYPES[wanted].one_object:
        raise BadRequest(NOT_OF_SCENES.format(f"format={wanted}"))


def _with_colliders(glb: bytes, of_format: FormatOptions) -> bytes:
    """Return a GLB with the collision shapes that the options of the format ask for. Raises BadRequest for a scene."""
    if of_format.collision is None:
        return glb
    require("glb", of_format)
    if "objects" in read_extras(glb):
        raise BadRequest(NOT_OF_SCENES.format("collision"))
    shapes = make_shapes(read_glb(glb), of_format.collision)
    return add_colliders(glb, [(shape.vertices, shape.faces) for shape in shapes])


def _gaussians_of_scene(
    glb: bytes, dense_of: Callable[[str], Reconstruction], wanted: Format, scene_name: str
) -> bytes:
    """Return the file of all objects' gaussians, placed as in the scene, in a format of SPLAT_WRITERS.

    dense_of: the reconstruction by its name. Raises NotFound where an object has none.
    """
    found = []
    for each in read_scene(glb):
        splats = dense_of(each.mesh.name).splats
        if splats is None or not len(splats.positions):
            raise NotFound(NO_SPLATS)
        placement, _ = size.read_description(read_extras(take_object(glb, each.mesh.name)))
        found.append(place_splats(placement.place_splats(splats), each.matrix))
    return SPLAT_WRITERS[wanted](join_splats(found), scene_name)


def _levels(
    dense: Reconstruction,
    extras: Mapping[str, Any],
    options: Options,
    of_format: FormatOptions,
    on_progress: OnProgress = silent,
) -> bytes:
    """Return the zip archive of a result's levels of detail. extras: of its GLB."""
    levels = to_levels(dense, options, {**extras, **_recorded(options)}, of_format.lods, on_progress)
    return packed_levels(levels, options.result_name)


def _gaussians(dense: Reconstruction, placement: Placement, wanted: Format, name: str) -> bytes:
    """Return the file of the gaussians in a format of SPLAT_WRITERS. Raises NotFound where there are none."""
    if dense.splats is None or not len(dense.splats.positions):
        raise NotFound(NO_SPLATS)
    return SPLAT_WRITERS[wanted](placement.place_splats(dense.splats), name)


def _export(order: ExportSubmission, on_progress: OnProgress) -> bytes:
    """Make a result's file in another format, or by other options."""
    stored = order.glb.read_bytes()
    extras = read_extras(stored)
    before = _options_of(extras)
    wanted = before.changed(_changes(order.format, order.changes))
    scene = "objects" in extras
    check_scene(wanted, extras.get("objects"), has_mask=False)
    _require_one_object(order.format, extras)
    if order.format == LEVELS:
        return _levels(_dense(order.reconstruction), extras, wanted, order.format_options, on_progress)
    if order.format in SPLAT_WRITERS and scene:
        reconstructions = partial(_dense_object, order.reconstruction)
        return _gaussians_of_scene(stored, reconstructions, order.format, wanted.result_name)
    if order.format in SPLAT_WRITERS:
        placement, measured = size.read_description(extras)
        if _size(before) != _size(wanted):
            unplaced = placement.undo(read_glb(stored).positions)
            placement = size.choose_placement(unplaced, wanted, measured)
        return _gaussians(_dense(order.reconstruction), placement, order.format, wanted.result_name)
    if wanted.model_copy(update={"name": before.name}) == before:
        rename = renamed_scene if scene else renamed
        glb = stored if wanted == before else rename(stored, wanted.result_name)
    else:
        written = wanted if order.format == "glb" else plain(wanted)
        anew = _scene_anew if scene else _single_anew
        glb = anew(order.reconstruction, stored, written, on_progress)
    if order.format == "glb":
        return _with_colliders(glb, order.format_options)
    return _converted(glb, read_scene(glb), read_extras(glb), order.format, order.format_options, wanted.origin)


def _options_of(extras: dict[str, Any]) -> Options:
    """Return the options that a file was made with, by its extras."""
    known = {name: value for name, value in extras.get("options", {}).items() if name in Options.model_fields}
    return Options.model_validate(known | {"name": extras.get("name")})


def _recorded(options: Options) -> dict[str, Any]:
    """Return what the extras of a file say of the options that it is made with."""
    return {"options": options.model_dump(exclude=set(USED_VALUES)), "name": options.result_name}


def _single_anew(path: Path | None, stored: bytes, wanted: Options, on_progress: OnProgress) -> bytes:
    """Export the GLB of one object with other options. path: of its reconstruction. Errors: as of `_exported_anew`."""
    return _exported_anew(stored, partial(_dense, path) if _is_kept(path) else None, wanted, on_progress)


def _scene_anew(path: Path | None, stored: bytes, wanted: Options, on_progress: OnProgress) -> bytes:
    """Export the GLB of a scene with other options, object after object. Arguments and errors: as of `_single_anew`."""
    count = len(object_transforms(stored))
    done: list[str] = []

    def change(name: str, part_glb: bytes) -> bytes:
        own = wanted.model_copy(update={"name": name, "frame": "camera", "pose": "network"})
        dense = partial(_dense_object, path, name) if _is_kept(path) else None
        begin, end = (number / count for number in (len(done), len(done) + 1))
        done.append(name)
        same = own == _options_of(read_extras(part_glb))
        return part_glb if same else _exported_anew(part_glb, dense, own, part(on_progress, begin, end))

    return assemble_anew(stored, wanted, change).glb


def _changes(wanted: Format, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes that have an effect in the format: only a GLB can be compressed or have a WebP texture."""
    if wanted in ("glb", LEVELS):
        return changes
    kept = {name: value for name, value in changes.items() if name not in ("compress", "double_sided")}
    return kept | ({"texture_format": "png"} if kept.get("texture_format") == "webp" else {})


def plain(options: Options) -> Options:
    """Return the options of a GLB that loses nothing when it is converted into another format."""
    lossy = {"texture_format": "png"} if options.texture_format == "webp" else {}
    return options.model_copy(update={"compress": False, **lossy})


def _exported_anew(
    stored: bytes, dense: Callable[[], Reconstruction] | None, wanted: Options, on_progress: OnProgress
) -> bytes:
    """Export the GLB of one object with other options than those it was made with.

    dense: loads its reconstruction; None if that is not kept. The source is the stored GLB if the options differ in the
    encoding and the size alone, and if either the stored GLB can be read back exactly or the reconstruction is not
    kept. Otherwise the source is the reconstruction. Raises NotFound when neither is possible, and NoScale for metres
    that are not known.
    """
    extras = read_extras(stored)
    before = _options_of(extras)
    extras = {**extras, **_recorded(wanted)}
    same_size = _size(before) == _size(wanted)
    placement, measured = size.read_description(extras)
    is_exact = before == before.model_copy(update=LOSSLESS) and (same_size or placement.is_identity)
    if _model(before) == _model(wanted) and (is_exact or dense is None):
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
            double_sided=wanted.double_sided,
            relief=mesh.relief,
        )
        check(glb)
        return glb
    if dense is None:
        raise NotFound(NOT_KEPT)
    return export.to_glb(dense(), wanted, extras, on_progress).glb


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


def _dense_object(path: Path | None, name: str) -> Reconstruction:
    """Load the reconstruction of an object of a scene. Raises NotFound when none is kept."""
    if not _is_kept(path):
        raise NotFound(NOT_KEPT)
    assert path is not None
    try:
        return NamedReconstruction.load(path, name)
    except BadRequest:
        raise NotFound(NOT_KEPT) from None


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
