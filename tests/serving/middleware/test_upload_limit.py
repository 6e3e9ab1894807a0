import asyncio
import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.problem_details import ProblemDetails
from sam3d_bento.serving.middleware.upload_limit import UploadLimit


async def echo(request: Request) -> Response:
    return Response(await request.body())


def client(**options):
    return TestClient(
        AccessLog(ProblemDetails(UploadLimit(Starlette(routes=[Route("/", echo, methods=["POST"])]), **options)))
    )


SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b"", "state": {}}


def speak(app, receive):
    """Call the ASGI interface itself; the messages sent."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(app(dict(SCOPE), receive, send))
    return sent


def test_a_body_within_the_limit_passes():
    assert client(max_bytes=10).post("/", content=b"0123456789").content == b"0123456789"


def test_a_declared_length_above_the_limit_is_refused():
    answer = client(max_bytes=10).post("/", content=b"0123456789A")
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert "10 bytes" in answer.json()["detail"]


def test_the_refusal_has_the_advice_of_its_path_and_of_no_other():
    advised = client(max_bytes=10, advice={re.compile("/"): "Send less.", re.compile("/other"): "Send more."})
    refused = advised.post("/", content=b"0123456789A")
    assert refused.json()["detail"] == "The upload is larger than 10 bytes. Send less."


def test_an_undeclared_length_is_counted():
    sent = []

    def chunks():
        for _ in range(1000):
            sent.append(1)
            yield b"01234"

    answer = client(max_bytes=10).post("/", content=chunks())
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_response_that_has_started_is_not_answered_twice():
    async def starts_before_reading(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive()).get("more_body"):
            pass

    async def endless() -> dict:
        return {"type": "http.request", "body": b"01234", "more_body": True}

    sent = speak(AccessLog(UploadLimit(starts_before_reading, max_bytes=10)), endless)
    assert [message["status"] for message in sent] == [200]


def test_a_length_of_thousands_of_digits_is_too_large():
    answer = client(max_bytes=10).post("/", content=b"x", headers={"content-length": "9" * 5000})
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "0x10", ""])
def test_a_length_that_is_no_number_is_refused(length):
    answer = client(max_bytes=10).post("/", content=b"x", headers={"content-length": length.encode()})
    assert answer.status_code == 400


def test_a_client_that_stops_sending_is_let_go():
    async def never() -> dict:
        await asyncio.Event().wait()
        return {}

    inner = Starlette(routes=[Route("/", echo, methods=["POST"])])
    sent = speak(AccessLog(UploadLimit(inner, max_bytes=10, stall_seconds=0.05)), never)
    assert sent[0]["status"] == 408


def drip(chunk, seconds, **options):
    """Send `chunk` again and again, one every so many seconds of a clock that nobody waits for; the answer, and how
    many chunks were taken."""
    now, taken = 0.0, 0

    async def receive() -> dict:
        nonlocal now, taken
        now += seconds
        taken += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    inner = Starlette(routes=[Route("/", echo, methods=["POST"])])
    limit = UploadLimit(inner, **({"max_bytes": 10_000_000} | options), clock=lambda: now)
    return speak(AccessLog(limit), receive), taken


def test_a_byte_now_and_then_does_not_hold_a_connection():
    """One every 29 seconds is within the limit on stalls."""
    sent, taken = drip(b"x", 29.0)
    assert sent[0]["status"] == 408
    assert taken <= 60 / 29 + 2
    assert b"bytes a second" in sent[1]["body"]


def test_the_rate_is_counted_from_the_begin_of_the_body():
    """Ten seconds of data, and then a byte now and then: what was sent has paid for its time, and for no more."""
    sent, taken = drip(b"x" * 4000, 2.0)
    assert sent[0]["status"] == 408
    assert taken * 2.0 <= 70


def test_a_slow_but_steady_upload_is_taken():
    sent, taken = drip(b"x" * 10_000, 1.0, max_bytes=2_000_000)
    assert sent[0]["status"] == 413, "by its size, after minutes"
    assert taken > 180
