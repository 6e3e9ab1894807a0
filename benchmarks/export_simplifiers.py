"""Other libraries that reduce a mesh, peers of benchmarks/export.py; runs in .venv-bench, or in a Python that has them.

Usage: python export_simplifiers.py pyfqmr|open3d MESH.npz RESULT.npz FACES
"""

from __future__ import annotations

import sys

import numpy as np


def main() -> None:
    name, mesh, result, target = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with np.load(mesh) as arrays:
        vertices, faces = arrays["vertices"], arrays["faces"]
    vertices, faces = {"pyfqmr": by_pyfqmr, "open3d": by_open3d}[name](vertices, faces, target)
    np.savez(result, vertices=vertices.astype(np.float32), faces=faces.astype(np.int32))


def by_pyfqmr(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Simplify by pyfqmr with the borders kept; its other defaults."""
    import pyfqmr

    simplifier = pyfqmr.Simplify()
    simplifier.setMesh(vertices, faces)
    simplifier.simplify_mesh(target_count=target, aggressiveness=5, preserve_border=True, verbose=0)
    found = simplifier.getMesh()
    return found[0], found[1]


def by_open3d(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Simplify by Open3D's quadric decimation with its defaults."""
    import open3d

    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices.astype(float)), open3d.utility.Vector3iVector(faces)
    )
    found = mesh.simplify_quadric_decimation(target)
    return np.asarray(found.vertices), np.asarray(found.triangles)


if __name__ == "__main__":
    main()
