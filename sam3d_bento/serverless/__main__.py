"""`python -m sam3d_bento.serverless`: the worker that RunPod starts.

Its arguments are those of RunPod's SDK: `--rp_serve_api` for a test server, `--test_input '{"input": …}'` for one run.
"""

from __future__ import annotations

import os
from typing import Any

from sam3d_bento.serverless.handler import Handler
from sam3d_bento.serving.backend import Backend
from sam3d_bento.settings import Settings, SettingsError


def main() -> None:
    """Load the engine, and work on RunPod's jobs until the process is asked to stop."""
    try:
        settings = Settings.from_environ()
    except SettingsError as exc:
        raise SystemExit(str(exc)) from exc
    backend = Backend(settings)  # first of all: the engine loads while the SDK is imported
    try:
        import runpod
        from runpod.serverless.modules.rp_logger import RunPodLogger

        # Its default, DEBUG, prints every job's input and output: whole files, and signed URLs.
        RunPodLogger().set_level("INFO")
        on_runpod = "RUNPOD_WEBHOOK_POST_OUTPUT" in os.environ
        update = runpod.serverless.progress_update if on_runpod else _nobody_is_told
        handler = Handler(backend, update)
        # One job at a time: the engine has one GPU, and RunPod gives a waiting job to another worker.
        runpod.serverless.start({"handler": handler.run, "concurrency_modifier": lambda current: 1})
    finally:
        backend.stop()


def _nobody_is_told(job: dict[str, Any], progress: dict[str, Any]) -> None:
    """Elsewhere than on RunPod the SDK would fail with each update, and say so."""


if __name__ == "__main__":
    main()
