"""Choose the shape class that fits a silhouette, and build the mesh of that class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.texture import Texture
from sam3d_bento.engines.preview.shapes.attachments import (
    Parts,
    build_attachment,
    find_attachments,
    place_attachment,
    uncover,
)
from sam3d_bento.engines.preview.shapes.box import build_box
from sam3d_bento.engines.preview.shapes.cuboid import Cuboid, fit_cuboid, may_be_cuboid
from sam3d_bento.engines.preview.shapes.lathe import STUB_ASYMMETRY, Lathe, fit_lathe
from sam3d_bento.engines.preview.shapes.lathe_refinement import refine_lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.shapes.puff import build_puff
from sam3d_bento.engines.preview.shapes.revolution import revolve
from sam3d_bento.engines.preview.shapes.symmetry import turn_to_axis
from sam3d_bento.options import Shape
from sam3d_bento.progress import OnProgress


def fit_shape(
    canvas: Canvas, camera: Camera, shape: Shape, on_progress: OnProgress, *, calibrated: bool
) -> tuple[PosedMesh, dict[str, Any]]:
    """Fit a shape of the given class and return its mesh.

    Also returns for the report: `shape`, the class that was chosen, `fit`, the figures of each fit made, and `near`,
    where a puff is nearly another class: its name, and the share 0..1 of the silhouette that agrees with it.

    `auto` prefers a box to a lathe, because a box seen over its edge is symmetric too. A class given by name is fitted
    as well as possible. calibrated: whether the focal length is known.
    """
    fits: dict[str, Mapping[str, float]] = {}
    near: dict[str, float | None] = {}
    on_progress(0.0)
    lidded: Cuboid | None = None
    if shape == "box" or (shape == "auto" and may_be_cuboid(canvas)):
        cuboid = fit_cuboid(canvas, camera, calibrated=calibrated)
        fits["box"] = cuboid.figures
        near["box"] = cuboid.nearness
        if shape == "box" or cuboid.fits:
            return build_box(cuboid, Texture.from_canvas(canvas)), {"shape": "box", "fit": fits}
        lidded = cuboid if cuboid.fits_lidded else None
    on_progress(0.2)
    if shape in ("auto", "lathe"):
        lathe, parts = _fit_lathe_with_attachments(canvas, camera)
        fits["lathe"] = lathe.figures
        near["lathe"] = lathe.nearness
        if lathe.fits:
            lathe, camera = refine_lathe(lathe, parts.body, canvas, camera, calibrated=calibrated)
        if shape == "lathe" or lathe.fits:
            attachments = [place_attachment(cells, canvas, parts.body, lathe, camera) for cells in parts.pieces]
            bare, covered = uncover(parts.body, attachments)
            made = revolve(lathe, Texture.from_canvas(bare), camera, covered)
            pieces = [build_attachment(attachment, canvas, lathe, camera) for attachment in attachments]
            for piece in pieces:
                made = made if piece is None else made.join(piece)
            return made, {"shape": "lathe with a handle" if any(pieces) else "lathe", "fit": fits}
    if lidded is not None:
        return build_box(lidded, Texture.from_canvas(canvas)), {"shape": "box", "fit": fits}
    on_progress(0.4)
    details: dict[str, Any] = {"shape": "puff", "fit": fits}
    known = {name: nearness for name, nearness in near.items() if nearness is not None}
    if known:
        nearest = max(known, key=lambda name: known[name])
        details["near"] = {"shape": nearest, "share": known[nearest]}
    return build_puff(canvas, camera), details


def _fit_lathe_with_attachments(canvas: Canvas, camera: Camera) -> tuple[Lathe, Parts]:
    """Fit a lathe to the whole silhouette or, if it fits only that, to the body without what sticks out of it.

    A body without a rim counts only as a whole: every animal has a trunk like an egg. Returns also the parts.
    """
    whole = fit_lathe(turn_to_axis(canvas, camera))
    parts = None if whole.fits else find_attachments(canvas)
    if parts is not None:
        body = fit_lathe(turn_to_axis(parts.body, camera), max_asymmetry=STUB_ASYMMETRY)
        if body.fits and body.rimmed:
            return body, parts
    return whole, Parts(canvas, ())
