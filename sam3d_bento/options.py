"""What a caller may choose for one reconstruction.

This is the one description of an option: its name, values, default and sentence. The HTTP form and its schema, the
query, the command line, the serverless input, the studio and the table in README.md derive from it.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento.errors import BadRequest

SEED_MAX = 2**31 - 1  # the range of a signed 32-bit integer, which every random generator we meet accepts

Shape = Literal["auto", "puff", "lathe", "box"]
Compression = bool | Literal["quantize"]


class Options(BaseModel):
    """The choices for one run, checked. Sizes in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int | None, Field(ge=0, le=SEED_MAX, description="Random seed; absent: drawn, and reported.")] = (
        None
    )
    texture_size: Annotated[
        Literal[512, 1024, 2048, 4096], Field(description="Edge of the square base-colour texture, in pixels.")
    ] = 1024
    target_faces: Annotated[int, Field(ge=1_000, le=200_000, description="The mesh has at most this many faces.")] = (
        40_000
    )
    quality: Annotated[
        Literal["draft", "standard", "high"],
        Field(description="Effort of the engine; the preview engine ignores it."),
    ] = "standard"
    shape: Annotated[Shape, Field(description="Shape class of the preview engine; `auto`: the one that fits.")] = "auto"
    colour_source: Annotated[
        Literal["auto", "mesh", "splats", "fused"],
        Field(description="What the texture is painted from; `auto`: mesh, or mesh and splats where splats know more."),
    ] = "auto"
    texture_format: Annotated[
        Literal["png", "jpeg", "webp"],
        Field(description="How the texture is encoded; `webp` needs a viewer that knows EXT_texture_webp."),
    ] = "png"
    compress: Annotated[
        Compression,
        Field(
            description="`true`: quantized and packed geometry, for viewers that know EXT_meshopt_compression; "
            "`quantize`: quantized alone, for viewers without a decoder."
        ),
    ] = False


# What the mesh is, not how it is written: another value of these takes another run of the engine.
ENGINE_OPTIONS = frozenset({"seed", "quality", "shape"})
EXPORT_OPTIONS = tuple(name for name in Options.model_fields if name not in ENGINE_OPTIONS)


def checked(values: Mapping[str, Any], *, strict: bool = False) -> Options:
    """The options in these values, whose names are known. Raises BadRequest that names each wrong one.

    strict: a number must be a number, as in JSON; otherwise its text does as well, as in a form.
    """
    try:
        return Options.model_validate(values, strict=strict)
    except ValidationError as exc:
        faults = "; ".join(f"'{fault['loc'][0]}': {fault['msg']}" for fault in exc.errors(include_context=False))
        raise BadRequest(f"A field has a value that it does not take. {faults}.") from exc


def choices(name: str) -> tuple[Any, ...] | None:
    """Return the values that the option takes, or None where they are not listed one by one."""
    return _listed(Options.model_fields[name].annotation)


def _listed(annotation: Any) -> tuple[Any, ...] | None:
    """Return the values of a type that has few: of Literal, bool, or a union of such."""
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        parts = [_listed(part) for part in get_args(annotation)]
        return None if None in parts else tuple(value for part in parts if part for value in part)
    return None


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of options that came as texts, as a form or a command line has them.

    A number in a list of choices becomes a number, which pydantic does not do by itself. The rest stays text, for
    `checked`, which reads numbers and booleans from texts.
    """
    values: dict[str, Any] = dict(texts)
    for name, text in texts.items():
        listed = choices(name) if name in Options.model_fields else None
        # Python refuses to read thousands of digits
        if listed and type(listed[0]) is int and text.isascii() and text.isdigit() and len(text) < 10:
            values[name] = int(text)
    return values
