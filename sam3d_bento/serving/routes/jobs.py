"""Routes of the jobs API: submit a photo as a job, follow it, cancel it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sam3d_bento.errors import BadRequest, Busy, NotFound, StorageUnavailable
from sam3d_bento.serving import problems
from sam3d_bento.serving.job_status import ENDS, FollowedJob, JobState, JobStatus
from sam3d_bento.serving.jobs import IDEMPOTENCY_KEY, Claim, Jobs
from sam3d_bento.serving.request_context import backend, client_id, note, request_id
from sam3d_bento.serving.routes import upload_form
from sam3d_bento.serving.routes.handlers import link, problem_responses, with_urls

# Pause between two heartbeats of an event stream. Proxies close a connection that is silent for 30 to 60 seconds.
HEARTBEAT_SECONDS = 15.0
# Event streams of one job. A page follows its job once, in a few tabs at most.
MAX_STREAMS_PER_JOB = 32
# Pause after which a browser reopens an event stream that was cut.
RETRY_MILLISECONDS = 2000
# Longest wait for the store when the status of a job is read. A bucket responds within tenths of a second.
STORE_TIMEOUT_SECONDS = 2.0

# Whether a job's result can be fetched. None: there is no result yet, or the store does not respond.
ResultState = Literal["kept", "gone"] | None


@problem_responses
async def submit(request: Request) -> Response:
    """Submit a photo as a job."""
    jobs = backend().jobs
    key = request.headers.get("idempotency-key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise BadRequest("The header Idempotency-Key must have 1 to 200 printable ASCII characters.")
    owned = None if key is None else (client_id(request), key)
    if owned is None or not jobs.knows(owned):
        backend().worker.admit()  # refuses before the upload is read
    submission = (await upload_form.read(request, delivery=False)).submission
    claim = None if owned is None else await Claim.of(owned, submission)
    job = jobs.submit(submission, request_id(request), claim)
    note(request, job=job.id)
    del submission  # only the job holds the upload, until its run ends
    headers = {"Location": link(f"/api/jobs/{job.id}"), "Cache-Control": "no-store"}
    return JSONResponse(await described(job, job.now, request), 200 if job.ended else 202, headers)


@problem_responses
async def job(request: Request) -> Response:
    """Return the status of a job. DELETE cancels it, and has no effect on a job that has ended."""
    found = backend().jobs.get(request.path_params["id"])
    if request.method == "DELETE":
        found.cancel()
    status = 202 if request.method == "DELETE" and not found.ended else 200
    return JSONResponse(await described(found, found.now, request), status, {"Cache-Control": "no-store"})


@problem_responses
async def events(request: Request) -> Response:
    """Stream the job's status now and at every change until it ends, as server-sent events."""
    found = backend().jobs.get(request.path_params["id"])
    last = request.headers.get("last-event-id", "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else None
    if found.ended and after == found.now.number:
        return Response(status_code=204)  # tells a browser not to reconnect
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="text/event-stream")
    jobs = backend().jobs
    if found.streams >= MAX_STREAMS_PER_JOB or jobs.streams >= backend().settings.max_event_streams:
        raise Busy("Too many event streams are open. Poll the job's status instead.", retry_after_seconds=5)
    return _EventStream(jobs, found, _stream(found, after, request), headers)


class _EventStream(StreamingResponse):
    """Stream of a job's events, which is counted while it is open."""

    def __init__(self, jobs: Jobs, followed: FollowedJob, events: AsyncIterator[bytes], headers: dict[str, str]):
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._counters = (jobs, followed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for counter in self._counters:
            counter.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            for counter in self._counters:
                counter.streams -= 1


async def _stream(followed: FollowedJob, after: int | None, request: Request) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    async for moment in followed.events(after, HEARTBEAT_SECONDS):
        yield b": still here\n\n" if moment is None else await _written(followed, moment, request)


async def _written(followed: FollowedJob, moment: JobStatus, request: Request) -> bytes:
    """Return the encoded event. All streams of a job share the bytes that the first one has encoded."""
    base = str(request.base_url)
    if followed.last_event is not None and followed.last_event[:2] == (moment.number, base):
        return followed.last_event[2]
    name = moment.state if moment.state in ENDS else "progress"
    data = json.dumps(await described(followed, moment, request), separators=(",", ":"))
    event = f"id: {moment.number}\nevent: {name}\ndata: {data}\n\n".encode()
    followed.last_event = (moment.number, base, event)
    return event


async def described(followed: FollowedJob, moment: JobStatus, request: Request) -> dict[str, Any]:
    """Return the job as JSON values, with its status at that moment. `result` is the current state of the result."""
    done = moment.state is JobState.DONE
    report = with_urls(request, followed.report) if done and followed.report else None
    error = followed.error if moment.state in ENDS else None
    path = f"/api/jobs/{followed.id}"
    result = await _result_state(report["id"]) if report else None
    return {
        "id": followed.id,
        "state": moment.state,
        "stage": moment.stage,
        "stage_fraction": moment.stage_fraction,
        "fraction": moment.fraction,
        "position": moment.position,
        "estimated_seconds": moment.estimated_seconds,
        "created": followed.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": moment.seconds,
        "objects": [asdict(each) for each in moment.objects],
        "warnings": report["warnings"] if report else [],
        "report": report,
        "result": result,
        "problem": problems.document(error, followed.label) if error else None,
        "links": {
            "self": link(path),
            "events": link(f"{path}/events"),
            "asset": link(f"/api/assets/{report['id']}.glb") if report and result != "gone" else None,
        },
    }


async def _result_state(asset_id: str) -> ResultState:
    """Return whether the result still exists. It may have been deleted, or removed to make room for others."""
    try:
        async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
            await backend().assets.get(asset_id)
    except NotFound:
        return "gone"
    except (StorageUnavailable, TimeoutError):
        return None
    return "kept"


routes = [
    Route("/api/jobs", submit, methods=["POST"]),
    Route("/api/jobs/{id}", job, methods=["GET", "DELETE"]),
    Route("/api/jobs/{id}/events", events),
]
