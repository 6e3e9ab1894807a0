"""Start the worker on RunPod: `python -m sam3d_bento.serverless`.

Its arguments are those of RunPod's SDK: `--rp_serve_api` for a test server, `--test_input '{"input": …}'` for one run.
"""

from __future__ import annotations

import os
from typing import Any

from sam3d_bento.serverless.handler import Handler
from sam3d_bento.serving.backend import Backend
from sam3d_bento.settings import Settings, SettingsError


def main() -> None:
    """Load the engine, and run RunPod's jobs until the process is stopped."""
    try:
        settings = Settings.from_environ()
    except SettingsError as exc:
        raise SystemExit(str(exc)) from exc
    backend = Backend(settings)  # first, so that the engine loads while the SDK is imported
    try:
        import runpod
        from runpod.serverless.modules.rp_logger import RunPodLogger

        # The SDK's default level, DEBUG, prints the input and output of every job: whole files, and signed URLs.
        RunPodLogger().set_level("INFO")
        on_runpod = "RUNPOD_WEBHOOK_POST_OUTPUT" in os.environ
        update = runpod.serverless.progress_update if on_runpod else _nobody_is_told
        handler = Handler(backend, update)
        # One job at a time: the engine has one GPU, and RunPod gives a waiting job to another worker.
        runpod.serverless.start({"handler": handler.run, "concurrency_modifier": lambda current: 1})
    finally:
        backend.stop()


def _nobody_is_told(job: dict[str, Any], progress: dict[str, Any]) -> None:
    """Ignore an update. Used outside RunPod, where each update of the SDK would fail with a log line."""


if __name__ == "__main__":
    main()
