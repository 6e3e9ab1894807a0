"""Measure the preview engine on objects of known shape, beside a cut-out and Poisson inflation.

Every object is photographed from up to three sides and heights, one of them off the middle of the photo, by a camera
whose focal length the engine is not told. Each method gets the same photo and exact mask.
  IoU      of the visual hulls from 13 directions on 48³ cells, after the best scale and translation
  Chamfer  mean symmetric distance of the surfaces, in percent of the true diagonal, after the same
  PSNR 0   of the front view through the method's own camera; ±30, ±60, 180: orbiting the true camera, at the scale
           at which the front views agree and the best depth. A mask has whole pixels, so that the true shape, drawn
           in the same way, has 35 dB only; `front_psnr_truth` says so for the photos where a class was recognised
  outline  IoU of the silhouette through the method's own camera and the mask
  detail   correlation of the high-pass colours of front and back, seen along the same lines of sight: 1 for a back
           that mirrors the front
The model is compared as the photo showed it: how far it leans once it is put upright is a figure of its own.
Writes benchmarks/results/preview.json and docs/preview.png.
Usage: python benchmarks/preview.py [--drawn-seed 90210] [--views 3] [--sets named drawn tuned untuned]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from preview_baselines import poisson, slab
from preview_cases import drawn, named
from preview_kinds import tuned, untuned
from preview_primitives import Case
from preview_scene import BACKGROUND, Scene, visual_hull
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.export.render import camera_axes
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo

Array = npt.NDArray[Any]
View = tuple[float, float, float, float]  # azimuth, elevation, shifts of the camera

RESULTS = Path(__file__).parent / "results"
SHEET = Path(__file__).parents[1] / "docs" / "preview.png"
SHEET_SETS = ("named", "drawn")
SHEET_COLOURS = 128  # keeps the picture small
PROCESSES = 2
PHOTO = 400  # pixels
SPEED_PHOTO = 1024
FIELD_OF_VIEW = 34.0  # degrees; the engine assumes 39
DISTANCE = 3.0
VIEWS: tuple[View, ...] = ((30, 20, 0.0, 0.0), (-50, 8, 0.0, 0.0), (115, 35, 0.15, -0.1))
ORBIT = (30, -30, 60, -60, 180)
VIEW_PIXELS = 128
DETAIL_BLUR = 0.04  # standard deviation of the blur that detail is left by, in square roots of the object's area
HULL_CELLS = 48
SAMPLES = 1500
SETS: dict[str, Callable[[int], list[Case]]] = {
    "named": lambda _: named(),
    "drawn": drawn,
    "tuned": lambda _: tuned(),
    "untuned": lambda _: untuned(),
}
METHODS = ("slab", "poisson", "puff", "auto")
SPEED_CASES = {"teddy": "puff", "vase": "lathe", "mug": "lathe with a handle", "crate": "box"}
SPENT = """
import json, re, statistics, sys, time
from pathlib import Path
import numpy as np
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.export.render import camera_axes
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo

shot = np.load(sys.argv[1])
photo = Photo(shot["rgb"], None, shot["pixels"].shape[::-1])
mask = Mask(shot["pixels"], "upload", float(shot["pixels"].mean()))
engine, cpu, wall = PreviewEngine(), [], []
engine.load()
for _ in range(6):
    started = time.process_time(), time.perf_counter()
    details = engine.reconstruct(photo, mask, Options(), 0, silent).details
    cpu.append(time.process_time() - started[0])
    wall.append(time.perf_counter() - started[1])
print(json.dumps({
    "shape": details["shape"],
    "cpu_seconds": round(statistics.median(cpu[1:]), 2),
    "wall_seconds": round(statistics.median(wall[1:]), 2),
    # Not from getrusage: there a process begins with the peak of the one that started it.
    "peak_megabytes": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 // 10**6,
}))
"""


@dataclass(frozen=True)
class Shot:
    """A photo of a case. axes (3, 3) and eye (3,): the camera's, in the case's frame; elevation in degrees."""

    case: Case
    photo: Photo
    mask: Mask
    axes: Array
    eye: Array
    elevation: float


@dataclass(frozen=True)
class Guess:
    """A method's model before its own camera: vertices (V, 3), faces, colours; shape and elevation where it says so."""

    vertices: Array
    faces: Array
    colours: Array
    focal_length: float
    shape: str = ""
    elevation: float | None = None
    seconds: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn-seed", type=int, default=90210, help="Of the objects that nothing was chosen on.")
    parser.add_argument("--views", type=int, default=len(VIEWS), help="Photos of each object, of the three in turn.")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="Sets of objects to measure.")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "drawn_seed": arguments.drawn_seed,
        "views": VIEWS,
        "photos_of_each": arguments.views,
        "speed": speed(named()),
    }
    sheet = []
    for name in arguments.sets:
        cases = SETS[name](arguments.drawn_seed)
        rows = []
        with ProcessPoolExecutor(PROCESSES) as pool:
            for shown, figures in pool.map(
                judge_numbered, [(name, index, arguments.views, arguments.drawn_seed) for index in range(len(cases))]
            ):
                if name in SHEET_SETS:
                    sheet.append(shown)
                rows.extend(figures)
                print(".", end="", flush=True)
        result[name] = {"summary": summary(rows), "shots": rows}
        print(f"\n{name}: {len(cases)} objects, {len(rows)} photos\n{table(result[name]['summary'])}", flush=True)
    print(json.dumps(result["speed"]))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "preview.json").write_text(json.dumps(result, indent=1) + "\n")
    if not sheet:
        return
    half = (len(sheet) + 1) // 2
    sheet += [np.full_like(sheet[0], 255)] * (2 * half - len(sheet))
    picture = np.concatenate([np.concatenate(sheet[:half]), np.concatenate(sheet[half:])], 1)
    # Each row twice: photo, the truth from 60 and 180 degrees, the model from the front, 30, 60 and 180 degrees.
    sheet_image = Image.fromarray(picture).resize((picture.shape[1] * 5 // 8, picture.shape[0] * 5 // 8))
    sheet_image.quantize(SHEET_COLOURS).save(SHEET, optimize=True)


def judge_numbered(job: tuple[str, int, int, int]) -> tuple[Array, list[dict[str, Any]]]:
    """`judge` for a case by set, number, views and seed: a case itself has functions, which travel to no process."""
    which, index, count, seed = job
    case = SETS[which](seed)[index]
    return judge(case, [VIEWS[(index + turn) % len(VIEWS)] for turn in range(count)])


def photograph(case: Case, view: View, size: int = PHOTO) -> Shot:
    azimuth, elevation, right, up = view
    axes = camera_axes(azimuth, elevation)
    eye = axes @ np.array([right, up, DISTANCE])
    scene = Scene(case.vertices, case.faces)
    normals = trimesh.Trimesh(case.vertices, case.faces, process=False).face_normals
    rgb, covered = scene.picture(
        lambda face, weights, points: case.paint(points) * sky(normals[face]), axes, eye, focal_length(size), size
    )
    pixels = covered > 0.5
    photo = Photo(rgb.round().clip(0, 255).astype(np.uint8), None, (size, size))
    return Shot(case, photo, Mask(pixels, "upload", float(pixels.mean())), axes, eye, elevation)


def focal_length(size: int) -> float:
    """Return the focal length of the true camera, in pixels of a square picture of that size."""
    return float(size / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2)))


def lit(shot: Shot) -> Callable[[Array, Array, Array], Array]:
    """Return the colours of the case in the frame of the shot's camera."""
    normals = trimesh.Trimesh(shot.case.vertices, shot.case.faces, process=False).face_normals
    return lambda face, weights, points: shot.case.paint(points @ shot.axes.T + shot.eye) * sky(normals[face])


def sky(normals: Array) -> Array:
    """Return the light (N, 1) on a surface lit from above."""
    return 0.78 + 0.22 * normals[:, 1:2]


def guesses(shot: Shot, engine: PreviewEngine) -> dict[str, Guess]:
    camera = Camera.from_photo(shot.photo)
    canvas = cut_out(shot.photo, shot.mask)
    made = {}
    for name, method in (("slab", slab), ("poisson", poisson)):
        model = method(canvas, camera)
        made[name] = Guess(model.vertices, model.faces, model.colours, camera.focal_length)
    for name in ("puff", "auto"):
        started = time.process_time()
        result = engine.reconstruct(shot.photo, shot.mask, Options.model_validate({"shape": name}), 0, silent)
        seconds = time.process_time() - started
        assert result.pose is not None
        assert result.colours is not None
        w, x, y, z = result.pose.rotation
        placed = Rotation.from_quat([x, y, z, w]).apply(result.vertices * result.pose.scale) + result.pose.translation
        shape = result.details["shape"]
        fit = result.details["fit"].get(shape.split()[0], {})
        width = 2 * np.tan(np.radians(result.details["fov_degrees"]) / 2)
        made[name] = Guess(
            placed, result.faces, result.colours, PHOTO / width, shape, fit.get("elevation_degrees"), seconds
        )
    return made


def judge(case: Case, views: Sequence[View] = VIEWS) -> tuple[Array, list[dict[str, Any]]]:
    """The case's strip of the contact sheet, and the figures of every method on every photo of it."""
    engine = PreviewEngine()
    figures: list[dict[str, Any]] = []
    strip: list[Array] = []
    for view in views:
        shot = photograph(case, view)
        # The truth, seen by the camera at the origin.
        truth = Scene((case.vertices - shot.eye) @ shot.axes, case.faces)
        paint = lit(shot)
        middle = (truth.vertices.min(0) + truth.vertices.max(0)) / 2
        up = shot.axes.T @ [0.0, 1.0, 0.0]
        targets = {turn: seen(truth, paint, middle, up, turn) for turn in ORBIT}
        points = surface_points(truth.vertices, truth.faces)
        drawn_truth, _ = truth.picture(paint, np.eye(3), np.zeros(3), focal_length(PHOTO), PHOTO, 1)
        row: dict[str, Any] = {
            "case": case.name,
            "kind": case.kind,
            "view": view[:2],
            "truth_psnr_0": psnr(drawn_truth, cut_photo(shot)),
        }
        for method, guess in guesses(shot, engine).items():
            if method == "auto" and guess.shape == "puff":
                row[method] = row["puff"]
            else:
                row[method], pictures = measure(guess, shot, truth, points, middle, up, targets)
        if view is views[0]:
            strip = [thumbnail(shot.photo.rgb), *(targets[turn] for turn in (60, 180)), *pictures]
        figures.append(row)
    return np.concatenate([np.asarray(part).round().clip(0, 255).astype(np.uint8) for part in strip], 1), figures


def measure(
    guess: Guess, shot: Shot, truth: Scene, points: Array, middle: Array, up: Array, targets: dict[int, Array]
) -> tuple[dict[str, Any], list[Array]]:
    """The figures of a guess, and its pictures from the front and at 30, 60 and 180 degrees."""
    scene = Scene(guess.vertices, guess.faces)
    figures: dict[str, Any] = {
        "closed": is_closed(guess.vertices, guess.faces),
        "seconds": round(guess.seconds, 3),
    }
    if guess.shape:
        figures["shape"] = guess.shape
    if guess.elevation is not None:
        figures["lean_degrees"] = round(guess.elevation - true_elevation(shot, middle), 1)

    def colour(face: Array, weights: Array, points: Array) -> Array:
        return np.einsum("nk,nkc->nc", weights, guess.colours[guess.faces[face]].astype(float))

    own, covered = scene.picture(colour, np.eye(3), np.zeros(3), guess.focal_length, PHOTO, 1)
    figures["psnr_0"] = psnr(own, cut_photo(shot))
    seen_by, pixels = covered > 0, shot.mask.pixels
    figures["outline_iou"] = round(np.count_nonzero(seen_by & pixels) / np.count_nonzero(seen_by | pixels), 4)
    figures["detail_correlation"] = detail_correlation(scene, colour, guess.focal_length)

    # Moved along the lines of sight, and scaled with the distance, it looks the same from the front.
    low, high = guess.vertices.min(0), guess.vertices.max(0)
    zoom = guess.focal_length / focal_length(PHOTO)
    scale, shift = 2 * middle[2] / (low + high)[2] * zoom, np.array([0, 0, middle[2] * (1 - zoom)])
    sample = surface_points(guess.vertices * scale + shift, guess.faces)
    tree = KDTree(points)

    def apart(depth: float) -> float:
        moved = sample * depth
        return float(tree.query(moved)[0].mean() + KDTree(moved).query(points)[0].mean())

    depth = minimize_scalar(apart, bounds=(0.75, 1.3), method="bounded", options={"maxiter": 9}).x
    scale, shift, sample = scale * depth, shift * depth, sample * depth
    views = {turn: seen(scene, colour, middle, up, turn, scale, shift) for turn in ORBIT}
    for turn in ORBIT:
        figures[f"psnr_{turn}"] = psnr(views[turn], targets[turn])
    better, offset = aligned(sample, points, tree)
    scale, shift, moved = scale * better, shift * better + offset, sample * better + offset
    diagonal = float(np.linalg.norm(np.ptp(truth.vertices, axis=0)))
    figures["chamfer"] = round(50 * (tree.query(moved)[0].mean() + KDTree(moved).query(points)[0].mean()) / diagonal, 3)
    both = np.stack([moved.min(0), moved.max(0), truth.vertices.min(0), truth.vertices.max(0)])
    corner, step = both.min(0) - 0.02, float(np.ptp(both, axis=0).max() + 0.04) / HULL_CELLS
    hull = visual_hull(scene, (corner - shift) / scale, step / scale, HULL_CELLS)
    true_hull = visual_hull(truth, corner, step, HULL_CELLS)
    figures["iou"] = round(np.count_nonzero(hull & true_hull) / np.count_nonzero(hull | true_hull), 4)
    return figures, [thumbnail(own), *(views[turn] for turn in (30, 60, 180))]


def detail_correlation(scene: Scene, colour: Callable[..., Array], focal_length: float) -> float:
    """Return the correlation -1..1 of front and back, each pixel of the camera at the origin compared with itself."""
    place = (np.arange(PHOTO) + 0.5 - PHOTO / 2) / focal_length
    x, y = np.meshgrid(place, -place)
    directions = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3)
    far = 2 * float(-scene.vertices[:, 2].min())
    pictures, seen_by = [], np.ones(len(directions), bool)
    for origins, towards in ((np.zeros(3), directions), (far * directions, -directions)):
        ray, face, weights, points = scene.hits(origins, towards)
        picture, covered = np.zeros((len(directions), 3)), np.zeros(len(directions), bool)
        picture[ray], covered[ray] = colour(face, weights, points), True
        seen_by &= covered
        pictures.append(picture.reshape(PHOTO, PHOTO, 3))
    both = seen_by.reshape(PHOTO, PHOTO)
    sigma = DETAIL_BLUR * float(np.sqrt(both.sum()))
    share = np.maximum(gaussian_filter(both.astype(float), sigma), 1e-3)[..., None]
    front, back = (
        (picture - gaussian_filter(picture * both[..., None], (sigma, sigma, 0)) / share)[both] for picture in pictures
    )
    front, back = front - front.mean(0), back - back.mean(0)
    return round(float((front * back).sum() / np.sqrt((front**2).sum() * (back**2).sum() + 1e-9)), 3)


def cut_photo(shot: Shot) -> Array:
    """Return the pixels of the mask before the background (PHOTO, PHOTO, 3)."""
    return np.where(shot.mask.pixels[..., None], shot.photo.rgb, BACKGROUND)


def true_elevation(shot: Shot, middle: Array) -> float:
    """Return how far the line of sight to the object's centre looks down, in degrees."""
    along = shot.axes @ middle
    return float(np.degrees(np.arcsin(-along[1] / np.linalg.norm(along))))


def seen(
    scene: Scene,
    colour: Callable[..., Array],
    middle: Array,
    up: Array,
    turn: float,
    scale: float = 1.0,
    shift: Array | float = 0.0,
) -> Array:
    """The view of the true camera, gone around `middle` by `turn` degrees, of the scene scaled and then shifted."""
    axes = Rotation.from_rotvec(np.radians(turn) * up).as_matrix()
    eye = (middle - axes @ middle - shift) / scale
    return scene.picture(colour, axes, eye, focal_length(VIEW_PIXELS), VIEW_PIXELS)[0]


def surface_points(vertices: Array, faces: Array) -> Array:
    """Return points (SAMPLES, 3), evenly distributed over the surface."""
    random = np.random.default_rng(0)
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = random.choice(len(faces), SAMPLES, p=areas / areas.sum())
    u, v = np.sort(random.random((2, SAMPLES, 1)), axis=0)
    return np.asarray(u * a[face] + (v - u) * b[face] + (1 - v) * c[face])


def is_closed(vertices: Array, faces: Array) -> bool:
    """Whether every edge lies in two faces, once in either direction, and they are counter-clockwise from outside."""
    start, end = faces.ravel().astype(np.int64), faces[:, [1, 2, 0]].ravel().astype(np.int64)
    there, back = np.sort(start * len(vertices) + end), np.sort(end * len(vertices) + start)
    a, b, c = (vertices[faces[:, corner]] - vertices.mean(0) for corner in range(3))
    volume = float(np.einsum("fk,fk->", a, np.cross(b, c)))
    return bool((start != end).all() and (np.diff(there) > 0).all() and np.array_equal(there, back) and volume > 0)


def aligned(moving: Array, fixed: Array, tree: KDTree) -> tuple[float, Array]:
    """Scale 0.8..1.25 and shift (3,) by iterated closest points in both directions."""
    scale, shift = 1.0, np.zeros(3)
    for _ in range(12):
        placed = moving * scale + shift
        there, back = tree.query(placed)[1], KDTree(placed).query(fixed)[1]
        a, b = np.concatenate([moving, moving[back]]), np.concatenate([fixed[there], fixed])
        centred = a - a.mean(0)
        scale = float(np.clip((centred * (b - b.mean(0))).sum() / (centred**2).sum(), 0.8, 1.25))
        shift = b.mean(0) - scale * a.mean(0)
    return scale, shift


def psnr(one: Array, other: Array) -> float:
    """Return the PSNR of two pictures 0..255, in dB."""
    return round(float(20 * np.log10(255 / max(float(np.sqrt(np.square(one - other).mean())), 0.1))), 2)


def thumbnail(picture: Array) -> Array:
    image = Image.fromarray(np.asarray(picture).round().clip(0, 255).astype(np.uint8))
    return np.asarray(image.resize((VIEW_PIXELS, VIEW_PIXELS), Image.Resampling.LANCZOS))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over all photos by method, and by kind of object for IoU; which shape was chosen for which kind."""
    kinds = sorted({row["kind"] for row in rows})
    result: dict[str, Any] = {}
    for method in METHODS:
        mine = [row[method] for row in rows]
        result[method] = {
            "iou": mean(figures["iou"] for figures in mine),
            "iou_by_kind": {kind: mean(row[method]["iou"] for row in rows if row["kind"] == kind) for kind in kinds},
            "chamfer_percent": mean(figures["chamfer"] for figures in mine),
            **{f"psnr_{turn}": mean(figures[f"psnr_{turn}"] for figures in mine) for turn in (0, *ORBIT)},
            "detail_correlation_by_kind": {
                kind: mean(row[method]["detail_correlation"] for row in rows if row["kind"] == kind) for kind in kinds
            },
            "closed_share": mean(figures["closed"] for figures in mine),
        }
    recognised = [row for row in rows if row["auto"]["shape"] != "puff"]
    chosen: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    for row in rows:
        shape = row["auto"]["shape"]
        chosen[row["kind"]][shape] = chosen[row["kind"]].get(shape, 0) + 1
    result["chosen"] = chosen
    result["front_psnr_recognised"] = {
        method: mean(row[method]["psnr_0"] for row in recognised) for method in ("puff", "auto")
    }
    result["front_psnr_truth"] = mean(row["truth_psnr_0"] for row in recognised)
    result["outline_iou_recognised"] = mean(row["auto"]["outline_iou"] for row in recognised)
    result["front_psnr_worst_loss"] = max(
        (row["puff"]["psnr_0"] - row["auto"]["psnr_0"] for row in recognised), default=0
    )
    result["lean_degrees_mean"] = mean(abs(row["auto"].get("lean_degrees", 0)) for row in recognised)
    return result


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return round(statistics.fmean(values), 4) if values else 0.0


def table(figures: dict[str, Any]) -> str:
    lines = [f"{'':8} {'IoU':>6} {'CD %':>6} {'P0':>6} {'P±30':>6} {'P±60':>6} {'P180':>6} {'closed':>7}  IoU by kind"]
    for method in METHODS:
        of = figures[method]
        sides = [(of[f"psnr_{turn}"] + of[f"psnr_{-turn}"]) / 2 for turn in (30, 60)]
        lines.append(
            f"{method:8} {of['iou']:6.3f} {of['chamfer_percent']:6.2f} {of['psnr_0']:6.2f} {sides[0]:6.2f} "
            f"{sides[1]:6.2f} {of['psnr_180']:6.2f} {of['closed_share']:7.0%}  {of['iou_by_kind']}"
        )
    rest = {key: value for key, value in figures.items() if key not in METHODS}
    return "\n".join([*lines, json.dumps(rest)])


def speed(cases: list[Case]) -> dict[str, Any]:
    """`spent` for a photo of each class, in a process that has nothing but the engine: its memory counts too."""
    seconds, peak = {}, 0
    for name, shape in SPEED_CASES.items():
        shot = photograph(next(case for case in cases if case.name == name), VIEWS[0], SPEED_PHOTO)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shot.npz"
            np.savez(path, rgb=shot.photo.rgb, pixels=shot.mask.pixels)
            command = [sys.executable, "-c", SPENT, str(path)]
            spent = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert spent["shape"] == shape, (name, spent)
        peak = max(peak, spent.pop("peak_megabytes"))
        seconds[shape] = {kind: spent[kind] for kind in ("cpu_seconds", "wall_seconds")}
    return {"photo_pixels": SPEED_PHOTO, "warm": seconds, "peak_megabytes": peak}


def machine() -> dict[str, Any]:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
