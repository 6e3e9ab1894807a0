"""Report the progress of a job to RunPod."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sam3d_bento.serving.worker.job import Job

# Shortest time between two updates. RunPod's clients poll for the progress, and each update is an HTTP request.
INTERVAL_SECONDS = 1.0

log = logging.getLogger("sam3d_bento.serverless")

# Called with {"stage": "export", "fraction": 0.25}. Stages and fractions are those of `submission.OnStageProgress`.
OnNews = Callable[[dict[str, Any]], None]


@asynccontextmanager
async def passed_on(job: Job, on_news: OnNews, interval_seconds: float = INTERVAL_SECONDS) -> AsyncIterator[None]:
    """Report the progress of the job while the block runs.

    on_news: called when the progress changed, at most once an interval. After it has failed, it is not called again.
    """
    passing = asyncio.ensure_future(_pass_on(job, on_news, interval_seconds))
    try:
        yield
    finally:
        passing.cancel()


async def _pass_on(job: Job, on_news: OnNews, interval_seconds: float) -> None:
    known = None
    while True:
        await asyncio.sleep(interval_seconds)
        if job.progress in (None, known):
            continue
        known = job.progress
        try:
            on_news({"stage": known[0], "fraction": round(known[1], 3)})
        except Exception:  # a failed update must not end the job
            log.exception("job %s: its progress cannot be passed on", job.label)
            return
