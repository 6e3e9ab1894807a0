"""The whole service in a cgroup of 2 GB, as README.md says that it needs, under the largest load there is."""

import contextlib
import io
import threading
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.asking import SMALL, connect, health, request, service_pid
from tests.support.cgroup import memory_cgroup
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.server, pytest.mark.faults]

LIMIT_BYTES = 2_000_000_000
HELD_UPLOADS = 100
SIDE = 8000  # pixels: 64 megapixels


@pytest.fixture(scope="module")
def largest():
    """A cut-out of 64 megapixels as a lossless WebP, the format that takes most memory to decode, and as a PNG."""
    y, x = np.mgrid[: SIDE // 40, : SIDE // 40].astype(np.int32)
    small = np.zeros((SIDE // 40, SIDE // 40, 4), np.uint8)
    small[..., 0], small[..., 1], small[..., 3] = x, y, ((x - 100) ** 2 + (y - 100) ** 2 < 4000) * 255
    image = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    webp, png = io.BytesIO(), io.BytesIO()
    image.save(webp, "WEBP", lossless=True, method=0)
    image.save(png, "PNG", compress_level=1)
    return webp.getvalue(), png.getvalue()


@pytest.fixture
def confined(start_server):
    """A server with the preview engine in a cgroup, and the cgroup."""
    group = memory_cgroup(LIMIT_BYTES)
    server = start_server(engine="preview")
    group.add(server.process.pid)
    server.wait_until(200)
    yield server, group
    server.stop()
    group.remove()


class Ask(threading.Thread):
    """Posts a photo; `status` and the `text` of an error are there when it is answered."""

    def __init__(self, server, path, content):
        super().__init__()
        self.arguments = (f"{server.url}{path}", content)
        self.start()

    def run(self):
        url, content = self.arguments
        params = SMALL if url.endswith("inference") else {}
        headers = {"content-type": "application/octet-stream"}
        answer = httpx.post(url, content=content, params=params, headers=headers, timeout=240)
        self.status, self.text = answer.status_code, answer.text if answer.is_error else ""


def grown(png, length):
    """Return the PNG with a private chunk that makes it so long: W3C PNG, sections 5.3 and 5.4."""
    body = b"grOw" + bytes(length - len(png) - 12)
    return png[:33] + (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4) + png[33:]


def held_upload(server, length):
    """Begin an upload of so many bytes, send a part of it, and hold it."""
    connection = connect(server)
    connection.sendall(request("/api/mask", length))
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.send(bytes(1_000_000))
    return connection


def test_the_service_lives_in_2_gb_under_the_largest_photos_full_queues_and_held_uploads(confined, largest, photo):
    server, group = confined
    pid, (webp, png) = service_pid(server), largest
    padded = grown(photo, 19_500_000)
    asks = [Ask(server, "/api/inference", webp), Ask(server, "/api/mask", png)]
    until(lambda: health(server)["queue"]["running"])
    asks += [Ask(server, path, padded) for path in ("/api/inference", "/api/mask") for _ in range(7)]
    asks.append(Ask(server, "/api/mask", webp))
    until(lambda: health(server)["queue"]["waiting"] >= 7)
    held = [held_upload(server, 19_000_000) for _ in range(HELD_UPLOADS)]
    most = 0
    while any(ask.is_alive() for ask in asks):
        most = max(most, group.bytes)
        assert httpx.get(f"{server.url}/livez", timeout=5).status_code == 200
        threading.Event().wait(0.05)
    print(f"most memory: {most / 2**20:.0f} MiB of {LIMIT_BYTES / 2**20:.0f}")
    for connection in held:
        connection.close()
    assert group.kills == 0
    assert [ask.text for ask in asks if ask.status != 200] == []
    assert service_pid(server) == pid
    assert health(server)["losses"] == 0
    assert httpx.post(f"{server.url}/api/mask", content=photo, timeout=PATIENCE).status_code == 200
