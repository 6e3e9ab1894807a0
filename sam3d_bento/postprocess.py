"""What is made of a finished result without inference: the model in another size or format, and its picture.

An export with the options that the result already has is made from the GLB itself; another one from the saved
reconstruction. Equal options give equal files either way, because the exporter is deterministic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sam3d_bento import __version__, export
from sam3d_bento.errors import NotFound
from sam3d_bento.export import conversion, render, splat_file
from sam3d_bento.export.glb import read
from sam3d_bento.formats import Format
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Reconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ExportSubmission, OnStageProgress, RunnerInfo, ThumbnailSubmission

NOT_KEPT = (
    "This result's reconstruction is not kept, or not any more: it can be had in other formats with its own options"
    " only, and not at all when its geometry is compressed."
)
NO_SPLATS = "This result has no gaussians: its engine gives none."
# Readers of the other formats know neither compressed geometry nor WebP.
PLAIN = {"compress": False}
PICTURES = {"png", "jpeg"}


class Postprocessor:
    """A `Runner` of orders; needs neither weights nor a GPU."""

    info = RunnerInfo("postprocess", __version__, "cpu", ())

    @classmethod
    def load(cls, settings: Settings) -> Postprocessor:
        """Nothing to load: the import was it."""
        return cls()

    def run(self, order: ExportSubmission | ThumbnailSubmission, on_progress: OnStageProgress) -> bytes:
        """The file's bytes. Raises NotFound when what it takes is not kept, and what the exporter raises."""
        on_progress("export", 0.0)
        try:
            made = _thumbnail(order) if isinstance(order, ThumbnailSubmission) else _export(order, on_progress)
        except FileNotFoundError as exc:  # swept from under us
            raise NotFound("The result has just expired.") from exc
        on_progress("export", 1.0)
        return made


def _export(order: ExportSubmission, on_progress: OnStageProgress) -> bytes:
    if order.format == "ply-splats":
        splats = _saved(order.reconstruction).splats
        if splats is None:
            raise NotFound(NO_SPLATS)
        return splat_file.to_ply(splats)
    stored = order.glb.read_bytes()
    document = read.describe(stored)
    extras = document["asset"]["extras"]
    given = {name: value for name, value in extras.get("options", {}).items() if name in Options.model_fields}
    before = Options.model_validate(given)
    wanted = _plain(order.format, before.model_copy(update=order.changes))
    if wanted == before:
        return _written(stored, order.format)
    extras = {**extras, "options": wanted.model_dump(exclude={"seed"})}
    dense = _saved(order.reconstruction)
    exported = export.to_glb(dense, wanted, extras, lambda fraction: on_progress("export", 0.9 * fraction))
    return _written(exported.glb, order.format)


def _plain(wanted: Format, options: Options) -> Options:
    """The options with which the exporter makes a GLB that can become that format."""
    if wanted == "glb":
        return options
    changes: dict[str, Any] = dict(PLAIN)
    if options.texture_format not in PICTURES:
        changes["texture_format"] = "png"
    return options.model_copy(update=changes)


def _written(glb: bytes, wanted: Format) -> bytes:
    if wanted == "glb":
        return glb
    return conversion.WRITERS[wanted](read.read(glb))


def _thumbnail(order: ThumbnailSubmission) -> bytes:
    return render.thumbnail(render.of_result(order.glb.read_bytes(), lambda: _saved(order.reconstruction)))


def _saved(path: Path | None) -> Reconstruction:
    if path is None or not path.exists():
        raise NotFound(NOT_KEPT)
    return Reconstruction.load(path)
