"""Choose the mesh of a model: the engine's exact surface, or the dense one simplified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.deviation import DeviationGauge
from sam3d_bento.export.mesh.repair import repair
from sam3d_bento.export.mesh.simplify import VisibleSurface
from sam3d_bento.export.mesh.surface import Surface, vertex_normals
from sam3d_bento.options import MAX_FACES
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import ExactSurface

# Numbers of faces: that a search for a deviation begins with, and the least that it tries.
FIRST_TRY = 40_000
LEAST_FACES = 100

# Meshes that a search makes at most. Each takes half a second to a second. More would save less than a tenth of the
# faces.
TRIES = 5

# A search ends early when it knows that this share of the faces of its mesh is too few.
CLOSE_ENOUGH = 0.8

# Share of the limit that a guess aims at, because half of the guesses miss what they aim at.
AIM = 0.9


@dataclass(frozen=True)
class Shape:
    """Mesh of a model before it is unwrapped.

    vertices (V, 3) float32, faces (F, 3) int32, normals (V, 3) float32 of length 1. is_exact: whether it is the
    engine's exact surface. deviation: from the dense surface, as a share of the longest side; None if not measured.
    """

    vertices: Float32
    faces: Int32
    normals: Float32
    is_exact: bool = False
    deviation: float | None = None


class Shapes:
    """Meshes of one model with several numbers of faces. What they have in common is made once.

    dense: the clean surface. exact: the engine's exact surface, or None.
    """

    def __init__(self, dense: Surface, exact: ExactSurface | None) -> None:
        self._dense = dense
        self._exact = exact
        self._largest = 0
        self._visible: VisibleSurface | None = None

    def with_faces(self, target_faces: int, on_progress: OnProgress = silent) -> Shape:
        """Return the mesh of at most `target_faces` faces, whose deviation is not measured.

        Ask for the largest number first: a larger one than before repeats the search for hidden faces.
        """
        exact = self._exact
        if exact is not None and len(exact.faces) <= target_faces:
            return Shape(exact.vertices, exact.faces, exact.normals, is_exact=True)
        return self._simplified(target_faces, on_progress)

    def within(self, max_deviation: float, first_try: int = FIRST_TRY, on_progress: OnProgress = silent) -> Shape:
        """Return a mesh of few faces whose deviation is at most a share of the longest side, and measured.

        first_try: number of faces that the search begins with. The mesh has at most MAX_FACES faces. Where these are
        too few, its deviation is larger than was asked for.
        """
        if self._exact is not None and len(self._exact.faces) <= MAX_FACES:
            shape, deviation = self.measured(self.with_faces(MAX_FACES))
            if deviation <= max_deviation:
                return shape
        most = min(MAX_FACES, len(self._dense.faces))
        too_few, enough = min(LEAST_FACES, most) - 1, most + 1
        best: Shape | None = None
        target = min(first_try, most)
        for number in range(TRIES):
            on_progress(number / TRIES)
            shape, deviation = self.measured(self._simplified(target))
            if deviation <= max_deviation:
                best, enough = shape, target
            elif target == most:
                return shape
            else:
                too_few = target
            if too_few >= CLOSE_ENOUGH * enough or too_few + 1 == enough:
                break
            # Where a surface is curved, the deviation falls in proportion to the number of faces.
            guess = int(target * deviation / (AIM * max_deviation))
            if best is None:
                target = min(guess, most)
            else:
                target = guess if too_few < guess < enough else int(sqrt((too_few + 1) * enough))
        return best or self.measured(self._simplified(most))[0]

    def measured(self, shape: Shape) -> tuple[Shape, float]:
        """Return the mesh with its deviation, and the deviation."""
        deviation = self._gauge.measure(shape.vertices, shape.faces)
        return replace(shape, deviation=deviation), deviation

    def _simplified(self, target_faces: int, on_progress: OnProgress = silent) -> Shape:
        """Return the dense surface simplified to this number of faces, and repaired."""
        if self._visible is None:
            self._visible, self._largest = VisibleSurface(self._dense, target_faces, on_progress), target_faces
        elif target_faces > self._largest:  # as only a search asks for, which may ask for yet more
            self._visible, self._largest = VisibleSurface(self._dense, MAX_FACES, on_progress), MAX_FACES
        vertices, faces = repair(*self._visible.simplify(target_faces))
        return Shape(vertices, faces, vertex_normals(vertices, faces))

    @cached_property
    def _gauge(self) -> DeviationGauge:
        return DeviationGauge(self._dense)
