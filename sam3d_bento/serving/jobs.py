"""The jobs that clients follow: taken in, stored when they are done, forgotten when their time is over.

Owns the tasks that await the worker and store the results. It promises that every job ends (the worker's deadline sees
to that), that an ended job holds no upload and no result bytes, and that ended jobs are forgotten when their results
expire, or earlier when there are more than MOST_ENDED. Jobs live in memory only: a restart forgets them.

Everything here happens in one event loop; of the worker's thread only `on_change` is called.
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
from sam3d_bento.submission import Submission

IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,200}")
# A report takes some kilobytes; whoever fetches a thousand results an hour follows them as they end.
MOST_ENDED = 1000

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
        """Return the claim of the key to this input, which is read whole, in a thread."""
        return cls(key, await anyio.to_thread.run_sync(_digest, submission))


@dataclass(frozen=True, slots=True)
class _Ended:
    """Job that has ended. key: its idempotency key. due: when it is forgotten, in the loop's seconds."""

    key: OwnedKey | None
    due: float


class Jobs:
    """See the module's docstring. ttl_seconds: how long an ended job is remembered."""

    def __init__(self, reconstructor: Reconstructor, worker: Worker, ttl_seconds: float) -> None:
        self.streams = 0  # of events that are open now; counted by those who open them
        self._reconstructor = reconstructor
        self._worker = worker
        self._ttl_seconds = ttl_seconds
        self._jobs: dict[str, FollowedJob] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()  # in the order in which they are to be forgotten
        self._forgetting: asyncio.TimerHandle | None = None
        self._claims: dict[OwnedKey, tuple[Claim, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, submission: Submission | UploadedSubmission, label: str, claim: Claim | None = None
    ) -> FollowedJob:
        """Take a job in; with a claim that was met before, the job of then. label: the request id.

        Raises NotReady and Busy like `Worker.submit`, KeyReused when the claim's key came with another input.
        """
        if claim is not None and claim.key in self._claims:
            known, job_id = self._claims[claim.key]
            if known.digest != claim.digest:
                raise KeyReused("The Idempotency-Key was sent before, with another photo, mask or option.")
            return self._jobs[job_id]
        loop = asyncio.get_running_loop()
        job = self._reconstructor.submit(submission, label, on_change=self._on_change(loop))
        followed = self._jobs[job.id] = FollowedJob(job, self._worker)
        if claim is not None:
            self._claims[claim.key] = claim, job.id
        task = loop.create_task(self._attend(followed, job, claim))
        self._tasks.add(task)  # the loop itself holds it only weakly
        task.add_done_callback(self._tasks.discard)
        return followed

    def get(self, job_id: str) -> FollowedJob:
        """Raises NotFound."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFound(
                "There is no such job: it was never taken in, its time is over, or the service was restarted."
            ) from None

    def knows(self, key: OwnedKey) -> bool:
        """Return whether a job came with this client's key."""
        return key in self._claims

    def _on_change(self, loop: asyncio.AbstractEventLoop) -> Callable[[Job], None]:
        """Called in the worker's thread: have the loop look at the job, once for many calls."""
        asked = False

        def look(job: Job) -> None:
            nonlocal asked
            asked = False
            if followed := self._jobs.get(job.id):
                followed.refresh()

        def on_change(job: Job) -> None:
            nonlocal asked
            if not asked:
                asked = True
                with contextlib.suppress(RuntimeError):  # the loop is closed: the service stops
                    loop.call_soon_threadsafe(look, job)

        return on_change

    async def _attend(self, followed: FollowedJob, job: Job, claim: Claim | None) -> None:
        """Wait for the job's end, and see it through."""
        outcome: dict[str, Any] = {"outcome": "done"}
        try:
            report = (await self._reconstructor.finish(job)).report
        except Sam3DError as error:
            outcome = {"outcome": error.code, "detail": error.detail}
            followed.failed(error)
        except Exception:  # a fault here must not leave a job that never ends
            log.exception("job %s failed", job.id)
            outcome = {"outcome": Internal.code}
            followed.failed(Internal("The job failed; the server's log says why."))
        else:
            outcome |= log_fields(report)
            followed.done(report)
        logs.event(log, "job done", request_id=job.label, job=job.id, **outcome)
        loop = asyncio.get_running_loop()
        self._ended[job.id] = _Ended(claim.key if claim else None, loop.time() + self._ttl_seconds)
        while len(self._ended) > MOST_ENDED:
            self._forget_oldest()
        if self._forgetting is None:
            self._forget_overdue(loop)

    def _forget_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the jobs whose time is over, and come back when the next one's is: one timer for all."""
        self._forgetting = None
        while self._ended and (due := next(iter(self._ended.values())).due) <= loop.time():
            self._forget_oldest()
        if self._ended:
            # In a context of its own: that of the request would be held, with all that it refers to.
            self._forgetting = loop.call_at(due, self._forget_overdue, loop, context=contextvars.Context())

    def _forget_oldest(self) -> None:
        job_id, ended = self._ended.popitem(last=False)
        del self._jobs[job_id]
        if ended.key is not None:
            del self._claims[ended.key]


def _digest(submission: Submission | UploadedSubmission) -> bytes:
    digest = hashlib.sha256(submission.options.model_dump_json().encode())
    for file in (submission.photo, submission.mask or b""):
        digest.update(len(file).to_bytes(8))
        for chunk in file.chunks() if isinstance(file, Upload) else [file]:
            digest.update(chunk)
    return digest.digest()
