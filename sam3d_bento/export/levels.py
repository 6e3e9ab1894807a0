"""Export a reconstruction in several levels of detail, a GLB each, with what they have in common made once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sam3d_bento import __version__
from sam3d_bento.export import DenseModel, Export, size
from sam3d_bento.export.conversion import zipped
from sam3d_bento.export.shapes import LEAST_FACES, Shape
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import Reconstruction

# A level has a quarter of the faces of the one before: at twice the distance, its triangles are as large on the screen.
# A quarter of the faces of a curved surface deviate four times as far.
FEWER = 4

# The texture is half as wide at each level, for the same reason, down to this many pixels.
SMALLEST_TEXTURE = 256

MANIFEST = "manifest.json"


def to_levels(
    reconstruction: Reconstruction,
    options: Options,
    extras: Mapping[str, Any],
    count: int,
    on_progress: OnProgress = silent,
) -> list[Export]:
    """Export levels of detail, the finest first, which is as `to_glb` with these options makes it.

    Each further level has a quarter of the faces, or four times the `max_deviation`, and half the texture's width. A
    level is called `<name>_lod<number>`, and its `deviation` is measured. There are fewer than `count` where a further
    one would have less than LEAST_FACES faces, or no fewer than the one before. Errors: as of `to_glb`.
    """
    size.require_scale(options, reconstruction.measured is not None)
    levels: list[Export] = []
    with DenseModel(reconstruction, options) as dense:
        on_progress(0.1)
        shape: Shape | None = None
        for number in range(count):
            step = part(on_progress, 0.1 + 0.9 * number / count, 0.1 + 0.9 * (number + 1) / count)
            own = _options_of_level(options, number, shape)
            if shape is not None and len(shape.faces) < FEWER * LEAST_FACES:
                break
            coarser = _shape_of_level(dense, own, shape, part(step, 0, 0.4))
            if shape is not None and len(coarser.faces) >= len(shape.faces):
                break
            shape = coarser
            levels.append(dense.export(shape, own, {**extras, "level": number}, part(step, 0.4, 1)))
    on_progress(1.0)
    return levels


def _options_of_level(options: Options, number: int, finer: Shape | None) -> Options:
    """Return the options of a level. finer: the mesh of the one before, or None for the first."""
    own: dict[str, Any] = {
        "name": f"{options.result_name}_lod{number}",
        "texture_size": max(options.texture_size >> number, SMALLEST_TEXTURE),
    }
    if options.max_deviation is not None:
        own["max_deviation"] = options.max_deviation * FEWER**number
    elif finer is not None:
        own["target_faces"] = len(finer.faces) // FEWER
    return options.model_copy(update=own)


def _shape_of_level(dense: DenseModel, own: Options, finer: Shape | None, on_progress: OnProgress) -> Shape:
    """Return the mesh of a level with its deviation. finer: the mesh of the one before, or None for the first."""
    if own.max_deviation is not None and finer is not None:
        return dense.shapes.within(own.max_deviation, len(finer.faces) // FEWER, on_progress)
    shape = dense.shape(own, on_progress)
    return shape if shape.deviation is not None else dense.shapes.measured(shape)[0]


def packed_levels(levels: list[Export], name: str) -> bytes:
    """Return a zip archive of the levels' files, `<name>_lod0.glb` and so on, and a manifest that describes them."""
    files = {f"{name}_lod{number}.glb": level for number, level in enumerate(levels)}
    described = [
        {
            "file": file,
            **{key: level.extras[key] for key in ("faces", "vertices", "texture_size", "deviation")},
            "bytes": len(level.glb),
        }
        for file, level in files.items()
    ]
    manifest = {"generator": f"sam3d-bento {__version__}", "name": name, "levels": described}
    return zipped(
        {MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode()}
        | {file: level.glb for file, level in files.items()}
    )
