"""The handler that RunPod's SDK calls with each job.

A job goes to the same engine process as a request of the HTTP service: what hangs, crashes or runs out of memory there
costs the job and that process, not this worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from yarl import URL

from sam3d_bento import logs
from sam3d_bento.errors import Internal, Sam3DError
from sam3d_bento.serverless import answers, job_input, progress
from sam3d_bento.serverless.hosts import AllowedHosts
from sam3d_bento.serverless.transfers import Transfers
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE
from sam3d_bento.serving.assets.bucket import Bucket
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.reconstructor import Result, log_fields

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
            outcome = {"outcome": "done", **log_fields(answer)}
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
        backend = self._backend
        backend.worker.admit(may_wait=True)
        given = job_input.read(job.get("input"), self._transfers, backend.settings.max_upload_bytes)
        submission = await job_input.fetch(given, self._transfers)
        stores = given.output is None and isinstance(backend.assets, Bucket)
        run = backend.reconstructor.submit(submission, label, may_wait=True, keep=False)
        async with progress.passed_on(run, lambda news: self._update(job, news)):
            made = await backend.reconstructor.finish(run, store=stores)
        return await self._deliver(made, given.output)

    async def _deliver(self, made: Result, output: URL | None) -> dict[str, Any]:
        """Return the report, once the GLB is at `output`; else with a link into the bucket, else with the GLB."""
        if output is not None:
            await self._transfers.upload(output, "output_url", made.glb, GLB_MEDIA_TYPE)
            return {**made.report, "stored": True}
        if "id" in made.report:
            bucket = cast(Bucket, self._backend.assets)
            # RunPod keeps the answer for half an hour, and no service is there that would sign another link.
            stored = await bucket.get(made.report["id"], lifetime=min(bucket.ttl, LONGEST_LINK))
            return {**made.report, "url": stored.links["GET"]}
        return answers.inline(made.report, made.glb)
