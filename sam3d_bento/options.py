"""What a caller may choose for one reconstruction. HTTP, CLI and docs all read this one description."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento.errors import BadRequest

SEED_MAX = 2**31 - 1  # the range of a signed 32-bit integer, which every random generator we meet accepts

_Size = Literal[512, 1024, 2048, 4096]
_Effort = Literal["draft", "standard", "high"]
_Class = Literal["auto", "puff", "lathe", "box"]
_Colours = Literal["auto", "mesh", "splats", "fused"]
_Format = Literal["png", "jpeg", "webp"]

TEXTURE_SIZES: tuple[int, ...] = get_args(_Size)
QUALITIES: tuple[str, ...] = get_args(_Effort)
SHAPES: tuple[str, ...] = get_args(_Class)
COLOUR_SOURCES: tuple[str, ...] = get_args(_Colours)
TEXTURE_FORMATS: tuple[str, ...] = get_args(_Format)

Seed = Annotated[int | None, Field(ge=0, le=SEED_MAX, description="Random seed; absent: drawn, and reported.")]
TextureSize = Annotated[_Size, Field(description="Edge of the square base-colour texture, in pixels.")]
TargetFaces = Annotated[int, Field(ge=1_000, le=200_000, description="The mesh has at most this many faces.")]
Quality = Annotated[_Effort, Field(description="Effort of the engine; the preview engine ignores it.")]
Shape = Annotated[_Class, Field(description="Shape class of the preview engine; `auto`: the one that fits.")]
ColourSource = Annotated[
    _Colours,
    Field(description="What the texture is painted from; `auto`: mesh, or mesh and splats where splats know more."),
]
TextureFormat = Annotated[
    _Format, Field(description="How the texture is encoded; `webp` needs a viewer that knows EXT_texture_webp.")
]
Compress = Annotated[
    bool, Field(description="Quantized and packed geometry, for viewers that know EXT_meshopt_compression.")
]


class Options(BaseModel):
    """The choices for one run, checked. Sizes in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Seed = None
    texture_size: TextureSize = 1024
    target_faces: TargetFaces = 40_000
    quality: Quality = "standard"
    shape: Shape = "auto"
    colour_source: ColourSource = "auto"
    texture_format: TextureFormat = "png"
    compress: Compress = False


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
