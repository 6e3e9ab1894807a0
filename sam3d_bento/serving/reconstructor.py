"""From a submission to a stored result: what /api/inference, jobs, a direct call and a serverless job have in common.

`submit` queues a job; `finish` waits for it, stores what it made, and returns the report that clients get.
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
    """What a job made. glb: binary glTF 2.0.

    report: JSON values; the run's own, with `request_id`, the seconds in the queue, and `id` if the result is stored.
    """

    glb: bytes
    report: dict[str, Any]


class Reconstructor:
    """See the module's docstring. keep_reconstructions: whether each is stored beside its GLB, to be exported again."""

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
        """Queue a job. Arguments and errors as of `Worker.submit`; keep: whether `finish` will store the result."""
        keep = keep and self._keep_reconstructions
        return self._worker.submit(submission, label, may_wait=may_wait, keep_reconstruction=keep, on_change=on_change)

    async def finish(self, job: Job, *, store: bool = True) -> Result:
        """Wait for the job, store what it made, and return it with its report. A cancelled wait cancels the job.

        Raises the job's own error; Internal, StorageFull, StorageUnavailable or NotReady when the result cannot be
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
                raise Internal("The result could not be stored; the server's log says why.") from exc
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
    """Return what the closing log line of a run says of its report. The peak is None without a GPU, and not logged."""
    stages = {f"{stage}_seconds": spent for stage, spent in report["seconds"].items()}
    stored = {"asset": report["id"]} if "id" in report else {}
    return {"engine": report["engine"], **stored, **stages, "gpu_peak_bytes": report["gpu_peak_bytes"]}
