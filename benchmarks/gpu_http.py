"""Whole requests over HTTP on a real GPU: photo and mask in, GLB out; one client, then two at once.

    python benchmarks/gpu.py checkpoints DIR
    python benchmarks/gpu_http.py DIR [--voxels N] [--requests N]

Random weights, an object of `--voxels` voxels (`gyroid.Gyroid`), the real service with its engine in a process of its
own, called in this process without a socket. Prints one line of JSON for each number of clients.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpu_service import photo_files, running_service

VOXELS = "SAM3D_BENCHMARK_VOXELS"


class ImposedPipeline:
    """A Runner: the service's pipeline, whose every object is a gyroid of a given number of voxels."""

    def __init__(self, settings):
        from gyroid import Gyroid

        from sam3d_bento import engines
        from sam3d_bento.pipeline import Pipeline

        engine = engines.choose(settings)
        engine.load()
        Gyroid(int(os.environ[VOXELS])).impose(engine._inference.pipeline.models)
        self._pipeline = Pipeline(engine, None, settings)  # each request brings its mask
        self.info, self.run, self.hand_over = self._pipeline.info, self._pipeline.run, self._pipeline.hand_over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voxels", type=int, default=26_000)
    parser.add_argument("--requests", type=int, default=5, help="of each client")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="gpu-http-"))
    os.environ[VOXELS] = str(options.voxels)
    files = photo_files()
    with running_service("gpu_http:ImposedPipeline", options.folder, work) as client:

        def ask(seed: int) -> tuple[float, dict]:
            begun = time.monotonic()
            answer = client.post("/api/inference", files=files, data={"seed": str(seed), "response": "link"})
            assert answer.status_code == 200, answer.text
            return time.monotonic() - begun, answer.json()

        ask(0)  # the first request of a process
        for clients in (1, 2):
            begun = time.monotonic()
            with ThreadPoolExecutor(clients) as threads:
                answers = list(threads.map(ask, range(1, 1 + clients * options.requests)))
            spent = time.monotonic() - begun
            each = [round(seconds, 2) for seconds, _ in answers]
            line = {"what": "http", "asked_voxels": options.voxels, "clients": clients, "seconds_of_each": each}
            line |= {"seconds": round(statistics.median(each), 2), "per_minute": round(60 * len(each) / spent, 1)}
            print(json.dumps(line | {"seconds_of_stages": answers[-1][1]["seconds"]}), flush=True)


if __name__ == "__main__":
    main()
