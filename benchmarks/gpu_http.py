"""Whole requests over HTTP on a real GPU: photo and mask in, GLB out; one client, then two at once.

    python benchmarks/gpu.py checkpoints DIR
    python benchmarks/gpu_http.py DIR [--voxels N] [--requests N]

Random weights, an object of `--voxels` voxels (`gyroid.Gyroid`), the real service with its engine in a process of its
own, called in this process without a socket. Prints one line of JSON for each number of clients.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
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
        self.info, self.run = self._pipeline.info, self._pipeline.run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voxels", type=int, default=26_000)
    parser.add_argument("--requests", type=int, default=5, help="of each client")
    options = parser.parse_args()
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # read when bentoml is imported
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="prometheus-"))
    work = Path(tempfile.mkdtemp(prefix="gpu-http-"))
    os.environ[VOXELS] = str(options.voxels)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    from gyroid import photo
    from PIL import Image
    from starlette.testclient import TestClient

    from sam3d_bento import service
    from sam3d_bento.serving import backend as backends
    from sam3d_bento.settings import Settings

    changes = {"engine": "sam3d", "checkpoint_dir": options.folder}
    changes |= {"work_dir": work / "work", "output_dir": work / "outputs"}
    service.settings = Settings.from_environ().model_copy(update=changes)
    service.Backend = lambda settings, **wiring: backends.Backend(
        settings, engine_loader="gpu_http:ImposedPipeline", **wiring
    )
    image, mask = photo()
    sent = {}
    for name, pixels in (("image", image), ("mask", (mask * 255).astype("uint8"))):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        sent[name] = (f"{name}.png", content.getvalue())
    with TestClient(service.Sam3D.to_asgi()) as client:
        started = time.monotonic()
        while (health := client.get("/health")).status_code != 200:
            assert health.json()["status"] == "starting", health.json()
            threading.Event().wait(0.5)
        print(json.dumps({"ready_seconds": round(time.monotonic() - started, 1), **health.json()["engine_facts"]}))

        def ask(seed: int) -> tuple[float, dict]:
            begun = time.monotonic()
            answer = client.post("/api/inference", files=sent, data={"seed": str(seed), "response": "link"})
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
