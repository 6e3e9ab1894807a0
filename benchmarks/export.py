"""Measure how fast and how accurate the exporter is, beside its peers in the same run.

Prints tables and writes benchmarks/results/export.json and export-worst.png: the view in which our file differs most
from the dense mesh. Each way runs in a process of its own, so that its peak of memory is its own. Ours and MeshLab take
turns, since a shared machine is not equally fast all the time: ratios are medians of the rounds' ratios.
Usage: python benchmarks/export.py [--quick] [--runs 3] [--cases blob,chair] [--ways ours,meshlab] [--meshlab PYTHON]
[--json FILE]. FILE gets each case when it is done.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from export_cases import CASES, Case
from export_paths import TARGET_FACES
from export_views import Pictures, from_texture, from_vertices, overlap, psnr, render, worst_view
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.surface import Surface, face_areas, lengths, unit, vertex_normals
from sam3d_bento.export.mesh.topology import weld
from sam3d_bento.reconstruction import Reconstruction

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
VALIDATOR = FOLDER.parent / "tools" / "gltf-validator"
TEXTURE_SIZE = 1024
CHAMFER_POINTS = 200_000

ALWAYS = ("ours webp compressed", "with xatlas", "with quadric defaults", "with meshoptimizer", "vertex colours")
PEERS = ("pyfqmr", "open3d")  # simplifiers that the Python of MeshLab may have
ALSO = {
    "blob": ("ours 2048",),
    "gyroid": ("ours 2048",),
    "engraved": ("ours mesh only", "ours splats", "ours fused"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds of ours and of MeshLab; their times are medians")
    parser.add_argument("--quick", action="store_true", help="one run, and neither xatlas nor MeshLab")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--ways", help="comma-separated; all of them if left out")
    parser.add_argument("--json", type=Path, help="where to write the figures, also of some cases or ways")
    parser.add_argument("--meshlab", help="a Python that has pymeshlab, and perhaps pyfqmr and open3d")
    asked = parser.parse_args()
    if not asked.meshlab:
        print("MeshLab is left out: there is no pymeshlab here.")
    figures: dict[str, Any] = {}
    result = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "runs": asked.runs}
    result |= {"target_faces": TARGET_FACES, "texture_size": TEXTURE_SIZE, "cases": figures}
    worst: tuple[float, Image.Image] | None = None
    for name in asked.cases.split(","):
        figures[name], shown = measure(CASES[name](), asked)
        inner = figures[name]["paths"]["ours"]["psnr_inside"]
        worst = (inner, shown) if worst is None or inner < worst[0] else worst
        print_case(name, figures[name])
        if asked.json:
            asked.json.write_text(json.dumps(result, indent=1) + "\n")
    if asked.cases == ",".join(CASES) and not asked.quick and not asked.ways:
        (RESULTS / "export.json").write_text(json.dumps(result, indent=1) + "\n")
        worst[1].save(RESULTS / "export-worst.png")
    print_summary(figures)


def measure(case: Case, asked: argparse.Namespace) -> tuple[dict[str, Any], Image.Image]:
    """Return the figures of all ways for a case, and a picture of our result beside the truth."""
    dense = clean(case.whole or case.reconstruction)
    truth = dense_pictures(dense, case)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case.reconstruction.save(folder / "case.npz")
        Reconstruction(dense.vertices, dense.faces, dense.colours).save(folder / "clean.npz")
        paths, ours = {}, truth
        timed: dict[str, list[dict[str, Any]]] = {}
        for number in range(max(rounds for _, rounds in chosen(case, asked))):
            for path, rounds in chosen(case, asked):
                if number < rounds:
                    figures = run_path(path, folder, asked.meshlab, runs=1 if asked.runs == 1 else 2)
                    timed.setdefault(path, []).append(figures)
        for path, runs in timed.items():
            model = TexturedMesh(folder / f"{path}.glb" if path != "meshlab" else folder / "model.obj")
            pictures = model.pictures()
            figures = middle(runs) | model.figures() | compared(model, pictures, truth, dense)
            ratios = [one["seconds"] / own["seconds"] for one, own in zip(runs, timed["ours"], strict=False)]
            paths[path] = figures | {"times_ours": round(statistics.median(ratios), 2)}
            ours = pictures if path == "ours" else ours
    sizes = {"faces": len(case.reconstruction.faces), "splats": len(case.reconstruction.splats.positions)}
    return sizes | {"paths": paths}, side_by_side(truth, ours)


def chosen(case: Case, asked: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Return the ways to run, and the number of rounds of each."""
    for path, rounds in possible(case, asked):
        if path == "ours" or not asked.ways or path in asked.ways.split(","):
            yield path, rounds


def possible(case: Case, asked: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Return all ways that this case can be run, and the number of rounds of each."""
    rounds = 1 if asked.quick else asked.runs
    yield "ours", rounds
    if asked.meshlab and not asked.quick:
        yield "meshlab", rounds
    for peer in PEERS if asked.meshlab and not asked.quick else ():
        if subprocess.run([asked.meshlab, "-c", f"import {peer}"], capture_output=True).returncode == 0:
            yield f"with {peer}", 1
    for path in (*ALWAYS, *ALSO.get(case.name, ())):
        if not (asked.quick and path == "with xatlas"):
            yield path, rounds if path.startswith("ours") else 1


def run_path(path: str, folder: Path, meshlab: str | None, runs: int) -> dict[str, Any]:
    """Times and peak of memory. MeshLab is given the cleaned mesh, and so is not charged for cleaning. Of the
    others, as of a service, only the last of some runs in a process counts."""
    if path == "meshlab":
        script, python = FOLDER / "export_meshlab.py", str(meshlab)
        command = [python, script, folder / "clean.npz", folder, str(TEXTURE_SIZE), str(TARGET_FACES)]
        figures: dict[str, Any] = json.loads(run(command).splitlines()[-1])
        return figures
    if meshlab:
        os.environ["BENCH_PYTHON"] = meshlab
    timed = json.loads(
        run([sys.executable, FOLDER / "export_paths.py", path, folder / "case.npz", folder / f"{path}.glb", runs])
    )
    return timed[-1] | {"peak_rss_bytes": max(one["peak_rss_bytes"] for one in timed)}


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the run with the median time, and the highest peak of all runs."""
    median = sorted(runs, key=lambda one: one["seconds"])[len(runs) // 2]
    return median | {"peak_rss_bytes": max(one["peak_rss_bytes"] for one in runs)}


def run(command: list[Any]) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


class TexturedMesh:
    """Result of a way: vertices, faces, colours, and the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if file.suffix == ".glb":
            loaded = trimesh.load_scene(io.BytesIO(unpack_glb(file.read_bytes())), file_type="glb", process=False)
        else:
            loaded = trimesh.load_scene(file, process=False)
        (self.mesh,) = loaded.geometry.values()
        self.vertices, self.faces = np.asarray(self.mesh.vertices), np.asarray(self.mesh.faces)
        self.uv = getattr(self.mesh.visual, "uv", None)
        if self.uv is not None:
            self.uv = np.array(self.uv) * [1, -1] + [0, 1]  # trimesh counts from the bottom
            material = self.mesh.visual.material
            picture = getattr(material, "baseColorTexture", None) or material.image
            self.texture = np.asarray(picture.convert("RGB"))

    def pictures(self) -> Pictures:
        if self.uv is not None:
            return render(self.vertices, self.faces, from_texture(self.faces, self.uv, self.texture))
        # glTF defines vertex colours as linear light, so a viewer encodes them to sRGB. trimesh 5.2 writes sRGB there.
        linear = np.asarray(self.mesh.visual.vertex_colors)[:, :3] / 255
        shown = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return render(self.vertices, self.faces, from_vertices(self.faces, shown))

    def figures(self) -> dict[str, Any]:
        """Return the size, the charts, the use of texels, and the validator's counts."""
        if self.file.suffix == ".obj":
            size = sum((self.file.parent / f"model{end}").stat().st_size for end in (".obj", ".png"))
        else:
            size = self.file.stat().st_size
        figures: dict[str, Any] = {"bytes": size, "faces": len(self.faces), "vertices": len(self.vertices)}
        if self.uv is not None:
            figures["texel_use"] = round(float(face_areas(np.pad(self.uv, ((0, 0), (0, 1))), self.faces).sum()), 3)
            figures["charts"] = charts(self.faces, self.uv)
        figures["open_edges"] = open_edges(weld(np.asarray(self.vertices, np.float32)).take(self.faces))
        if self.file.suffix == ".glb":
            figures["validator"] = validated(unpack_glb(self.file.read_bytes()))
        return figures


def charts(faces: Any, uv: Any) -> int:
    """Connected parts of the layout: corners are joined where their texture coordinates are equal."""
    _, corner = np.unique(uv.round(6), axis=0, return_inverse=True)
    joined = corner[faces]
    links = np.concatenate([joined[:, :2], joined[:, 1:]])
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(corner.max() + 1,) * 2)
    return int(connected_components(graph, directed=False)[0])


def open_edges(faces: Any) -> int:
    """Count the edges of a mesh (F, 3) that one face alone has."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    return int(np.count_nonzero(uses == 1))


def validated(glb: bytes) -> dict[str, int]:
    if not (VALIDATOR / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=VALIDATOR, check=True, capture_output=True)  # noqa: S607
    with tempfile.NamedTemporaryFile(suffix=".glb") as file:
        file.write(glb)
        file.flush()
        done = subprocess.run(["node", "validate.mjs", file.name], cwd=VALIDATOR, capture_output=True, text=True)  # noqa: S607
    (report,) = json.loads(done.stdout)
    return {kind: report[kind] for kind in ("errors", "warnings", "infos", "hints")}


def dense_pictures(dense: Surface, case: Case) -> Pictures:
    """What is to be matched: the cleaned dense mesh, in its own colours or, where these are a blur, the true ones."""
    if case.paint is None:
        return render(dense.vertices, dense.faces, from_vertices(dense.faces, dense.colours))
    paint = case.paint
    return render(dense.vertices, dense.faces, lambda face, weights, place: 255 * paint(place).clip(0, 1))


def compared(model: TexturedMesh, pictures: Pictures, truth: Pictures, dense: Surface) -> dict[str, float]:
    full, inside = psnr(pictures, truth)
    meshes = ((model.vertices, model.faces), (dense.vertices, dense.faces))
    (ours, normals), (theirs, true_normals) = (scattered(*mesh) for mesh in meshes)
    _, close = KDTree(theirs).query(ours)
    _, nearest = KDTree(ours).query(theirs)
    there, back = (off(ours, theirs[close], true_normals[close]), off(theirs, ours[nearest], normals[nearest]))
    turned = np.degrees(np.arccos(np.einsum("ij,ij->i", normals[nearest], true_normals).clip(-1, 1)))
    return {
        "psnr_full": round(full, 2),
        "psnr_inside": round(inside, 2),
        "silhouette_iou": round(overlap(pictures, truth), 4),
        "chamfer": round(float(there.mean() + back.mean()) / 2, 6),
        "hausdorff_99": round(float(max(np.quantile(there, 0.99), np.quantile(back, 0.99))), 6),
        "normal_error_degrees": round(float(turned.mean()), 2),
    }


def off(points: Any, feet: Any, normals: Any) -> Any:
    """Return the distances (N,) of points (N, 3) from a surface of which the nearest samples, `feet`, are known.

    That is the distance from the plane of the sample, and more where the nearest sample is farther away along it than
    samples are apart.
    """
    along = np.einsum("ij,ij->i", points - feet, normals)
    across = lengths(points - feet - along[:, None] * normals)
    return np.hypot(along, np.maximum(across - 3 * np.median(across), 0))


def scattered(vertices: Any, faces: Any) -> tuple[Any, Any]:
    """Return random points, evenly distributed over the surface, and its smooth normals there, of length 1.

    The normals of all meshes are computed alike, whatever a file has: vertices at one place share theirs.
    """
    random = np.random.default_rng(0)
    places = np.asarray(vertices, float)
    joined = weld(np.asarray(vertices, np.float32)).take(faces).astype(np.int32)
    smooth = vertex_normals(np.asarray(vertices, np.float32), joined)
    a, b, c = (places[faces[:, corner]] for corner in range(3))
    areas = lengths(np.cross(b - a, c - a))
    face = random.choice(len(faces), CHAMFER_POINTS, p=areas / areas.sum())
    weights = random.dirichlet([1, 1, 1], CHAMFER_POINTS)
    points = a[face] * weights[:, :1] + b[face] * weights[:, 1:2] + c[face] * weights[:, 2:]
    return points, unit(np.einsum("nk,nkj->nj", weights, smooth[joined[face]]))


def side_by_side(truth: Pictures, ours: Pictures) -> Image.Image:
    """Draw the worst view: the dense mesh, our mesh, and four times their difference."""
    view = worst_view(ours, truth)
    difference = np.abs(ours.rgb[view] - truth.rgb[view]) * 4
    row = np.concatenate([truth.rgb[view], ours.rgb[view], difference], axis=1)
    return Image.fromarray(row.round().clip(0, 255).astype(np.uint8))


def machine() -> dict[str, Any]:
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    load = round(os.getloadavg()[0], 2)
    return {"cpu": cpu[1] if cpu else platform.processor(), "cores": os.cpu_count(), "load": load}


def print_case(name: str, figures: dict[str, Any]) -> None:
    print(f"\n{name}: {figures['faces']:,} faces, {figures['splats']:,} splats")
    print(
        "| way | s | times ours | CPU s | MB peak | PSNR inside / full |"
        " Chamfer / 99 % Hausdorff e-4 | normals | open edges | texels used | charts | file MB | validator |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for path, one in figures["paths"].items():
        counts = "/".join(str(count) for count in one["validator"].values()) if "validator" in one else ""
        use, parts = one.get("texel_use", ""), one.get("charts", "")
        print(
            f"| {path} | {one['seconds']:.2f} | {one['times_ours']} | {one['cpu_seconds']:.2f} |"
            f" {one['peak_rss_bytes'] / 1e6:.0f} |"
            f" {one['psnr_inside']:.1f} / {one['psnr_full']:.1f} |"
            f" {1e4 * one['chamfer']:.2f} / {1e4 * one['hausdorff_99']:.1f} |"
            f" {one['normal_error_degrees']:.2f} | {one['open_edges']} | {use} | {parts} |"
            f" {one['bytes'] / 1e6:.2f} | {counts} |",
            flush=True,
        )
    steps = figures["paths"]["ours"]["cpu_steps"]
    print("ours, CPU s:", ", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items()))


def print_summary(figures: dict[str, Any]) -> None:
    """Return the medians over the cases, and the ratio of each peer to ours."""
    print("\n| way | times ours, wall | times ours, CPU | median PSNR inside | worst | most below the best |")
    print("|---|---|---|---|---|---|")
    cases = [case["paths"] for case in figures.values()]
    for path in dict.fromkeys(path for case in cases for path in case):
        having = [case for case in cases if path in case]
        wall = statistics.median(case[path]["times_ours"] for case in having)
        cpu = statistics.median(case[path]["cpu_seconds"] / case["ours"]["cpu_seconds"] for case in having)
        inside = [case[path]["psnr_inside"] for case in having]
        behind = max(max(one["psnr_inside"] for one in case.values()) - case[path]["psnr_inside"] for case in having)
        print(
            f"| {path} | {wall:.2f} | {cpu:.2f} | {statistics.median(inside):.1f} | {min(inside):.1f} | {behind:.2f} |"
        )


if __name__ == "__main__":
    main()
