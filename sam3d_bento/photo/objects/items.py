"""Read the list of objects of a scene: JSON in which each item has a mask, or what to find it by."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam3d_bento import names
from sam3d_bento.errors import BadRequest, shown
from sam3d_bento.options import SEED_MAX
from sam3d_bento.prompt import MAX_POINTS, Prompt, box_of, points_of

# The ways to say where an object is; each item has exactly one, but `box` and `points` go together.
WAYS = ("rle", "polygons", "box", "points", "mask")
SHAPE = "Send a list of objects, each with one of rle, polygons, box, points, mask, and perhaps a name and a seed."

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
PointRow = tuple[Coordinate, Coordinate, Literal[0, 1]]
Side = Annotated[int, Field(ge=1, le=1_000_000)]


class Rle(BaseModel):
    """Mask in COCO's run-length encoding. size: height and width. counts: plain, or compressed as a text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: tuple[Side, Side]
    counts: str | list[int]


class Item(BaseModel):
    """Object of a scene. Coordinates are in pixels of the upright photo.

    rle, polygons: its mask. polygons: rings x0, y0, x1, y1, …, by the even-odd rule. box: x0, y0, x1, y1. points: x, y
    and 1 for the object or 0 for what is not. mask: the index, from 0, of a file in the field `masks`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=names.MAX_INPUT_CHARACTERS)] | None = None
    seed: Annotated[int, Field(ge=0, le=SEED_MAX)] | None = None
    rle: Rle | None = None
    polygons: Annotated[list[list[Coordinate]], Field(min_length=1)] | None = None
    box: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = None
    points: Annotated[list[PointRow], Field(min_length=1, max_length=MAX_POINTS)] | None = None
    mask: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _only_useful_prompts(self) -> Item:
        if self.box is not None or self.points is not None:
            self.prompt  # noqa: B018  # raises ValueError for one that says nothing
        return self

    @property
    def prompt(self) -> Prompt:
        """The prompt of `box` and `points`, one of which must be there."""
        return Prompt(points_of(self.points or ()), None if self.box is None else box_of(self.box))

    @property
    def ways(self) -> list[str]:
        """The names of the fields that say where the object is."""
        return [way for way in WAYS if getattr(self, way) is not None]


def read_items(text: str, max_objects: int) -> list[tuple[str, Item]]:
    """Return the items with their names, which are clean and unique; `object-1` and so on for items without one.

    Raises BadRequest that names the item.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"The field 'objects' is not JSON. {SHAPE}") from exc
    if not isinstance(given, list) or not given:
        raise BadRequest(f"The field 'objects' is not a list with at least one object. {SHAPE}")
    if len(given) > max_objects:
        raise BadRequest(f"The field 'objects' has {len(given)} objects; a scene has at most {max_objects}.")
    found: list[tuple[str, Item]] = []
    for index, each in enumerate(given):
        label = spelt(index, each.get("name") if isinstance(each, dict) else None)
        try:
            item = Item.model_validate_json(json.dumps(each))  # strict, but with lists for tuples
        except ValidationError as exc:
            raise BadRequest(f"In 'objects', {label}: {_faults(exc)}.") from exc
        if len(item.ways) != 1 and item.ways != ["box", "points"]:
            raise BadRequest(f"In 'objects', {label} needs exactly one of {', '.join(WAYS)}, or box and points.")
        name = f"object-{index + 1}" if item.name is None else names.cleaned(item.name)
        if name in dict(found):
            raise BadRequest(f"In 'objects', {label} has the name of another object, '{shown(name)}'.")
        found.append((name, item))
    return found


def spelt(index: int, name: object) -> str:
    """Return what a message calls an object: its number, and its name if it has one."""
    number = f"object {index + 1}"
    return f"{number} ('{shown(name)}')" if isinstance(name, str) and name else number


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _faults(error: ValidationError) -> str:
    """Return what is wrong with the fields of an item, the first three of them."""
    faults = error.errors(include_context=False, include_input=False, include_url=False)[:3]
    return "; ".join(
        f"'{shown('.'.join(map(str, fault['loc'])))}': {_said(fault['msg'])}" if fault["loc"] else _said(fault["msg"])
        for fault in faults
    )
