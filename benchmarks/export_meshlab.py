"""MeshLab's way from a dense coloured mesh to a textured one, a peer of benchmarks/export.py; runs in .venv-bench.

Usage: python export_meshlab.py CASE.npz FOLDER SIZE FACES
Writes FOLDER/model.obj and model.png, prints the seconds of each step as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pymeshlab


def main() -> None:
    case, folder, size, target = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with np.load(case) as arrays:
        vertices, faces, colours = (arrays[name] for name in ("vertices", "faces", "colours"))
    rgba = np.concatenate([colours / 255.0, np.ones((len(colours), 1))], axis=1)
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(vertices.astype(float), faces, v_color_matrix=rgba))
    started, cpu = time.perf_counter(), time.process_time()
    steps = {}

    def lap(name: str) -> None:
        steps[name] = time.perf_counter() - started - sum(steps.values())

    meshes.generate_copy_of_current_mesh()
    meshes.meshing_decimation_quadric_edge_collapse(targetfacenum=target)
    lap("simplify")
    meshes.compute_texcoord_parametrization_triangle_trivial_per_wedge(textdim=size)
    lap("unwrap")
    meshes.transfer_attributes_to_texture_per_vertex(
        sourcemesh=0, targetmesh=1, textname="model.png", textw=size, texth=size, overwrite=False
    )
    lap("bake")
    meshes.save_current_mesh(str(folder / "model.obj"))
    lap("write")
    figures = {
        "seconds": sum(steps.values()),
        "cpu_seconds": time.process_time() - cpu,
        "steps": steps,
        "peak_rss_bytes": 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
