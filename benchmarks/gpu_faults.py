"""Out of memory on a real GPU, over HTTP: the second attempt in a leaner profile, the refusal, the service goes on.

    python benchmarks/gpu.py checkpoints DIR
    python benchmarks/gpu_faults.py DIR

Random weights, an object of 41,000 voxels (`gyroid.Gyroid`), the real service with its engine in a process of its own;
before each request that process is told how much of the GPU it may use, as if other processes had taken the rest.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from gpu_service import photo_files, running_service

VOXELS = 41_000
CAP_FILE = "SAM3D_BENCHMARK_CAP_FILE"


class CappedPipeline:
    """A Runner: the service's pipeline, which reads its share of the GPU before each run."""

    def __init__(self, settings):
        from gyroid import Gyroid

        from sam3d_bento.engines.sam3d.engine import Sam3dEngine
        from sam3d_bento.pipeline import Pipeline

        engine = Sam3dEngine(settings.checkpoint_dir, "24gb")
        engine.load()
        Gyroid(VOXELS).impose(engine._inference.pipeline.models)
        self._pipeline = Pipeline(engine, None, settings)  # each request brings its mask
        self.info = self._pipeline.info

    def hand_over(self, submission, on_progress, memory, on_reconstruction=None):
        """As `Pipeline.hand_over`."""
        import torch
        from stages import limit

        torch.cuda.set_per_process_memory_fraction(1.0)
        if cap := Path(os.environ[CAP_FILE]).read_text():
            limit(float(cap))
        return self._pipeline.hand_over(submission, on_progress, memory, on_reconstruction)


def main() -> None:
    work = Path(tempfile.mkdtemp(prefix="gpu-faults-"))
    cap_file = work / "cap"
    cap_file.write_text("")
    os.environ[CAP_FILE] = str(cap_file)
    files = photo_files()
    with running_service("gpu_faults:CappedPipeline", Path(sys.argv[1]), work) as client:
        for what, cap in (("all of it", None), ("7 GB", 7e9), ("3 GB", 3e9), ("all of it again", None)):
            cap_file.write_text("" if cap is None else str(cap))
            options = {"seed": "1", "quality": "draft", "response": "link"}
            started = time.monotonic()
            answer = client.post("/api/inference", files=files, data=options)
            report = answer.json()
            line = {"may_use": what, "status": answer.status_code, "seconds": round(time.monotonic() - started, 1)}
            line |= {
                key: report[key] for key in ("code", "detail", "retryable", "faces", "gpu_peak_bytes") if key in report
            }
            after = client.get("/health")
            line |= {
                "health_after": after.status_code,
                "loads": after.json()["loads"],
                "losses": after.json()["losses"],
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
