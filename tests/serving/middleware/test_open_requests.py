"""No more than so many requests are open at once; the probes are always answered."""

import asyncio

import pytest
from starlette.responses import Response

from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.open_requests import OpenRequests

pytestmark = pytest.mark.anyio


async def ask(app, path):
    """Send a request; its status."""
    statuses = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "state": {}}
    await app(scope, receive, send)
    return statuses[0]


async def test_request_above_the_limit_is_busy_until_another_ends():
    end = asyncio.Event()

    async def waits(scope, receive, send):
        if scope["path"] == "/wait":
            await end.wait()
        if scope["path"] == "/fail":
            raise ZeroDivisionError
        await Response("x")(scope, receive, send)

    app = AccessLog(OpenRequests(waits, limit=2))
    held = [asyncio.create_task(ask(app, "/wait")) for _ in range(2)]
    await asyncio.sleep(0)
    assert await ask(app, "/any") == 429
    assert [await ask(app, path) for path in ("/livez", "/readyz", "/health", "/metrics")] == [200] * 4
    end.set()
    assert await asyncio.gather(*held) == [200, 200]
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await ask(app, "/fail")
    assert await ask(app, "/any") == 200
