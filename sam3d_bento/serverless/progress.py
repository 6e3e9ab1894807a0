"""Waiting for a job while RunPod is told how far it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sam3d_bento.serving.worker.job import Job

# RunPod's clients poll for it, and each update is a request of its own.
INTERVAL_SECONDS = 1.0

log = logging.getLogger("sam3d_bento.serverless")

# Told {"stage": "export", "fraction": 0.25}; as stages and fractions of `submission.Report`.
Tell = Callable[[dict[str, Any]], None]


async def result(job: Job, tell: Tell, interval_seconds: float = INTERVAL_SECONDS) -> Any:
    """The job's result, or its error. A cancelled await cancels the job.

    tell: called at most once an interval, when there is news. When it fails, the job goes on untold.
    """
    done = asyncio.wrap_future(job.future)
    told = None
    deaf = False
    try:
        while not (await asyncio.wait({done}, timeout=interval_seconds))[0]:
            if deaf or job.progress in (None, told):
                continue
            told = job.progress
            try:
                tell({"stage": told[0], "fraction": round(told[1], 3)})
            except Exception:  # a job is worth more than the news of it
                log.exception("job %s: its progress cannot be told", job.label)
                deaf = True
        return done.result()
    except asyncio.CancelledError:
        done.cancel()
        job.cancel()
        raise
