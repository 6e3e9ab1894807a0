"""Inflate any silhouette into a mesh that stands as the photo shows it."""

from __future__ import annotations

from math import atan, radians, tan

from sam3d_bento.engines.preview.camera import Camera, tilt
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import build_closed_surface, undo_perspective

# Elevation from which an upright object is usually photographed, as a tangent. Of 10, 15 and 20 degrees, 15 gave the
# best IoU over the tall objects of the benchmark, which are seen from 8 to 35 degrees.
USUAL_SLOPE = tan(radians(15))

# Height by width from which an object counts as upright, and the range above it over which it comes to count in full.
# A wide object may stand or lie, and leaning it loses as often as it gains.
UPRIGHT_ASPECT = 1.0
UPRIGHT_RANGE = 0.5

# Factor of the depth of an object that is wide, over the same range of width by height: most of these are long things
# that are seen at an angle, such as animals and vehicles. 1.5 times as deep as wide is the best of 1.2, 1.5 and 1.8.
WIDE_DEPTH = 1.25


def build_puff(canvas: Canvas, camera: Camera) -> PosedMesh:
    """Inflate all components of the mask; its holes stay open.

    A tall object stands: its middle plane is upright, as seen by a camera that looks down on it.
    """
    square = compute_squared_height(canvas.distance)
    drawn, faces = build_closed_surface(square)
    colours = paint(canvas, drawn, faces)
    low, high = drawn[:, :2].min(0), drawn[:, :2].max(0)
    width, height = (float(side) for side in high - low)
    slope = USUAL_SLOPE * _ramp(height / width)
    drawn[:, 2] *= 1 + (WIDE_DEPTH - 1) * _ramp(width / height)
    drawn[:, 2] += slope * ((low[1] + high[1]) / 2 - drawn[:, 1])
    return PosedMesh(undo_perspective(drawn, canvas, camera), faces, colours, tilt(atan(slope)), camera)


def _ramp(aspect: float) -> float:
    """Return 0 up to UPRIGHT_ASPECT, 1 from UPRIGHT_RANGE above it, and a share in between."""
    return min(max((aspect - UPRIGHT_ASPECT) / UPRIGHT_RANGE, 0.0), 1.0)
