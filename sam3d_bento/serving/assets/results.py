"""From what a run made to what a client can fetch."""

from __future__ import annotations

import logging
from typing import Any

from sam3d_bento.errors import Internal
from sam3d_bento.serving.assets import Assets
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset

log = logging.getLogger("sam3d_bento.results")


async def store(assets: Assets, job: Job, asset: Asset) -> dict[str, Any]:
    """Store what the job made; its report, with the stored asset's `id`. The job's reconstruction is closed.

    Raises Internal, StorageFull or StorageUnavailable.
    """
    try:
        asset_id = await assets.put(asset.glb, job.reconstruction)
    except OSError as exc:
        log.exception("request %s: the result could not be stored", job.label)
        raise Internal("The result could not be stored; the server's log says why.") from exc
    finally:
        if job.reconstruction is not None:
            job.reconstruction.close()
    seconds = {"queue": round(job.queue_seconds, 4), **asset.report["seconds"]}
    return {**asset.report, "id": asset_id, "request_id": job.label, "seconds": seconds}


def log_fields(report: dict[str, Any]) -> dict[str, Any]:
    """What the closing log line of a run tells of its report."""
    stages = {f"{stage}_seconds": spent for stage, spent in report["seconds"].items()}
    # The peak is None without a GPU, and then not logged.
    return {"engine": report["engine"], "asset": report["id"], **stages, "gpu_peak_bytes": report["gpu_peak_bytes"]}
