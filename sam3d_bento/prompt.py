"""Prompts: what a caller points at in a photo, by points, a box, or both.

Coordinates are in pixels of the upright photo as it was sent; the first pixel's centre is at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, nan

from sam3d_bento.errors import BadRequest

MAX_POINTS = 64
# Characters of the texts: 64 points of two numbers of ten digits fit in 2000.
MAX_POINTS_CHARACTERS = 2000
MAX_BOX_CHARACTERS = 200
MAX_CANDIDATES = 3

SEND_POINTS = "send x,y,1 for a pixel of the object and x,y,0 for one beside it, separated by semicolons"
SEND_BOX = "send x0,y0,x1,y1: the left, top, right and bottom side in pixels of the upright photo"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """Pixel that was pointed at. inside: whether it belongs to the object."""

    x: float
    y: float
    inside: bool = True


@dataclass(frozen=True)
class Prompt:
    """Points and a box around the object: left, top, right, bottom. At least one of them is there.

    candidate: which of the candidates is chosen, counted from 0 by size; None: the best.
    """

    points: tuple[Point, ...] = ()
    box: Box | None = None
    candidate: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a prompt that says nothing, or that contradicts itself."""
        if self.box is None and not any(point.inside for point in self.points):
            raise ValueError("send a point of the object, x,y,1, or a box: points beside it do not say where it is")
        if self.box is not None:
            left, top, right, bottom = self.box
            for point in self.points:
                if point.inside and not (left <= point.x <= right and top <= point.y <= bottom):
                    raise ValueError(f"the point {point.x:g},{point.y:g} of the object lies outside the box")

    def require_within(self, width: int, height: int) -> None:
        """Raise BadRequest for a point or a box that is not within a photo of this size in pixels."""
        for point in self.points:
            if not (0 <= point.x <= width and 0 <= point.y <= height):
                raise BadRequest(
                    f"The point {point.x:g},{point.y:g} lies outside the photo. {_measured(width, height)}"
                )
        if self.box is not None:
            left, top, right, bottom = self.box
            if left < 0 or top < 0 or right > width or bottom > height:
                raise BadRequest(f"The box reaches beyond the photo. {_measured(width, height)}")

    def resized(self, factor_x: float, factor_y: float) -> Prompt:
        """Return the prompt for the photo at another size: coordinates times the factors."""
        points = tuple(Point(point.x * factor_x, point.y * factor_y, point.inside) for point in self.points)
        box = self.box
        if box is not None:
            box = (box[0] * factor_x, box[1] * factor_y, box[2] * factor_x, box[3] * factor_y)
        return Prompt(points, box, self.candidate)


def points_of_text(text: str) -> tuple[Point, ...]:
    """Read `x,y,1;x,y,0`; a point without its 1 or 0 belongs to the object. Raises ValueError."""
    rows = text.removesuffix(";").split(";")
    if len(rows) > MAX_POINTS:
        raise ValueError(f"send at most {MAX_POINTS} points")
    return points_of([_numbers(row, SEND_POINTS) for row in rows])


def points_of(rows: Iterable[Iterable[float]]) -> tuple[Point, ...]:
    """Return the points of rows (x, y) or (x, y, 1 or 0). Raises ValueError."""
    points = []
    for row in rows:
        numbers = tuple(row)
        x, y, label = numbers if len(numbers) == 3 else (*numbers, 1) if len(numbers) == 2 else (nan, nan, nan)
        if not (isfinite(x) and isfinite(y) and label in (0, 1)):
            raise ValueError(SEND_POINTS)
        points.append(Point(float(x), float(y), label == 1))
    if len(points) > MAX_POINTS:
        raise ValueError(f"send at most {MAX_POINTS} points")
    return tuple(points)


def box_of_text(text: str) -> Box:
    """Read `x0,y0,x1,y1`. Raises ValueError."""
    return box_of(_numbers(text, SEND_BOX))


def box_of(numbers: Iterable[float]) -> Box:
    """Return the box of four numbers. Raises ValueError for other numbers, and for a box without an area."""
    sides = tuple(float(number) for number in numbers)
    if len(sides) != 4 or not all(map(isfinite, sides)):
        raise ValueError(SEND_BOX)
    left, top, right, bottom = sides
    if left >= right or top >= bottom:
        raise ValueError(f"the box has no area; {SEND_BOX}")
    return left, top, right, bottom


def _numbers(text: str, expected: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(expected) from None


def _measured(width: int, height: int) -> str:
    return f"It has {width} × {height} pixels, measured upright, after its EXIF orientation is applied."
