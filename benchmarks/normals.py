"""Measure how much nearer to the dense mesh a coarse one with a normal map is shaded than one without.

Prints a table and writes benchmarks/results/normals.json. Both are rendered from twelve sides under three lights, with
their own colours, as the dense mesh is, with its own normals. Figures are decibels inside the silhouettes, over all
views and lights; seconds are of the whole export.
Usage: python benchmarks/normals.py [--cases blob,chair] [--faces 5000,40000] [--runs 1]
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from export_cases import CASES
from export_views import Colours, Pictures, from_texture, from_vertices, psnr, render

from sam3d_bento.export import to_glb
from sam3d_bento.export.glb.read import TexturedMesh, decoded, read_glb
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Reconstruction

Array = npt.NDArray[Any]

RESULTS = Path(__file__).parent / "results" / "normals.json"

# Directions to the lights, and the share of light from all sides: one at a time, so that no light hides what another
# shows.
LIGHTS = ((0.4, 0.8, 0.45), (-0.9, 0.2, 0.4), (0.1, -0.3, -0.95))
AMBIENT = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--faces", default="5000,40000")
    parser.add_argument("--runs", type=int, default=1, help="rounds of both ways; the seconds are medians")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    print(f"{'case':10}{'faces':>7}{'without':>9}{'with':>8}{'gain':>7}{'seconds':>9}{'ratio':>7}{'bytes':>11}  report")
    for name in asked.cases.split(","):
        found[name] = {}
        reconstruction = CASES[name]().reconstruction
        reference = render_dense(reconstruction)
        for faces in map(int, asked.faces.split(",")):
            found[name][str(faces)] = figures = measure(reconstruction, reference, faces, asked.runs)
            print(
                f"{name:10}{faces:7}{figures['without']:9.2f}{figures['with']:8.2f}{figures['gain']:7.2f}"
                f"{figures['seconds'][1]:9.2f}{figures['ratio']:7.2f}{figures['more_bytes']:11,}  {figures['report']}",
                flush=True,
            )
        record(name, found[name], asked.runs)


def record(name: str, figures: dict[str, Any], runs: int) -> None:
    """Write the figures of a case into the results, in place of its earlier ones. A run of all takes half an hour."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cases": {}}
    own = {"date": datetime.now(UTC).date().isoformat(), "runs": runs, "faces": figures}
    results["cases"] = {case: results["cases"].get(case) if case != name else own for case in CASES}
    results["cases"] = {case: entry for case, entry in results["cases"].items() if entry is not None}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def render_dense(reconstruction: Reconstruction) -> list[Pictures]:
    """Return the pictures of the dense mesh under each light, with its own normals and colours."""
    dense = clean(reconstruction)
    colours = from_vertices(dense.faces, dense.colours)
    return [render(dense.vertices, dense.faces, lit(colours, dense.faces, dense.normals, light)) for light in LIGHTS]


def measure(reconstruction: Reconstruction, reference: list[Pictures], faces: int, runs: int) -> dict[str, Any]:
    """Return the figures of one mesh at one number of faces. reference: the dense mesh's pictures."""
    decibels, seconds, exports = [], [], []
    for normal_map in (False, True):
        options = Options(target_faces=faces, normal_map=normal_map, colour_source="mesh")
        times = []
        for _ in range(runs):
            begun = time.perf_counter()
            exported = to_glb(reconstruction, options, {})
            times.append(time.perf_counter() - begun)
        seconds.append(median(times))
        exports.append(exported)
        mesh = read_glb(exported.glb)
        squares = [
            10 ** (-psnr(render(mesh.positions, mesh.faces, shaded(mesh, light)), truth)[1] / 10)
            for light, truth in zip(LIGHTS, reference, strict=True)
        ]
        decibels.append(-10 * np.log10(np.mean(squares)))
    return {
        "without": round(decibels[0], 2),
        "with": round(decibels[1], 2),
        "gain": round(decibels[1] - decibels[0], 2),
        "seconds": [round(each, 2) for each in seconds],
        "ratio": round(seconds[1] / seconds[0], 2),
        "more_bytes": len(exports[1].glb) - len(exports[0].glb),
        "report": exports[1].extras["normal_map"],
    }


def shaded(mesh: TexturedMesh, light: Array) -> Colours:
    """Return the lit colours of a file, as three.js computes the normals of its map."""
    colours = from_texture(mesh.faces, mesh.uv, mesh.image)
    if mesh.normal_map is None or mesh.tangents is None:
        return lit(colours, mesh.faces, mesh.normals, light)
    bumps = from_texture(mesh.faces, mesh.uv, decoded(mesh.normal_map))
    tangents = mesh.tangents[:, :3]
    across = np.cross(mesh.normals, tangents) * mesh.tangents[:, 3:]

    def sample(face: Array, weights: Array, place: Array) -> Array:
        frame = [
            _unit(np.einsum("nk,nkc->nc", weights, of[mesh.faces[face]])) for of in (tangents, across, mesh.normals)
        ]
        bump = bumps(face, weights, place) / 127.5 - 1
        normals = _unit(sum(bump[:, axis, None] * frame[axis] for axis in range(3)))
        return colours(face, weights, place) * _brightness(normals, light)

    return sample


def lit(colours: Colours, faces: Array, normals: Array, light: Array) -> Colours:
    """Return colours under a light, with normals (V, 3) interpolated over the faces."""

    def sample(face: Array, weights: Array, place: Array) -> Array:
        found = _unit(np.einsum("nk,nkc->nc", weights, normals[faces[face]].astype(np.float32)))
        return colours(face, weights, place) * _brightness(found, light)

    return sample


def _brightness(normals: Array, light: Array) -> Array:
    towards = np.asarray(light) / np.linalg.norm(light)
    return (AMBIENT + (1 - AMBIENT) * np.maximum(normals @ towards, 0))[:, None]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()
