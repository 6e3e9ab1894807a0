"""Choose the shape class that fits a silhouette, and build the mesh of that class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.texture import Texture
from sam3d_bento.engines.preview.shapes.box import build_box
from sam3d_bento.engines.preview.shapes.cuboid import fit_cuboid, may_be_cuboid
from sam3d_bento.engines.preview.shapes.handle import build_handle
from sam3d_bento.engines.preview.shapes.lathe import fit_lathe
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

    Also returns for the report: `shape`, the class that was chosen, and `fit`, the figures of each fit made.

    `auto` prefers a box to a lathe, because a box seen over its edge is symmetric too. A class given by name is fitted
    as well as possible. calibrated: whether the focal length is known.
    """
    fits: dict[str, Mapping[str, float]] = {}
    on_progress(0.0)
    if shape == "box" or (shape == "auto" and may_be_cuboid(canvas)):
        cuboid = fit_cuboid(canvas, camera, calibrated=calibrated)
        fits["box"] = cuboid.figures
        if shape == "box" or cuboid.fits:
            return build_box(cuboid, Texture.from_canvas(canvas)), {"shape": "box", "fit": fits}
    on_progress(0.2)
    if shape in ("auto", "lathe"):
        lathe = fit_lathe(turn_to_axis(canvas, camera))
        fits["lathe"] = lathe.figures
        handle = build_handle(lathe, canvas, camera) if lathe.handle_side else None
        if shape == "lathe" or (lathe.fits and (handle or not lathe.handle_side)):
            body = revolve(lathe, Texture.from_canvas(canvas), camera, handle[1] if handle else canvas)
            made = body.join(handle[0]) if handle else body
            return made, {"shape": "lathe with a handle" if handle else "lathe", "fit": fits}
    on_progress(0.4)
    return build_puff(canvas, camera), {"shape": "puff", "fit": fits}
