"""Jobs of the jobs API: accept them, store their results, and forget them when the results expire.

Owns the tasks that await the worker and store the results. Every job ends, because the worker has a deadline. An ended
job holds neither its upload nor the bytes of its result. Ended jobs are forgotten when their results expire, or earlier
if there are more than MAX_ENDED. Jobs are kept in memory only, so a restart forgets them.

Everything here runs in one event loop, except `on_change`, which the worker's thread calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from sam3d_bento import logs
from sam3d_bento.errors import Internal, KeyReused, NotFound, Sam3DError
from sam3d_bento.serving.job_status import FollowedJob
from sam3d_bento.serving.reconstructor import Reconstructor, log_fields
from sam3d_bento.serving.uploads import Upload, UploadedSubmission
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.submission import SceneInput, Submission

# What a client may send as its idempotency key.
IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,200}")
# Ended jobs that are remembered. A report takes some kilobytes, and a client with a thousand results an hour fetches
# each report soon after its job has ended.
MAX_ENDED = 1000

log = logging.getLogger("sam3d_bento.jobs")


# A client (`request_context.client_id`) and its idempotency key: two clients may choose the same.
OwnedKey = tuple[bytes, str]


@dataclass(frozen=True)
class Claim:
    """Idempotency key of a client, with the digest of the input that it came with."""

    key: OwnedKey
    digest: bytes

    @classmethod
    async def of(cls, key: OwnedKey, submission: Submission | UploadedSubmission) -> Claim:
        """Return the claim of a key to an input. Reads the whole input, in a thread."""
        return cls(key, await anyio.to_thread.run_sync(_digest, submission))


@dataclass(frozen=True, slots=True)
class _Ended:
    """Job that has ended. key: its idempotency key. due: when to forget it, in seconds of the event loop's clock."""

    key: OwnedKey | None
    due: float


class Jobs:
    """Jobs of the jobs API. ttl_seconds: how long an ended job is remembered."""

    def __init__(self, reconstructor: Reconstructor, worker: Worker, ttl_seconds: float) -> None:
        self.streams = 0  # open event streams, counted by the code that opens them
        self._reconstructor = reconstructor
        self._worker = worker
        self._ttl_seconds = ttl_seconds
        self._jobs: dict[str, FollowedJob] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()  # ordered by `due`
        self._forgetting: asyncio.TimerHandle | None = None
        self._claims: dict[OwnedKey, tuple[Claim, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, submission: Submission | UploadedSubmission, label: str, claim: Claim | None = None
    ) -> FollowedJob:
        """Submit a job and return it. For a known claim, return its earlier job. label: the request id.

        Raises NotReady and Busy like `Worker.submit`, and KeyReused if the claim's key was used with another input.
        """
        if claim is not None and claim.key in self._claims:
            known, job_id = self._claims[claim.key]
            if known.digest != claim.digest:
                raise KeyReused(
                    "The Idempotency-Key was used before with another photo, mask or option. Send a new key."
                )
            return self._jobs[job_id]
        loop = asyncio.get_running_loop()
        job = self._reconstructor.submit(submission, label, on_change=self._on_change(loop))
        followed = self._jobs[job.id] = FollowedJob(job, self._worker)
        if claim is not None:
            self._claims[claim.key] = claim, job.id
        task = loop.create_task(self._attend(followed, job, claim))
        self._tasks.add(task)  # the event loop holds only a weak reference
        task.add_done_callback(self._tasks.discard)
        return followed

    def get(self, job_id: str) -> FollowedJob:
        """Return the job. Raises NotFound."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFound(
                "There is no such job. The id is wrong, the job has expired, or the service was restarted."
            ) from None

    def knows(self, key: OwnedKey) -> bool:
        """Return whether a remembered job has this client's key."""
        return key in self._claims

    def _on_change(self, loop: asyncio.AbstractEventLoop) -> Callable[[Job], None]:
        """Return the job's callback for the worker's thread. Many calls in a row refresh the job's status only once."""
        scheduled = False

        def refresh(job: Job) -> None:
            nonlocal scheduled
            scheduled = False
            if followed := self._jobs.get(job.id):
                followed.refresh()

        def on_change(job: Job) -> None:
            nonlocal scheduled
            if not scheduled:
                scheduled = True
                with contextlib.suppress(RuntimeError):  # the loop is closed, because the service is stopping
                    loop.call_soon_threadsafe(refresh, job)

        return on_change

    async def _attend(self, followed: FollowedJob, job: Job, claim: Claim | None) -> None:
        """Wait for the job's end, store its result, and log and record the outcome."""
        outcome: dict[str, Any] = {"outcome": "done"}
        try:
            report = (await self._reconstructor.finish(job)).report
        except Sam3DError as error:
            outcome = {"outcome": error.code, "detail": error.detail}
            followed.failed(error)
        except Exception:  # after a fault here, the job must still end
            log.exception("job %s failed", job.id)
            outcome = {"outcome": Internal.code}
            followed.failed(Internal("The job failed. The server's log says why."))
        else:
            outcome |= log_fields(report)
            followed.done(report)
        logs.event(log, "job done", request_id=job.label, job=job.id, **outcome)
        loop = asyncio.get_running_loop()
        self._ended[job.id] = _Ended(claim.key if claim else None, loop.time() + self._ttl_seconds)
        while len(self._ended) > MAX_ENDED:
            self._forget_oldest()
        if self._forgetting is None:
            self._forget_overdue(loop)

    def _forget_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget expired jobs, and set the single timer to the time at which the next job expires."""
        self._forgetting = None
        while self._ended and (due := next(iter(self._ended.values())).due) <= loop.time():
            self._forget_oldest()
        if self._ended:
            # In an empty context, because the timer would keep the request's context and all its objects alive.
            self._forgetting = loop.call_at(due, self._forget_overdue, loop, context=contextvars.Context())

    def _forget_oldest(self) -> None:
        job_id, ended = self._ended.popitem(last=False)
        del self._jobs[job_id]
        if ended.key is not None:
            del self._claims[ended.key]


def _digest(submission: Submission | UploadedSubmission) -> bytes:
    digest = hashlib.sha256(submission.options.model_dump_json().encode())
    scene = submission.scene or SceneInput()
    files = (submission.photo, submission.mask or b"", submission.depth or b"", submission.pointmap or b"")
    for file in (*files, scene.labels or b"", (scene.objects or "").encode(), *scene.masks):
        digest.update(len(file).to_bytes(8))
        for chunk in file.chunks() if isinstance(file, Upload) else [file]:
            digest.update(chunk)
    return digest.digest()
