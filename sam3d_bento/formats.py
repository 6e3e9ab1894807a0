"""File formats of a result, and the options of each format.

This is the only description of a format and of its options. The route and the form of exports, the command line,
`/api/options`, the studio and the tables in docs/api.md derive from it. The service process imports this module, so it
contains no native code.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.options import Origin, faults

Format = Literal[
    "glb", "glb-lods", "obj", "stl", "ply", "ply-splats", "splats-glb", "usdz", "urdf", "mjcf", "3mf", "web"
]
FORMATS: tuple[Format, ...] = get_args(Format)


Collision = Literal["hull", "parts"]
# Module and package that divide a model into convex parts, and the extra that has the package.
PARTS_MODULE, PARTS_PACKAGE, PARTS_EXTRA = "coacd", "coacd", "collision"


class FormatOptions(BaseModel):
    """What only some formats have: the frame that their readers expect, levels of detail, what a simulation needs.

    Sizes are in `Options`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    up: Annotated[
        Literal["z", "y"],
        Field(description="Axis that points up: `z` as in slicers, Blender and ROS, `y` as in the GLB."),
    ] = "z"
    collision: Annotated[
        Collision | None,
        Field(
            description="Convex collision shapes; `hull`: one around the model; `parts`: up to 16, by CoACD. If "
            "absent: `hull` in URDF and MJCF, none in the GLB."
        ),
    ] = None
    density: Annotated[
        float,
        Field(
            ge=10,
            le=25_000,
            allow_inf_nan=False,
            description="Kilograms per cubic metre, which with the volume give mass and inertia; water has 1000.",
        ),
    ] = 1000
    lods: Annotated[
        int,
        Field(ge=2, le=4, description="Levels of detail; each has a quarter of the faces of the one before."),
    ] = 3


@dataclass(frozen=True)
class FileType:
    """Properties of a file format.

    suffix: of a file name, without the first dot. description: for people.
    requires: the module that the writer imports, or None. package: the package that has the module.
    options: the names in `FormatOptions` that the format accepts.
    up: the axis that points up, of a format without the option `up`. needs_size: whether the size must be known.
    units_per_metre: of the file's numbers. unsized_metres: longest side of a model whose size is not known; None for a
    side of one unit. origin: the default of `Options.origin`.
    from_reconstruction: whether the file needs the reconstruction, because the GLB lacks part of its content.
    of_splats: whether the file is one of gaussians, which not every engine makes.
    one_object: whether the format is for results of one object, and scenes are refused.
    """

    suffix: str
    media_type: str
    description: str
    requires: str | None = None
    package: str | None = None
    options: tuple[str, ...] = ()
    up: Literal["y", "z"] = "y"
    needs_size: bool = False
    units_per_metre: int = 1
    unsized_metres: float | None = None
    origin: Origin = "centre"
    from_reconstruction: bool = False
    of_splats: bool = False
    one_object: bool = False

    @property
    def is_available(self) -> bool:
        """Whether files of this format can be written in this installation."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


# Properties of each format, in the order in which they are listed to clients.
FILE_TYPES: dict[Format, FileType] = {
    "glb": FileType("glb", "model/gltf-binary", "binary glTF 2.0", options=("collision",)),
    "glb-lods": FileType(
        "lods.zip",
        "application/zip",
        "binary glTF 2.0 in several levels of detail, a file each, zipped",
        options=("lods",),
        from_reconstruction=True,
        one_object=True,
    ),
    "obj": FileType("obj.zip", "application/zip", "Wavefront OBJ with its material and texture, zipped"),
    "stl": FileType(
        "stl",
        "model/stl",
        "binary STL, without colours",
        options=("up",),
        # Slicers read an STL, which has no unit, in millimetres. Without a size it is a print of 100 mm.
        units_per_metre=1000,
        unsized_metres=0.1,
    ),
    "ply": FileType("ply", "application/octet-stream", "binary PLY mesh, coloured at its vertices", options=("up",)),
    "ply-splats": FileType(
        "splats.ply",
        "application/octet-stream",
        "Gaussian splats, if the engine made any",
        from_reconstruction=True,
        of_splats=True,
    ),
    "splats-glb": FileType(
        "splats.glb",
        "model/gltf-binary",
        "binary glTF 2.0 of Gaussian splats, if the engine made any",
        from_reconstruction=True,
        of_splats=True,
    ),
    "usdz": FileType(
        "usdz",
        "model/vnd.usdz+zip",
        "USD package with its texture",
        requires="pxr",
        package="usd-core",
        origin="bottom",  # AR Quick Look puts the origin on the floor
    ),
    "urdf": FileType(
        "urdf.zip",
        "application/zip",
        "URDF of one link with its mesh, texture, collision shapes, mass and inertia, zipped",
        options=("collision", "density"),
        up="z",  # as in ROS (REP 103)
        needs_size=True,
        one_object=True,
        origin="bottom",
    ),
    "mjcf": FileType(
        "mjcf.zip",
        "application/zip",
        "MuJoCo's XML of one body with its mesh, texture, collision shapes, mass and inertia, zipped",
        options=("collision", "density"),
        up="z",  # gravity pulls along -z
        needs_size=True,
        one_object=True,
        origin="bottom",
    ),
    "3mf": FileType(
        "3mf",
        "model/3mf",
        "3MF for printing, coloured at its vertices",
        requires="lib3mf",
        package="lib3mf",
        up="z",
        units_per_metre=1000,
        unsized_metres=0.1,  # as the STL
        origin="bottom",
    ),
    "web": FileType(
        "web.zip",
        "application/zip",
        "a small GLB, a USDZ, a picture and a page that shows them, zipped",
        requires="pxr",
        package="usd-core",
        origin="bottom",
    ),
}


def by_suffix(name: str) -> Format | None:
    """Return the format whose suffix the file name has, the longest suffix first; None if it has no known suffix."""
    fitting = [kind for kind in FORMATS if name.lower().endswith(f".{FILE_TYPES[kind].suffix}")]
    return max(fitting, key=lambda kind: len(FILE_TYPES[kind].suffix), default=None)


def available() -> dict[Format, FileType]:
    """Return the formats that can be written in this installation."""
    return {name: kind for name, kind in FILE_TYPES.items() if kind.is_available}


def require(name: Format, options: FormatOptions | None = None) -> None:
    """Raise UnsupportedMedia, which names the missing package, when the format cannot be written with these options."""
    kind = FILE_TYPES[name]
    if not kind.is_available:
        raise UnsupportedMedia(f"The format '{name}' is not written here: the server lacks the package {kind.package}.")
    if options is not None and options.collision == "parts" and importlib.util.find_spec(PARTS_MODULE) is None:
        raise UnsupportedMedia(
            f"'collision=parts' is not made here: the server lacks the package {PARTS_PACKAGE}, which"
            f" pip install 'sam3d-bento[{PARTS_EXTRA}]' installs. 'collision=hull' needs nothing."
        )


def takers(option: str) -> list[Format]:
    """Return the formats that accept this option of `FormatOptions`."""
    return [name for name, kind in FILE_TYPES.items() if option in kind.options]


def format_options(name: Format, values: Mapping[str, Any], *, strict: bool = False) -> FormatOptions:
    """Return the checked options of a format. The keys of `values` are names in `FormatOptions`.

    strict: accept a number only as a number, as in JSON; otherwise accept its text as well, as in a form.
    Raises BadRequest that names an option of another format, or each value that its option does not accept.
    """
    for option in values:
        if option not in FILE_TYPES[name].options:
            raise BadRequest(
                f"The field '{option}' does not go with the format '{name}', only with {', '.join(takers(option))}."
            )
    try:
        return FormatOptions.model_validate(values, strict=strict)
    except ValidationError as exc:
        raise BadRequest(f"A field has an invalid value. {faults(exc)}.") from exc
