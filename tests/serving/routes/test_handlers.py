"""What the handlers of all routes share, without a server."""

import asyncio
import json
from types import SimpleNamespace

import bentoml
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from sam3d_bento.errors import Busy, Cancelled
from sam3d_bento.serving.routes import handlers
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Submission

pytestmark = pytest.mark.anyio
ID = "0" * 32


class Client:
    """Who asks, and may go away. `request` is what a handler gets."""

    def __init__(self):
        self.gone = asyncio.Event()
        headers = [(b"host", b"shop.example:8000")]
        state = {"request_id": "the-request", "log_fields": {}}
        scope = {"type": "http", "method": "POST", "path": "/api/x", "query_string": b"", "headers": headers}
        self.request = Request({**scope, "scheme": "http", "state": state}, self._receive)

    async def _receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def job():
    return Job(Submission(b"photo"), "test", lambda job: job.cancelled.set())


@pytest.fixture
def public_url(monkeypatch):
    """Let the service that runs have this SAM3D_PUBLIC_URL."""

    def public_url(url):
        service = SimpleNamespace(backend=SimpleNamespace(settings=SimpleNamespace(public_url=url)))
        monkeypatch.setattr(bentoml, "get_current_service", lambda: service)

    return public_url


async def test_the_jobs_result_is_awaited(job):
    waiting = asyncio.create_task(handlers.result(job, Client().request))
    await asyncio.sleep(0)
    job.future.set_result("a model")
    assert await waiting == "a model"
    assert not job.cancelled.is_set()


async def test_the_jobs_error_is_the_callers(job):
    job.future.set_exception(Busy("Later."))
    with pytest.raises(Busy):
        await handlers.result(job, Client().request)


async def test_a_client_that_goes_away_cancels_the_job_and_the_worker_has_the_last_word(job):
    client = Client()
    waiting = asyncio.create_task(handlers.result(job, client.request))
    client.gone.set()
    while not job.cancelled.is_set():
        await asyncio.sleep(0)
    assert not waiting.done(), "the job's end is awaited: its directory goes before"
    job.future.set_exception(Cancelled("It was."))
    with pytest.raises(Cancelled):
        await waiting


async def test_a_cancelled_await_cancels_the_job(job):
    waiting = asyncio.create_task(handlers.result(job, Client().request))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert job.cancelled.is_set()


async def test_an_error_of_the_tree_becomes_its_problem_and_is_noted_for_the_log():
    @handlers.problem_responses
    async def handler(request):
        """What it does."""
        raise Busy("All places are taken.", retry_after_seconds=7)

    request = Client().request
    answer = await handler(request)
    assert (answer.status_code, answer.media_type) == (429, "application/problem+json")
    assert answer.headers["retry-after"] == "7"
    problem = json.loads(answer.body)
    assert (problem["code"], problem["detail"], problem["request_id"]) == (
        "busy",
        "All places are taken.",
        "the-request",
    )
    assert request.scope["state"]["log_fields"] == {"outcome": "busy", "detail": "All places are taken."}
    assert (handler.__name__, handler.__doc__) == ("handler", "What it does."), "BentoML and the OpenAPI text read them"


async def test_an_answer_passes_as_it_is_and_a_fault_is_not_hidden():
    @handlers.problem_responses
    async def handler(request):
        return PlainTextResponse("well")

    @handlers.problem_responses
    async def faulty(request):
        raise ZeroDivisionError

    assert (await handler(Client().request)).body == b"well"
    with pytest.raises(ZeroDivisionError):
        await faulty(Client().request)


@pytest.mark.parametrize(
    ("public", "url", "path"),
    [
        (None, f"http://shop.example:8000/api/assets/{ID}.glb", "/api/jobs/1"),
        ("https://models.example", f"https://models.example/api/assets/{ID}.glb", "/api/jobs/1"),
        ("https://models.example/3d/", f"https://models.example/3d/api/assets/{ID}.glb", "/3d/api/jobs/1"),
    ],
)
async def test_links_lie_where_the_client_can_reach_them(public_url, public, url, path):
    public_url(public)
    assert handlers.asset_url(Client().request, ID) == url
    assert handlers.link("/api/jobs/1") == path
