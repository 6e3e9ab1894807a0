"""Refine disturbed poses of known meshes, and say how far they were and are from the truth.

    python benchmarks/pose.py                 # prints a table; --json FILE also writes the figures

The meshes are those of the preview benchmark. Each is seen at distance 3. Its pose is turned by 5 degrees, scaled by
5 % and moved by 0.1 in depth and 0.02 sideways and up. The point map has a smooth error of 1 %. The error of a pose is
the mean distance of the moved vertices to the true surface: what the object's own symmetry hides does not count.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
from preview_cases import Case, named
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from sam3d_bento.camera import Camera
from sam3d_bento.export.pose import Transform, apply
from sam3d_bento.export.pose_refinement import look, refine_pose

NAMES = ("bottle", "vase", "can", "goblet", "candlestick", "mug", "jug", "crate", "carton", "duck", "teddy", "chair")
CAMERA = Camera(716.8, 716.8, 256.0, 256.0, 512, 512, "given")
DISTANCE = 3.0


def judge(case: Case, seed: int) -> dict[str, float | str | bool]:
    """Return the figures of one run."""
    random = np.random.default_rng(seed)
    vertices, faces = case.vertices.astype(np.float32), case.faces.astype(np.int32)
    rotation = Rotation.from_euler("yxz", [random.uniform(0, 360), random.uniform(8, 35), 0], degrees=True)
    # The object turned about its own axis, then seen from above.
    true = Transform(rotation.as_quat(scalar_first=True), np.array([0.1, -0.05, -DISTANCE]), np.ones(3))
    view = look(case.vertices, faces, true, CAMERA)
    smooth = ndimage.gaussian_filter(random.normal(size=view.seen.shape), 40)
    points = view.points * (1 + 0.01 * smooth / smooth.std())[..., None] * (-1, 1, -1)
    axis = random.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(5) * axis / np.linalg.norm(axis))
    signs = random.choice([-1, 1], 4)
    start = Transform(
        (turn * rotation).as_quat(scalar_first=True),
        true.translation + signs[:3] * (0.02, 0.02, 0.1),
        true.scale * (1 + 0.05 * signs[3]),
    )
    began = time.perf_counter()
    refined = refine_pose(vertices, faces, start, view.seen, points.astype(np.float32), CAMERA)
    seconds = time.perf_counter() - began
    assert refined is not None
    tree = KDTree(apply(true.matrix, vertices))

    def error(transform: Transform) -> float:
        return 100 * float(tree.query(apply(transform.matrix, vertices))[0].mean())

    return {
        "name": case.name,
        "accepted": refined.accepted,
        "iou_start": refined.iou_before,
        "iou": refined.iou,
        "error_start": error(start),
        "error": error(refined.transform),
        "seconds": seconds,
    }


@click.command()
@click.option("--json", "file", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def main(file: Path | None, seed: int) -> None:
    """Print a row for each object, and the means."""
    cases = {case.name: case for case in named()}
    rows = [judge(cases[name], seed + index) for index, name in enumerate(NAMES)]
    figures = ("iou_start", "iou", "error_start", "error", "seconds")
    print("| object | accepted | IoU start | IoU | error start, % | error, % | s |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['name']} | {row['accepted']} | " + " | ".join(f"{row[name]:.3f}" for name in figures) + " |")
    means = {name: float(np.mean([row[name] for row in rows])) for name in figures}
    print("| mean | | " + " | ".join(f"{means[name]:.3f}" for name in figures) + " |")
    if file is not None:
        file.write_text(json.dumps({"rows": rows, "mean": means}, indent=2) + "\n")


if __name__ == "__main__":
    main()
