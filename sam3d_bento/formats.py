"""The files that a model can be had as, and what each of them lets a caller choose.

This is the one description of a format and of a format's option. The route and the form of exports, the command line,
`/api/options`, the studio and the tables in README.md derive from it. The service process imports this: there is no
native code here.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento.errors import BadRequest, UnsupportedMedia

Format = Literal["glb", "obj", "stl", "ply", "ply-splats", "usdz"]
FORMATS: tuple[Format, ...] = get_args(Format)


class FormatOptions(BaseModel):
    """How a model lies in a file whose readers expect another frame or unit than glTF's. Lengths in metres."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    up: Annotated[
        Literal["z", "y"],
        Field(description="The axis that points up: `z` as in slicers, Blender and ROS, `y` as in the GLB."),
    ] = "z"
    longest_side: Annotated[
        float,
        Field(
            ge=0.001,
            le=1000,
            allow_inf_nan=False,
            description="Length of the longest side in metres; the numbers in the file are millimetres.",
        ),
    ] = 0.1
    origin: Annotated[
        Literal["bottom", "centre"],
        Field(description="What lies at height 0: the lowest point, so that the model stands, or the GLB's origin."),
    ] = "bottom"


@dataclass(frozen=True)
class FileType:
    """suffix: of a file's name, without the first dot. description: for people. options: names of `FormatOptions`.

    requires: the module that its writer imports, which the optional dependency `extra` brings; None: nothing.
    from_reconstruction: whether the GLB alone does not suffice to make it.
    """

    suffix: str
    media_type: str
    description: str
    requires: str | None = None
    extra: str | None = None
    options: tuple[str, ...] = ()
    from_reconstruction: bool = False

    @property
    def is_available(self) -> bool:
        """Whether it can be made here."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


FILE_TYPES: dict[Format, FileType] = {
    "glb": FileType("glb", "model/gltf-binary", "binary glTF 2.0"),
    "obj": FileType("obj.zip", "application/zip", "Wavefront OBJ with its material and texture, zipped"),
    "stl": FileType("stl", "model/stl", "binary STL, without colours", options=("up", "longest_side")),
    "ply": FileType("ply", "application/octet-stream", "binary PLY mesh, coloured at its vertices", options=("up",)),
    "ply-splats": FileType(
        "splats.ply", "application/octet-stream", "gaussians, where the engine gave any", from_reconstruction=True
    ),
    "usdz": FileType(
        "usdz",
        "model/vnd.usdz+zip",
        "USD package with its texture",
        requires="pxr",
        extra="usdz",
        options=("origin",),
    ),
}


def by_suffix(name: str) -> Format | None:
    """Return the format that a file of this name has by the longest suffix that fits; None where none does."""
    fitting = [kind for kind in FORMATS if name.lower().endswith(f".{FILE_TYPES[kind].suffix}")]
    return max(fitting, key=lambda kind: len(FILE_TYPES[kind].suffix), default=None)


def available() -> dict[Format, FileType]:
    """Return the formats that can be made here."""
    return {name: kind for name, kind in FILE_TYPES.items() if kind.is_available}


def require(name: Format) -> None:
    """Raise UnsupportedMedia, which names the missing extra, when the format cannot be made here."""
    kind = FILE_TYPES[name]
    if not kind.is_available:
        raise UnsupportedMedia(f"The format '{name}' is not installed here: the server needs the extra '{kind.extra}'.")


def format_options(name: Format, values: Mapping[str, Any], *, strict: bool = False) -> FormatOptions:
    """Return the options of a format that these values give. Their names are those of `FormatOptions`.

    strict: a number must be a number, as in JSON; otherwise its text does as well, as in a form. Raises BadRequest that
    names each option of another format, or each value that an option does not take.
    """
    for option in values:
        if option not in FILE_TYPES[name].options:
            takers = [other for other, kind in FILE_TYPES.items() if option in kind.options]
            raise BadRequest(
                f"The field '{option}' does not go with the format '{name}', only with {', '.join(takers)}."
            )
    try:
        return FormatOptions.model_validate(values, strict=strict)
    except ValidationError as exc:
        faults = "; ".join(f"'{fault['loc'][0]}': {fault['msg']}" for fault in exc.errors(include_context=False))
        raise BadRequest(f"A field has a value that it does not take. {faults}.") from exc
