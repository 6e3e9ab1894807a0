"""Passing on to RunPod how far a job is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sam3d_bento.serving.worker.job import Job

# RunPod's clients poll for it, and each update is a request of its own.
INTERVAL_SECONDS = 1.0

log = logging.getLogger("sam3d_bento.serverless")

# Called with {"stage": "export", "fraction": 0.25}; stages and fractions as of `submission.OnStageProgress`.
OnNews = Callable[[dict[str, Any]], None]


@asynccontextmanager
async def passed_on(job: Job, on_news: OnNews, interval_seconds: float = INTERVAL_SECONDS) -> AsyncIterator[None]:
    """Pass the job's progress on during the block.

    on_news: called at most once an interval, when there is news. When it fails, it is not called again.
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
        except Exception:  # a job is worth more than the news of it
            log.exception("job %s: its progress cannot be passed on", job.label)
            return
