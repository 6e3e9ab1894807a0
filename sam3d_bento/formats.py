"""The files that a model can be had as. The service process imports this: names and media types only."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal, get_args

Format = Literal["glb", "obj", "stl", "ply", "ply-splats", "usdz"]
FORMATS: tuple[Format, ...] = get_args(Format)

USDZ_EXTRA = "The format 'usdz' is not installed here: the server needs the extra 'usdz' (usd-core)."


@dataclass(frozen=True)
class FileType:
    """suffix: of a file's name, without the first dot. description: for people."""

    suffix: str
    media_type: str
    description: str


FILE_TYPES: dict[Format, FileType] = {
    "glb": FileType("glb", "model/gltf-binary", "binary glTF 2.0"),
    "obj": FileType("obj.zip", "application/zip", "Wavefront OBJ with its material and texture, zipped"),
    "stl": FileType("stl", "model/stl", "binary STL, without colours"),
    "ply": FileType("ply", "application/octet-stream", "binary PLY mesh, coloured at its vertices"),
    "ply-splats": FileType("splats.ply", "application/octet-stream", "gaussians, where the engine gave any"),
    "usdz": FileType("usdz", "model/vnd.usdz+zip", "USD package with its texture"),
}


def available() -> dict[Format, FileType]:
    """The formats that can be made here."""
    usd = importlib.util.find_spec("pxr") is not None
    return {name: kind for name, kind in FILE_TYPES.items() if name != "usdz" or usd}
