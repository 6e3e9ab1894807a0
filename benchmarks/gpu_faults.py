"""Faults on a real GPU, over HTTP: out of memory, an overflow, and a cancelled run; the service goes on after each.

    python benchmarks/gpu.py checkpoints DIR
    python benchmarks/gpu_faults.py DIR

Random weights, an object of 41,000 voxels (`gyroid.Gyroid`), the real service with its engine in a process of its own.
Before each request that process reads how much of the GPU it may use, as if other processes had taken the rest, and
whether the mesh decoder overflows in float16.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from gpu_service import photo_files, running_service

VOXELS = 41_000
FAULT_FILE = "SAM3D_BENCHMARK_FAULT_FILE"
CHECK_SECONDS = 0.01


class FaultyPipeline:
    """A Runner: the service's pipeline, which reads its fault before each run."""

    def __init__(self, settings):
        from gyroid import Gyroid

        from sam3d_bento.engines.sam3d.engine import Sam3dEngine
        from sam3d_bento.pipeline import Pipeline

        engine = Sam3dEngine(settings.checkpoint_dir, "24gb")
        engine.load()
        models = engine._inference.pipeline.models
        Gyroid(VOXELS).impose(models)
        models["slat_decoder_mesh"].upsample[-1].register_forward_hook(self._overflow)
        self._pipeline = Pipeline(engine, None, settings)  # each request brings its mask
        self.info = self._pipeline.info
        self._fault: dict = {}

    def _overflow(self, module, inputs, out):
        import torch

        if self._fault.get("overflow") and out.feats.dtype == torch.float16:
            return out.replace(out.feats * float("nan"))
        return None

    def hand_over(self, submission, on_progress, memory, on_reconstruction=None):
        """As `Pipeline.hand_over`."""
        import torch
        from stages import limit

        self._fault = json.loads(Path(os.environ[FAULT_FILE]).read_text())
        torch.cuda.set_per_process_memory_fraction(1.0)
        limit(self._fault.get("cap"))
        return self._pipeline.hand_over(submission, on_progress, memory, on_reconstruction)


def main() -> None:
    work = Path(tempfile.mkdtemp(prefix="gpu-faults-"))
    fault_file = work / "fault"
    fault_file.write_text("{}")
    os.environ[FAULT_FILE] = str(fault_file)
    files = photo_files()
    with running_service("gpu_faults:FaultyPipeline", Path(sys.argv[1]), work) as client:
        options = {"seed": "1", "quality": "draft", "response": "link"}
        for what, fault in (
            ("all of it", {}),
            ("7 GB", {"cap": 7e9}),
            ("3 GB", {"cap": 3e9}),
            ("all of it again", {}),
            ("all of it, float16 overflows", {"overflow": True}),
        ):
            fault_file.write_text(json.dumps(fault))
            started = time.monotonic()
            answer = client.post("/api/inference", files=files, data=options)
            report = answer.json()
            line = {"may_use": what, "status": answer.status_code, "seconds": round(time.monotonic() - started, 1)}
            shown = ("code", "detail", "retryable", "faces", "gpu_peak_bytes", "retries")
            line |= {key: report[key] for key in shown if key in report}
            print(json.dumps(line | after(client)), flush=True)
        fault_file.write_text("{}")
        cancel(client, files)
        started = time.monotonic()
        answer = client.post("/api/inference", files=files, data=options)
        line = {"may_use": "all of it, after a cancelled run", "status": answer.status_code}
        print(json.dumps(line | {"seconds": round(time.monotonic() - started, 1)} | after(client)), flush=True)


def cancel(client, files) -> None:
    """Cancel a job of standard quality in each generator; the seconds until it has ended."""
    for fraction in (0.2, 0.6):
        job = client.post("/api/jobs", files=files, data={"seed": "1"}).json()["links"]["self"]
        while (seen := client.get(job).json())["stage"] != "reconstruct" or seen["stage_fraction"] < fraction:
            assert seen["state"] in ("queued", "running"), seen
            threading.Event().wait(CHECK_SECONDS)
        asked = time.monotonic()
        client.delete(job)
        while (state := client.get(job).json()["state"]) == "running":
            threading.Event().wait(CHECK_SECONDS)
        line = {"cancelled_at": seen["stage_fraction"], "state": state}
        line |= {"seconds_until_ended": round(time.monotonic() - asked, 3)}
        print(json.dumps(line | after(client)), flush=True)


def after(client) -> dict:
    """Return what /health says of the engine process."""
    health = client.get("/health")
    return {"health_after": health.status_code} | {key: health.json()[key] for key in ("loads", "losses")}


if __name__ == "__main__":
    main()
