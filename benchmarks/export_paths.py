"""The ways from a dense mesh to a file that benchmarks/export.py compares, each run in a process of its own.

Usage: python benchmarks/export_paths.py PATH CASE.npz OUTPUT.glb RUNS. Prints the figures of all runs as JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
import trimesh
import xatlas

from sam3d_bento import export, malloc
from sam3d_bento.export import shapes
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.meshoptimizer import collapse_edges
from sam3d_bento.export.mesh.simplify import simplify_visible
from sam3d_bento.export.mesh.surface import Surface, referenced, vertex_normals
from sam3d_bento.export.uv.unwrap import UnwrappedMesh
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Reconstruction

TARGET_FACES = 40_000
PEER_WEIGHT = 0.5  # of normals and colours, as gltfpack weighs them
# Steps that are timed, and the module that calls each.
STEPS = dict.fromkeys(("clean", "unwrap", "bake", "write_glb", "check"), export)
STEPS |= dict.fromkeys(("repair", "vertex_normals"), shapes)


def main() -> None:
    path, case, output, runs = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    malloc.keep_for_reuse()  # as in the engine process
    reconstruction = Reconstruction.load(case)
    print(json.dumps([PATHS[path](reconstruction, output) for _ in range(runs)]))


def ours(**choices: Any) -> Callable[[Reconstruction, Path], dict[str, Any]]:
    """to_glb with these options, its steps timed; a step given by its name is replaced."""
    steps = {name: choices.pop(name) for name in STEPS if name in choices}
    simplify = choices.pop("simplify", simplify_visible)
    options = Options(target_faces=TARGET_FACES, **choices)

    def run(reconstruction: Reconstruction, output: Path) -> dict[str, Any]:
        clock = Clock()
        originals = {name: getattr(module, name) for name, module in STEPS.items()}
        visible_surface = shapes.VisibleSurface
        for name, original in originals.items():
            setattr(STEPS[name], name, clock.timed(name, steps.get(name, original)))
        shapes.VisibleSurface = in_one_step(clock.timed("simplify", simplify))
        try:
            result = clock.timed("all", export.to_glb)(reconstruction, options, {})
        finally:
            for name, original in originals.items():
                setattr(STEPS[name], name, original)
            shapes.VisibleSurface = visible_surface
        output.write_bytes(result.glb)
        return clock.figures() | {key: result.extras[key] for key in ("colour_source", "holes_filled", "holes_kept")}

    return run


def in_one_step(simplify: Callable[..., Any]) -> Any:
    """Return what stands for VisibleSurface, and simplifies by this function alone."""

    class OneStep:
        def __init__(self, dense: Surface, largest_target: int, on_progress: Any = silent) -> None:
            self._dense = dense

        def simplify(self, target_faces: int) -> Any:
            return simplify(self._dense, target_faces)

    return OneStep


class Clock:
    """Measure wall and CPU seconds of calls."""

    def __init__(self) -> None:
        self._seconds: dict[str, tuple[float, float]] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self._seconds[name] = (time.perf_counter() - wall, time.process_time() - cpu)

        return call

    def figures(self) -> dict[str, Any]:
        wall, cpu = self._seconds.pop("all")
        return {
            "seconds": wall,
            "cpu_seconds": cpu,
            "steps": {name: wall for name, (wall, _) in self._seconds.items()},
            "cpu_steps": {name: cpu for name, (_, cpu) in self._seconds.items()},
            # Not from getrusage: there a process begins with the peak of the one that started it.
            "peak_rss_bytes": 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]),
        }


def plain_xatlas(vertices: Any, faces: Any, texture_size: int, detail: Any) -> UnwrappedMesh:
    """xatlas with its defaults on the whole mesh; two texels of padding, as the atlas needs for any use."""
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces.astype(np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = texture_size, 2
    atlas.generate(xatlas.ChartOptions(), packing)
    vertex_map, corners, uv = atlas[0]
    uv = uv * np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height)
    return UnwrappedMesh(vertex_map.astype(np.int32), corners.astype(np.int32), uv.clip(0, 1).astype(np.float32))


def default_quadric(dense: Surface, target_faces: int) -> Any:
    """fast_simplification with its defaults, which are trimesh's as well."""
    if len(dense.faces) <= target_faces:
        return dense.vertices, dense.faces
    points, faces = fast_simplification.simplify(dense.vertices, dense.faces, target_count=target_faces)
    return points.astype(np.float32), faces.astype(np.int32)


def single_collapse(dense: Surface, target_faces: int) -> Any:
    """Simplify by meshoptimizer alone, in one step, with normals and colours as attributes."""
    if len(dense.faces) <= target_faces:
        return dense.vertices, dense.faces
    attributes = np.concatenate([dense.colours / 255, vertex_normals(dense.vertices, dense.faces)], axis=1)
    vertices, faces, _ = collapse_edges(
        dense.vertices, dense.faces, attributes.astype(np.float32), PEER_WEIGHT, target_faces
    )
    used, faces = referenced(len(vertices), faces)
    return vertices[used], faces


def peer(name: str) -> Callable[..., Any]:
    """A simplifier of benchmarks/export_simplifiers.py, run by the Python that BENCH_PYTHON names."""

    def run(dense: Surface, target_faces: int) -> Any:
        if len(dense.faces) <= target_faces:
            return dense.vertices, dense.faces
        with tempfile.TemporaryDirectory() as folder:
            given, result = Path(folder, "given.npz"), Path(folder, "result.npz")
            np.savez(given, vertices=dense.vertices, faces=dense.faces)
            program = Path(__file__).with_name("export_simplifiers.py")
            command = [os.environ["BENCH_PYTHON"], program, name, given, result, target_faces]
            subprocess.run([str(word) for word in command], check=True, capture_output=True)
            with np.load(result) as arrays:
                return arrays["vertices"], arrays["faces"]

    return run


def vertex_colours(reconstruction: Reconstruction, output: Path) -> dict[str, Any]:
    """The cleaned dense mesh as trimesh writes it. No texture, no reduction."""
    clock = Clock()

    def run() -> None:
        dense = clean(reconstruction)
        mesh = trimesh.Trimesh(dense.vertices, dense.faces, vertex_colors=dense.colours, process=False)
        output.write_bytes(mesh.export(file_type="glb"))

    clock.timed("all", run)()
    return clock.figures()


PATHS: dict[str, Callable[[Reconstruction, Path], dict[str, Any]]] = {
    "ours": ours(),
    "ours 2048": ours(texture_size=2048),
    "ours webp compressed": ours(texture_format="webp", compress=True),
    "ours mesh only": ours(colour_source="mesh"),
    "ours splats": ours(colour_source="splats"),
    "ours fused": ours(colour_source="fused"),
    "with xatlas": ours(unwrap=plain_xatlas),
    "with quadric defaults": ours(simplify=default_quadric),
    "with meshoptimizer": ours(simplify=single_collapse),
    "with pyfqmr": ours(simplify=peer("pyfqmr")),
    "with open3d": ours(simplify=peer("open3d")),
    "vertex colours": vertex_colours,
}


if __name__ == "__main__":
    main()
