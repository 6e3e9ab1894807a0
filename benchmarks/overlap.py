"""Compare jobs of one process with jobs of two: a request alone, and a request after the other.

    python benchmarks/overlap.py [--grid N] [--network SECONDS] [--requests N]

The engine's network is a pause, as a host that waits for its GPU. Its result is a gyroid in a ball with gaussians on
its surface. Pipeline, worker, export and shared memory are the service's own. The requests of both kinds take turns, so
that other load on the machine slows both down. Writes benchmarks/results/overlap.json, and fails if a request alone
takes more than ALONE_AT_MOST times as long with two processes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from sam3d_bento.options import Options  # noqa: E402
from sam3d_bento.pipeline import Pipeline  # noqa: E402
from sam3d_bento.reconstruction import Reconstruction, Splats  # noqa: E402
from sam3d_bento.serving.worker.workdir import WorkDir  # noqa: E402
from sam3d_bento.serving.worker.worker import Worker  # noqa: E402
from sam3d_bento.settings import Settings  # noqa: E402
from sam3d_bento.submission import Submission  # noqa: E402

GRID, NETWORK = "SAM3D_BENCHMARK_GRID", "SAM3D_BENCHMARK_NETWORK"
# A hundredth is for the copy into shared memory; the rest is the noise of two medians.
ALONE_AT_MOST = 1.05


def gyroid(cells: int) -> Reconstruction:
    """Return a gyroid in a ball, and a gaussian on every second vertex. cells: along an edge of the grid."""
    from skimage.measure import marching_cubes

    steps = np.linspace(-0.5, 0.5, cells, dtype=np.float32)
    x, y, z = np.meshgrid(steps, steps, steps, indexing="ij", sparse=True)
    a, b, c = (30 * axis for axis in (x, y, z))
    field = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    field = np.maximum(field / 30, np.sqrt(x * x + y * y + z * z) - 0.45)
    vertices, faces, _, _ = marching_cubes(field, 0.0)
    vertices = (vertices / (cells - 1) - 0.5).astype(np.float32)
    colours = (255 * (vertices + 0.5)).astype(np.uint8)
    positions = vertices[::2]
    count = len(positions)
    scale = np.full((count, 3), 0.7 / cells, np.float32)
    rotation = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    splats = Splats(positions, colours[::2], np.full(count, 0.9, np.float32), scale, rotation)
    return Reconstruction(vertices, faces.astype(np.int32), colours, splats)


class PausingEngine:
    """Engine whose network is a pause. See `engines.Engine`."""

    name, version, device = "pause", "pause/1", "cpu"
    gpu_peak_bytes = None
    retries = 0

    def __init__(self, *, hands_over: bool) -> None:
        self.facts: dict = {}
        self.hands_over = hands_over
        self._seconds = float(os.environ[NETWORK])
        self._made = gyroid(int(os.environ[GRID]))

    def load(self):
        """Nothing to load."""

    def reconstruct(self, photo, mask, options, seed, on_progress, *, splats=False, view=None):
        """Wait as for a network, and return a copy of the gyroid."""
        for step in range(50):
            on_progress(step / 50)
            time.sleep(self._seconds / 50)
        made = self._made
        return Reconstruction(made.vertices.copy(), made.faces.copy(), made.colours.copy(), made.splats)


def one_process(settings: Settings) -> Pipeline:
    """Return the runner of a worker that exports itself."""
    return Pipeline(PausingEngine(hands_over=False), None, settings)


def two_processes(settings: Settings) -> Pipeline:
    """Return the runner of a worker that hands over."""
    return Pipeline(PausingEngine(hands_over=True), None, settings)


def photo() -> bytes:
    """Return a small photo with a mask of its own."""
    from PIL import Image

    pixels = np.full((64, 64, 4), (200, 90, 40, 0), np.uint8)
    pixels[16:48, 16:48, 3] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", type=int, default=160)
    parser.add_argument("--network", type=float, default=2.0, help="seconds")
    parser.add_argument("--requests", type=int, default=7, help="of each kind, of which the first is not counted")
    options = parser.parse_args()
    os.environ |= {GRID: str(options.grid), NETWORK: str(options.network)}
    search = os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONPATH"] = search
    with tempfile.TemporaryDirectory(prefix="overlap-") as folder:
        settings = Settings(work_dir=Path(folder) / "work", engine="preview")
        workdir = WorkDir(settings.work_dir)
        workdir.claim()
        exporter = Worker("export", "sam3d_bento.pipeline:Exporter.load", settings, workdir, queue_while_loading=True)
        workers = {
            name: Worker(
                name, f"overlap:{name}", settings, workdir, queue_while_loading=True, exporter=lambda: exporter
            )
            for name in ("one_process", "two_processes")
        }
        for worker in (exporter, *workers.values()):
            worker.start()
        try:
            measure(workers, options)
        finally:
            for worker in (exporter, *workers.values()):
                worker.stop()
            workdir.close()


def measure(workers: dict[str, Worker], options: argparse.Namespace) -> None:
    """Run the requests, and report."""
    submission = Submission(photo(), None, Options(seed=1))

    def ask(worker: Worker):
        return worker.submit(submission, "benchmark")

    alone: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(options.requests):
        for name, worker in workers.items():
            begun = time.monotonic()
            report = ask(worker).future.result().report
            alone[name].append(round(time.monotonic() - begun, 3))
    turns = {}
    for name, worker in workers.items():
        begun = time.monotonic()
        waiting = [ask(worker), ask(worker)]
        for _ in range(options.requests - 2):
            waiting.pop(0).future.result()
            waiting.append(ask(worker))
        for job in waiting:
            job.future.result()
        turns[name] = round((time.monotonic() - begun) / options.requests, 3)
    medians = {name: statistics.median(times[1:]) for name, times in alone.items()}
    ratio = medians["two_processes"] / medians["one_process"]
    result = {
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count()},
        "faces": len(gyroid(options.grid).faces),
        "exported_faces": report["faces"],
        "network_seconds": options.network,
        "seconds_alone": alone,
        "median_seconds_alone": medians,
        "alone_ratio": round(ratio, 3),
        "seconds_per_request_two_clients": turns,
    }
    print(json.dumps(result))
    (ROOT / "benchmarks" / "results" / "overlap.json").write_text(json.dumps(result, indent=1) + "\n")
    if ratio > ALONE_AT_MOST:
        sys.exit(f"a request alone takes {ratio:.2f} times as long with two processes")


if __name__ == "__main__":
    main()
