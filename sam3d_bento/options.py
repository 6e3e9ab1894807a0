"""What a caller may choose for one reconstruction. HTTP, CLI and docs all read this one description."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SEED_MAX = 2**31 - 1  # the range of a signed 32-bit integer, which every random generator we meet accepts
TEXTURE_SIZES = (512, 1024, 2048, 4096)

TextureSize = Literal[512, 1024, 2048, 4096]
Quality = Literal["draft", "standard", "high"]


class Options(BaseModel):
    """The choices for one run, checked. Sizes in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int | None, Field(ge=0, le=SEED_MAX, description="Random seed; absent: drawn, and reported.")] = (
        None
    )
    texture_size: Annotated[TextureSize, Field(description="Edge of the square base-colour texture, in pixels.")] = 1024
    target_faces: Annotated[int, Field(ge=1_000, le=200_000, description="The mesh has at most this many faces.")] = (
        40_000
    )
    quality: Annotated[Quality, Field(description="Effort of the engine; the preview engine ignores it.")] = "standard"
