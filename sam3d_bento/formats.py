"""The files that a model can be had as. The service process imports this: names and media types only."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal, get_args

from sam3d_bento.errors import UnsupportedMedia

Format = Literal["glb", "obj", "stl", "ply", "ply-splats", "usdz"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class FileType:
    """suffix: of a file's name, without the first dot. description: for people.

    requires: the module that its writer imports, which the optional dependency `extra` brings; None: nothing.
    """

    suffix: str
    media_type: str
    description: str
    requires: str | None = None
    extra: str | None = None

    @property
    def is_available(self) -> bool:
        """Whether it can be made here."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


FILE_TYPES: dict[Format, FileType] = {
    "glb": FileType("glb", "model/gltf-binary", "binary glTF 2.0"),
    "obj": FileType("obj.zip", "application/zip", "Wavefront OBJ with its material and texture, zipped"),
    "stl": FileType("stl", "model/stl", "binary STL, without colours"),
    "ply": FileType("ply", "application/octet-stream", "binary PLY mesh, coloured at its vertices"),
    "ply-splats": FileType("splats.ply", "application/octet-stream", "gaussians, where the engine gave any"),
    "usdz": FileType("usdz", "model/vnd.usdz+zip", "USD package with its texture", requires="pxr", extra="usdz"),
}


def available() -> dict[Format, FileType]:
    """Return the formats that can be made here."""
    return {name: kind for name, kind in FILE_TYPES.items() if kind.is_available}


def require(name: Format) -> None:
    """Raise UnsupportedMedia, which names the missing extra, when the format cannot be made here."""
    kind = FILE_TYPES[name]
    if not kind.is_available:
        raise UnsupportedMedia(f"The format '{name}' is not installed here: the server needs the extra '{kind.extra}'.")
