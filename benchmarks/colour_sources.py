"""How close each colour source comes to the true colours and to the dense mesh's own, and how many specks it leaves.

The models of benchmarks/export_textures.py, with splats whose colours have noise of one, three and six percent. Each is
simplified and unwrapped once for each noise, and all sources are compared at the same texels.
Usage: python benchmarks/colour_sources.py [--models coffee,page] [--noises 0.03] [--json FILE]. Takes 15 CPU minutes;
prints a table and writes benchmarks/results/colour-sources.json. FILE gets each row when it is done.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from export import RESULTS, TEXTURE_SIZE
from export_paths import TARGET_FACES
from export_textures import CHOSEN_ON, TEXTURED, make_textured
from scipy.ndimage import median_filter

from sam3d_bento.export import raster
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.surface import Surface, face_areas, mix, unit
from sam3d_bento.export.shapes import Shapes
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.uv.unwrap import unwrap

NOISES = (0.01, 0.03, 0.06)
CHOICES = ("mesh", "splats", "fused", "auto")

# A speck is a texel that is so many levels from the median of its 5 x 5 texels, and from every true colour within about
# a texel of its place. At hard borders the mesh's own colours, which are a blur, have such texels too.
SPECK_LEVELS = 40
NEARBY = 40  # places around a texel at which the true colour is looked up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(TEXTURED))
    parser.add_argument("--noises", default=",".join(map(str, NOISES)))
    parser.add_argument("--json", type=Path, default=RESULTS / "colour-sources.json")
    asked = parser.parse_args()
    print(
        "| model | noise | auto took | dB to the truth: mesh, splats, fused, auto | auto to mesh | specks: mesh, auto |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for name in asked.models.split(","):
        for noise in map(float, asked.noises.split(",")):
            rows.append(measure(name, noise))
            print_row(rows[-1])
            result = {"date": datetime.now(UTC).date().isoformat(), "texture_size": TEXTURE_SIZE, "rows": rows}
            asked.json.write_text(json.dumps(result, indent=1) + "\n")
    behind = min(row["truth"]["auto"] - max(row["truth"]["mesh"], row["truth"]["splats"]) for row in rows)
    print(f"auto beside the better single source: {behind:+.2f} dB at worst")


def measure(name: str, noise: float) -> dict[str, Any]:
    """Return the figures of one model with splats of one noise."""
    case = make_textured(name, noise)
    assert case.paint is not None
    dense = clean(case.reconstruction)
    shape = Shapes(dense, None).with_faces(TARGET_FACES)
    unwrapped = unwrap(shape.vertices, shape.faces, TEXTURE_SIZE)
    positions, normals = shape.vertices[unwrapped.vertex_map], shape.normals[unwrapped.vertex_map]
    sources = {choice: choose_source(dense, case.reconstruction.splats, choice) for choice in CHOICES}
    textures = {
        choice: bake(positions, normals, unwrapped.uv, unwrapped.faces, source, TEXTURE_SIZE)
        for choice, source in sources.items()
    }

    index, places = texels(positions, normals, unwrapped.uv, unwrapped.faces)
    # The place on the dense surface that each texel shows: a mesh coloured by place is looked up there.
    by_place = Surface(dense.vertices, dense.faces, 255 * (dense.vertices + 0.5))
    feet = MeshSource(by_place).colours(*places) / 255 - 0.5
    true = 255 * case.paint(feet.astype(float)).clip(0, 1)
    shown = {choice: texture.reshape(-1, 3)[index].astype(float) for choice, texture in textures.items()}
    texel = np.sqrt(face_areas(shape.vertices, shape.faces).sum() / len(index))
    specks = {}
    for choice, texture in textures.items():
        medians = np.stack([median_filter(texture[..., k], 5) for k in range(3)], axis=2).reshape(-1, 3)[index]
        far = np.abs(shown[choice] - medians).max(axis=1) > SPECK_LEVELS
        far &= np.abs(shown[choice] - true).max(axis=1) > SPECK_LEVELS
        random = np.random.default_rng(0)
        for _ in range(NEARBY):
            some = np.flatnonzero(far)
            near = feet[some] + random.normal(scale=0.7 * texel, size=(len(some), 3))
            off = np.abs(shown[choice][some] - 255 * case.paint(near.astype(float)).clip(0, 1)).max(axis=1)
            far[some] = off > SPECK_LEVELS
        specks[choice] = int(far.sum())
    return {
        "model": name,
        "noise": noise,
        "chosen_on": name in CHOSEN_ON,
        "auto": sources["auto"].name,
        "truth": {choice: decibels(colours - true) for choice, colours in shown.items()},
        "mesh": {choice: decibels(shown[choice] - shown["mesh"]) for choice in CHOICES[1:]},
        "specks": specks,
    }


def texels(positions: Any, normals: Any, uv: Any, faces: Any) -> tuple[Any, tuple[Any, Any]]:
    """Return the texels (N,) that faces cover, and their places (N, 3) and unit normals (N, 3) on the mesh."""
    attributes = np.concatenate([positions, normals], axis=1)
    at = np.full((TEXTURE_SIZE**2, 6), np.nan, np.float32)
    for some in raster.rasterize(uv, faces, TEXTURE_SIZE):
        at[some.index] = mix(some.weights, attributes, faces.take(some.faces, axis=0))
    index = np.flatnonzero(~np.isnan(at[:, 0]))
    return index, (np.ascontiguousarray(at[index, :3]), unit(at[index, 3:]))


def decibels(off: Any) -> float:
    """Return the PSNR in dB of colours that are off (N, 3) by so many levels; 99 where they are not."""
    return round(min(99.0, float(10 * np.log10(255**2 / max(np.square(off).mean(), 1e-9)))), 2)


def print_row(row: dict[str, Any]) -> None:
    truth = ", ".join(f"{row['truth'][choice]:.1f}" for choice in CHOICES)
    print(
        f"| {row['model']} | {row['noise']} | {row['auto']} | {truth} | {row['mesh']['auto']:.1f} |"
        f" {row['specks']['mesh']}, {row['specks']['auto']} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
