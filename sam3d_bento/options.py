"""Options of one reconstruction.

This is the only description of an option: its name, values, default and sentence. The HTTP form and its schema, the
query, the command line, the serverless input, the studio and the table in docs/api.md derive from it.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento import names
from sam3d_bento.errors import BadRequest

# Largest seed: that of a signed 32-bit integer, which every random generator in use accepts.
SEED_MAX = 2**31 - 1

Shape = Literal["auto", "puff", "lathe", "box"]
Compression = bool | Literal["quantize"]


class Options(BaseModel):
    """Checked options of one run. Sizes are in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[
        int | None, Field(ge=0, le=SEED_MAX, description="Random seed; if absent, one is chosen and reported.")
    ] = None
    texture_size: Annotated[
        Literal[512, 1024, 2048, 4096], Field(description="Width and height of the base-colour texture, in pixels.")
    ] = 1024
    target_faces: Annotated[int, Field(ge=1_000, le=200_000, description="Largest number of faces of the mesh.")] = (
        40_000
    )
    quality: Annotated[
        Literal["draft", "standard", "high"],
        Field(description="Effort of the engine; the preview engine ignores it."),
    ] = "standard"
    shape: Annotated[
        Shape, Field(description="Shape class of the preview engine; `auto`: the class that fits the silhouette.")
    ] = "auto"
    colour_source: Annotated[
        Literal["auto", "mesh", "splats", "fused"],
        Field(
            description="Source of the texture's colours; `auto`: the mesh, or mesh and splats where the splats "
            "have more detail."
        ),
    ] = "auto"
    texture_format: Annotated[
        Literal["png", "jpeg", "webp"],
        Field(description="Encoding of the texture; `webp` needs a viewer that supports EXT_texture_webp."),
    ] = "png"
    compress: Annotated[
        Compression,
        Field(
            description="`true`: quantized and packed geometry, for viewers that know EXT_meshopt_compression; "
            "`quantize`: quantized alone, for viewers without a decoder."
        ),
    ] = False
    name: Annotated[
        str | None,
        Field(
            max_length=names.MAX_INPUT_CHARACTERS,
            description="What the result is called: its files, its mesh and its material. Cleaned to "
            f"{names.MAX_CHARACTERS} characters; absent: the photo's file name without its suffix.",
        ),
        AfterValidator(lambda text: None if text is None else names.cleaned(text)),
    ] = None

    @property
    def result_name(self) -> str:
        """Return what the result is called: the name, or UNNAMED where there is none."""
        return self.name or names.UNNAMED

    def named_after(self, file_name: str | None) -> "Options":
        """Return the options with the name of the photo's file, if they have no name. None: the file has no name."""
        found = None if file_name is None else names.of_file(file_name)
        return self if self.name is not None or found is None else self.model_copy(update={"name": found})


# Options that a report and `asset.extras` hold with the values that were used, beside `options`.
USED_VALUES = frozenset({"seed", "name"})
# Options that decide what the mesh is, not how it is written. Another value of one needs another run of the engine.
ENGINE_OPTIONS = frozenset({"seed", "quality", "shape"})
# All other options, which a finished result can be exported again with.
EXPORT_OPTIONS = tuple(name for name in Options.model_fields if name not in ENGINE_OPTIONS)


def checked(values: Mapping[str, Any], *, strict: bool = False) -> Options:
    """Return the checked options. Raises BadRequest that names each wrong value.

    The keys of `values` must be names of options.
    strict: accept a number only as a number, as in JSON; otherwise accept its text as well, as in a form.
    """
    try:
        return Options.model_validate(values, strict=strict)
    except ValidationError as exc:
        faults = "; ".join(f"'{fault['loc'][0]}': {fault['msg']}" for fault in exc.errors(include_context=False))
        raise BadRequest(f"A field has an invalid value. {faults}.") from exc


def choices(name: str) -> tuple[Any, ...] | None:
    """Return the values that the option accepts, or None where they are a range."""
    return _listed(Options.model_fields[name].annotation)


def _listed(annotation: Any) -> tuple[Any, ...] | None:
    """Return the values of a type that lists them: Literal, bool, or a union of these; None for any other type."""
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        parts = [_listed(part) for part in get_args(annotation)]
        return None if None in parts else tuple(value for part in parts if part for value in part)
    return None


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Convert options that arrive as texts, as from a form or a command line, into values for `checked`.

    A number in a list of choices becomes a number, because pydantic does not convert these. All other values stay
    texts, from which `checked` reads numbers and booleans.
    """
    values: dict[str, Any] = dict(texts)
    for name, text in texts.items():
        listed = choices(name) if name in Options.model_fields else None
        # The length is limited because Python refuses to read thousands of digits.
        if listed and type(listed[0]) is int and text.isascii() and text.isdigit() and len(text) < 10:
            values[name] = int(text)
    return values
