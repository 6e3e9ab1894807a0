"""Turn a submission into a stored result, for /api/inference, jobs, direct calls and serverless jobs.

`submit` queues a job. `finish` waits for it, stores the result, and returns the report for the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sam3d_bento.errors import Internal
from sam3d_bento.serving import shortage
from sam3d_bento.serving.assets import Assets
from sam3d_bento.serving.uploads import UploadedSubmission
from sam3d_bento.serving.worker.job import Job, ignore
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.submission import Asset, Submission

log = logging.getLogger("sam3d_bento.results")


@dataclass(frozen=True)
class Result:
    """Result of a job. glb: binary glTF 2.0.

    report: JSON values: the run's report, with `request_id`, the seconds in the queue, and `id` if it is stored.
    """

    glb: bytes
    report: dict[str, Any]


class Reconstructor:
    """Queue of submissions and store of results. keep_reconstructions: whether to store them beside the GLBs."""

    def __init__(self, worker: Worker, assets: Assets, *, keep_reconstructions: bool) -> None:
        self._worker = worker
        self.assets = assets
        self._keep_reconstructions = keep_reconstructions

    def submit(
        self,
        submission: Submission | UploadedSubmission,
        label: str,
        *,
        may_wait: bool = False,
        keep: bool = True,
        on_change: Callable[[Job], None] = ignore,
    ) -> Job:
        """Queue a job. Arguments and errors: as of `Worker.submit`. keep: whether `finish` will store the result."""
        keep = keep and self._keep_reconstructions
        return self._worker.submit(submission, label, may_wait=may_wait, keep_reconstruction=keep, on_change=on_change)

    async def finish(self, job: Job, *, store: bool = True) -> Result:
        """Wait for the job, store its result, and return it. A cancelled wait cancels the job.

        Raises the job's own error. Raises Internal, StorageFull, StorageUnavailable or NotReady if the result cannot be
        stored.
        """
        asset: Asset = await ended(job)
        seconds = {"queue": round(job.queue_seconds, 4), **asset.report["seconds"]}
        report = {**asset.report, "request_id": job.label, "seconds": seconds}
        if store:
            try:
                report["id"] = await self.assets.put(asset.glb, job.reconstruction)
            except OSError as exc:
                if shortage.is_shortage(exc):
                    raise shortage.refusal() from exc
                log.exception("request %s: the result could not be stored", job.label)
                raise Internal("The result could not be stored. The server's log says why.") from exc
            finally:
                if job.reconstruction is not None:
                    job.reconstruction.unlink(missing_ok=True)
        return Result(asset.glb, report)


async def ended(job: Job) -> Any:
    """Wait for the job and return its result. A cancelled wait cancels the job. Raises the job's own error."""
    try:
        return await asyncio.wrap_future(job.future)
    except asyncio.CancelledError:
        job.cancel()
        raise


def log_fields(report: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a report for the last log line of its run. A peak of None (no GPU) is not logged."""
    stages = {f"{stage}_seconds": spent for stage, spent in report["seconds"].items()}
    stored = {"asset": report["id"]} if "id" in report else {}
    return {"engine": report["engine"], **stored, **stages, "gpu_peak_bytes": report["gpu_peak_bytes"]}
