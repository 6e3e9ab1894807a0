"""Handle the jobs of RunPod: its SDK calls `Handler.run` with each of them.

A job goes to an engine process, as a request to the HTTP service does. A hang, a crash or an out-of-memory kill there
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

# Longest validity of a signed link. It is the limit of S3.
LONGEST_LINK = timedelta(days=7)

log = logging.getLogger("sam3d_bento.serverless")

# Signature of `runpod.serverless.progress_update`: called with the job and its progress, both JSON values.
Update = Callable[[dict[str, Any], dict[str, Any]], None]


class Handler:
    """Turns jobs into answers. update: called to report the progress of a job to RunPod.

    A job that arrives while the engine is loading waits for it. No data of a job is kept here after its answer, and
    neither its files nor its URLs are logged.
    """

    def __init__(self, backend: Backend, update: Update) -> None:
        self._backend = backend
        self._update = update
        settings = backend.settings
        self._transfers = Transfers(AllowedHosts(settings.allowed_hosts), settings.max_upload_bytes)

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run a job and return its answer. Raises nothing but its own cancellation, which cancels the run as well.

        The run then ends at its next step. The answer contains `refresh_worker` when only a new worker helps, because
        the engine cannot be loaded or was lost repeatedly.
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
        """Deliver the GLB and return the report: upload to `output`, or add a link into the bucket, or add the GLB."""
        if output is not None:
            await self._transfers.upload(output, "output_url", made.glb, GLB_MEDIA_TYPE)
            return {**made.report, "stored": True}
        if "id" in made.report:
            bucket = cast(Bucket, self._backend.assets)
            # RunPod keeps the answer for half an hour, and there is no service that could sign another link.
            stored = await bucket.get(made.report["id"], lifetime=min(bucket.ttl, LONGEST_LINK))
            return {**made.report, "url": stored.links["GET"]}
        return answers.inline(made.report, made.glb)
