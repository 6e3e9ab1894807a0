"""The handler that RunPod's SDK calls with each job.

A job goes to the same engine process as a request of the HTTP service: what hangs, crashes or runs out of memory there
costs the job and that process, not this worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from yarl import URL

from sam3d_bento import logs
from sam3d_bento.errors import Internal, Sam3DError
from sam3d_bento.serverless import answers, job_input, progress
from sam3d_bento.serverless.hosts import AllowedHosts
from sam3d_bento.serverless.transfers import Transfers
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE
from sam3d_bento.serving.assets.bucket import Bucket
from sam3d_bento.serving.backend import Backend
from sam3d_bento.submission import Asset

LONGEST_LINK = timedelta(days=7)  # what S3 lets a signature say

log = logging.getLogger("sam3d_bento.serverless")

# `runpod.serverless.progress_update`: told the job and its progress, JSON values.
Update = Callable[[dict[str, Any], dict[str, Any]], None]


class Handler:
    """Turns jobs into answers. update: how RunPod is told of a job's progress.

    A job that arrives while the engine loads waits for it. Nothing of a job is kept here when it is answered, and
    neither its files nor its URLs are logged.
    """

    def __init__(self, backend: Backend, update: Update) -> None:
        self._backend = backend
        self._update = update
        settings = backend.settings
        self._transfers = Transfers(AllowedHosts(settings.allowed_hosts), settings.max_upload_bytes)

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job's answer; never raises, but for its cancellation, which cancels the run at its next step.

        `refresh_worker` is in it when only a new worker helps: the engine cannot be loaded, or is lost again and again.
        """
        label = str(job["id"])
        logs.event(log, "job start", request_id=label)
        started = time.perf_counter()
        outcome: dict[str, Any] = {"outcome": "cancelled"}
        try:
            answer = await self._answer(job, label)
            stages = {f"{stage}_seconds": spent for stage, spent in answer["seconds"].items()}
            peak = {"gpu_peak_bytes": answer["gpu_peak_bytes"]}  # None, without a GPU, is not logged
            outcome = {"outcome": "done", "engine": answer["engine"], **stages, **peak}
        except Sam3DError as error:
            answer = answers.failure(error)
            outcome = {"outcome": error.code, "detail": error.detail}
        except Exception:  # the SDK would send the traceback to the client
            log.exception("job %s failed", label)
            answer = answers.failure(Internal("The job failed; the worker's log says why."))
            outcome = {"outcome": Internal.code}
        finally:
            logs.event(log, "job done", request_id=label, seconds=round(time.perf_counter() - started, 4), **outcome)
        if not self._backend.alive:
            answer["refresh_worker"] = True
        return answer

    async def _answer(self, job: dict[str, Any], label: str) -> dict[str, Any]:
        worker = self._backend.worker
        worker.admit(may_wait=True)
        given = job_input.read(job.get("input"), self._transfers, self._backend.settings.max_upload_bytes)
        submission = await job_input.fetch(given, self._transfers)
        run = worker.submit(submission, label, may_wait=True)
        asset: Asset = await progress.result(run, lambda news: self._update(job, news))
        seconds = {"queue": round(run.queue_seconds, 4), **asset.report["seconds"]}
        report = {**asset.report, "request_id": label, "seconds": seconds}
        return await self._deliver(asset.glb, report, given.output)

    async def _deliver(self, glb: bytes, report: dict[str, Any], output: URL | None) -> dict[str, Any]:
        """The report, once the GLB is at `output`; else with a link into the bucket, or without one, with the GLB."""
        bucket = self._backend.assets
        if output is not None:
            await self._transfers.upload(output, "output_url", glb, GLB_MEDIA_TYPE)
            return {**report, "stored": True}
        if isinstance(bucket, Bucket):
            asset_id = await bucket.put(glb)
            # RunPod keeps the answer for half an hour, and no service is there that would sign another link.
            stored = await bucket.get(asset_id, lifetime=min(bucket.ttl, LONGEST_LINK))
            return {**report, "id": asset_id, "url": stored.links["GET"]}
        return answers.inline(report, glb)
