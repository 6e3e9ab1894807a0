"""What a caller may choose for one reconstruction. HTTP, CLI and docs all read this one description."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento.errors import BadRequest

SEED_MAX = 2**31 - 1  # the range of a signed 32-bit integer, which every random generator we meet accepts

_Size = Literal[512, 1024, 2048, 4096]
_Effort = Literal["draft", "standard", "high"]

TEXTURE_SIZES: tuple[int, ...] = get_args(_Size)
QUALITIES: tuple[str, ...] = get_args(_Effort)

Seed = Annotated[int | None, Field(ge=0, le=SEED_MAX, description="Random seed; absent: drawn, and reported.")]
TextureSize = Annotated[_Size, Field(description="Edge of the square base-colour texture, in pixels.")]
TargetFaces = Annotated[int, Field(ge=1_000, le=200_000, description="The mesh has at most this many faces.")]
Quality = Annotated[_Effort, Field(description="Effort of the engine; the preview engine ignores it.")]


class Options(BaseModel):
    """The choices for one run, checked. Sizes in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Seed = None
    texture_size: TextureSize = 1024
    target_faces: TargetFaces = 40_000
    quality: Quality = "standard"


def checked(values: Mapping[str, Any], *, strict: bool = False) -> Options:
    """The options in these values, whose names are known. Raises BadRequest that names each wrong one.

    strict: a number must be a number, as in JSON; otherwise its text does as well, as in a form.
    """
    try:
        return Options.model_validate(values, strict=strict)
    except ValidationError as exc:
        faults = "; ".join(f"'{fault['loc'][0]}': {fault['msg']}" for fault in exc.errors(include_context=False))
        raise BadRequest(f"A field has a value that it does not take. {faults}.") from exc
