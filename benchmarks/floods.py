"""What the service does under floods and under the largest load: parts of `load.py`.

  floods   /livez while clients send in masses what they should not, each kind in turn
  memory   the memory of all processes together (PSS) under the largest photos, full queues and held uploads

/livez is asked by a process of its own (`livez_probe.py`), each time on a new connection.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from service import FOLDER, running_server, sample_photo
from service import memory as proportional_memory

SECONDS = 8.0
CLIENTS = 8
MANY = 100
SIDE = 8000  # pixels: 64 megapixels
JSON = {"content-type": "application/json"}
PNG = {"content-type": "image/png"}

Flood = Callable[[httpx.Client, str, float], Counter[str]]


def floods(folder: str, scale: float) -> dict[str, Any]:
    found = {}
    with running_server(folder) as (_, client, _):
        params = {"seed": "1", "target_faces": "1000", "texture_size": "512"}
        asked = client.post("/api/inference", content=disc(), params=params, headers=PNG | ACCEPT_JSON)
        result = asked.raise_for_status().json()["id"]
        for name, flood in FLOODS.items():
            with probed(client) as probes:
                answers = flood(client, result, SECONDS * scale)
            found[name] = {"livez": probes, "answers": dict(answers.most_common())}
            print(name, found[name], flush=True)
        assert client.get("/health").json()["losses"] == 0
    return {"seconds_each": SECONDS * scale, "load_average": load_average(), "floods": found}


def memory(folder: str, scale: float) -> dict[str, Any]:
    """PSS, because the processes share pages of libraries, each of which is counted once in the sum."""
    webp, png = largest()
    found: dict[str, Any] = {}
    for name, load in {
        "64 megapixels at the engine beside a mask": (("/api/inference", webp), ("/api/mask", png)),
        "full queues": tuple((path, grown(disc(), 19_500_000)) for path in ("/api/inference", "/api/mask")) * 7
        + (("/api/inference", webp), ("/api/mask", png)),
        "100 held uploads": (),
        "a comment of 19 MB in a GIF": (("/api/inference", commented_gif()),),
    }.items():
        below = Path(folder) / name.replace(" ", "-")
        below.mkdir()
        with running_server(str(below)) as (server, client, _):
            idle = proportional_memory(server.pid)
            held = [held_upload(client) for _ in range(MANY)] if name == "100 held uploads" else []
            with probed(client) as probes:
                answers, most = ask_all(client, load, server.pid)
            for connection in held:
                connection.close()
            found[name] = {
                "idle_bytes": idle,
                "most_bytes": most,
                "livez": probes,
                "answers": dict(answers),
            }
            print(name, found[name], flush=True)
            assert client.get("/health").json()["losses"] == 0
    return {"load_average": load_average(), "loads": found}


@contextlib.contextmanager
def probed(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """Ask /livez all the while; the dictionary has the milliseconds at the end."""
    found: dict[str, Any] = {}
    program = [sys.executable, "-S", str(FOLDER / "benchmarks" / "livez_probe.py"), address_text(client)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as prober:
        assert prober.stdout is not None
        assert prober.stdout.readline() == b"begun\n"
        yield found
        output, _ = prober.communicate()
    taken = sorted(json.loads(output))
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found["probes"] = len(taken)
    found["milliseconds"] = {name: taken[int(share * (len(taken) - 1))] for name, share in shares.items()}


def address_text(client: httpx.Client) -> str:
    return f"{client.base_url.host}:{client.base_url.port}"


def connect(client: httpx.Client, head: str, receive_bytes: int = 0) -> socket.socket:
    """A connection on which the head of a request has been sent."""
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(60)
    connection.connect((client.base_url.host, client.base_url.port))
    connection.sendall(f"{head} HTTP/1.1\r\nHost: x\r\n".encode())
    return connection


def again_and_again(act: Callable[[httpx.Client], str], client: httpx.Client, seconds: float) -> Counter[str]:
    """Act in CLIENTS threads until the time is over; how often each outcome came."""
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + seconds

    def work() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            while time.monotonic() < until:
                try:
                    outcomes[act(own)] += 1
                except (httpx.TransportError, OSError):
                    outcomes["cut"] += 1

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def large_json(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    body = b"[" + b",".join([b"[" * 1000 + b"]" * 1000] * 9000) + b"]"
    paths = [f"/api/assets/{result}/export", "/api/inference", "/api/mask", "/api/jobs"]
    turns = iter(range(10**9))
    return again_and_again(
        lambda own: str(own.post(paths[next(turns) % 4], content=body, headers=JSON).status_code), client, seconds
    )


def export_orders(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    order = json.dumps({"format": "glb"}) + " " * 60_000
    path = f"/api/assets/{result}/export"
    return again_and_again(lambda own: str(own.post(path, content=order, headers=JSON).status_code), client, seconds)


def tiny_chunks(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    def act(own: httpx.Client) -> str:
        with connect(own, "POST /api/mask") as connection:
            connection.sendall(b"Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n")
            for _ in range(40):
                connection.sendall(b"1\r\nx\r\n" * 20_000)
            return connection.recv(100).split()[1].decode()

    return again_and_again(act, client, seconds)


def event_streams(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    job = client.post("/api/jobs", content=sample_photo(), headers=PNG).json()
    return held_open(client, [f"GET {job['links']['events']}"] * 400, "\r\n", seconds)


def open_requests(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    rest = "Content-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    return held_open(client, ["POST /api/mask"] * 900, rest, seconds)


def held_open(client: httpx.Client, heads: list[str], rest: str, seconds: float) -> Counter[str]:
    """Hold so many requests open; what they had been answered at the end."""
    outcomes: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(client, head)) for head in heads]
        for connection in held:
            connection.sendall(rest.encode())
        threading.Event().wait(seconds)
        for connection in held:
            connection.setblocking(False)
            try:
                outcomes[connection.recv(100).split()[1].decode()] += 1
            except BlockingIOError:
                outcomes["open"] += 1
            except (OSError, IndexError):
                outcomes["cut"] += 1
    return outcomes


def slow_uploads(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(client, "POST /api/mask")) for _ in range(MANY)]
        for connection in held:
            connection.sendall(b"Content-Type: image/png\r\nContent-Length: 150000\r\n\r\n")
        return moved(held, lambda connection: connection.sendall(bytes(1000)), seconds)


def slow_downloads(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
    with contextlib.ExitStack() as stack:
        path = f"GET /api/assets/{result}.glb"
        held = [stack.enter_context(connect(client, path, receive_bytes=4096)) for _ in range(MANY)]
        for connection in held:
            connection.sendall(b"\r\n")
        return moved(held, lambda connection: connection.recv(1000), seconds)


def moved(held: list[socket.socket], act: Callable[[socket.socket], object], seconds: float) -> Counter[str]:
    """Act on each connection four times a second."""
    outcomes: Counter[str] = Counter()
    until, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < until:
        for connection in held:
            try:
                act(connection)
                outcomes["moved"] += 1
            except OSError:
                outcomes["cut"] += 1
        pause.wait(0.25)
    return outcomes


def new_connections(kind: str) -> Flood:
    def flood(client: httpx.Client, result: str, seconds: float) -> Counter[str]:
        program = [sys.executable, "-m", "tests.support.flood", kind, address_text(client)]
        running = [
            subprocess.Popen(program, cwd=FOLDER, stdout=subprocess.PIPE)  # our own program
            for _ in range(CLIENTS)
        ]
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == b"begun\n"
        before, dropped = counter("snmp", "Tcp:", "ActiveOpens"), counter("netstat", "TcpExt:", "ListenOverflows")
        threading.Event().wait(seconds)
        count = counter("snmp", "Tcp:", "ActiveOpens") - before
        dropped = counter("netstat", "TcpExt:", "ListenOverflows") - dropped
        for one in running:
            one.kill()
            one.communicate()
        # The client of a connection that found the kernel's queue full tries again after a second.
        return Counter(
            {
                "connections a second, of this machine": round(count / seconds),
                "overflows of the kernel's queue": dropped,
            }
        )

    return flood


def counter(file: str, group: str, name: str) -> int:
    """A counter of the kernel's for all of this machine since its start: RFC 4022, and the kernel's own."""
    lines = Path(f"/proc/net/{file}").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith(group))
    return int(values[names.index(name)])


def ask_all(client: httpx.Client, load: tuple[tuple[str, bytes], ...], pid: int) -> tuple[Counter[str], int]:
    """Post all at once; how they were answered, and the most memory meanwhile. Without any, look for SECONDS."""
    answers: Counter[str] = Counter()

    def ask(path: str, content: bytes) -> None:
        params = {"seed": "1", "target_faces": "1000", "texture_size": "512"} if path == "/api/inference" else {}
        headers = {"content-type": "application/octet-stream"}
        url = f"http://{address_text(client)}{path}"
        answers[str(httpx.post(url, content=content, params=params, headers=headers, timeout=300).status_code)] += 1

    threads = [threading.Thread(target=ask, args=one) for one in load]
    for thread in threads:
        thread.start()
    until, most, pause = time.monotonic() + (0 if load else SECONDS), 0, threading.Event()
    while any(thread.is_alive() for thread in threads) or time.monotonic() < until:
        most = max(most, proportional_memory(pid))
        pause.wait(0.05)
    assert answers.total() == len(load)  # a thread that failed would make a false figure
    return answers, most


def held_upload(client: httpx.Client) -> socket.socket:
    """Begin an upload of 19 MB, send what is taken of a megabyte, and hold it."""
    connection = connect(client, "POST /api/mask")
    connection.sendall(b"Content-Type: image/png\r\nContent-Length: 19000000\r\n\r\n")
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.send(bytes(1_000_000))
    return connection


def disc(side: int = 64) -> bytes:
    """A cut-out disc as a PNG."""
    file = io.BytesIO()
    disc_image(side).save(file, "PNG")
    return file.getvalue()


def disc_image(side: int) -> Image.Image:
    y, x = np.mgrid[:side, :side].astype(np.int32)
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[..., 0], pixels[..., 1] = x % 256, y % 256
    pixels[..., 3] = ((x - side // 2) ** 2 + (y - side // 2) ** 2 < (side // 3) ** 2) * 255
    return Image.fromarray(pixels)


def largest() -> tuple[bytes, bytes]:
    """A cut-out of 64 megapixels as a lossless WebP, the format that takes most memory to decode, and as a PNG."""
    image = disc_image(SIDE // 40).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    webp, png = io.BytesIO(), io.BytesIO()
    image.save(webp, "WEBP", lossless=True, method=0)
    image.save(png, "PNG", compress_level=1)
    return webp.getvalue(), png.getvalue()


def grown(png: bytes, length: int) -> bytes:
    """The PNG with a private chunk that makes it so long: W3C PNG, sections 5.3 and 5.4."""
    body = b"grOw" + bytes(length - len(png) - 12)
    return png[:33] + (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4) + png[33:]


def commented_gif() -> bytes:
    """A GIF whose comment is 19 MB long: GIF89a, section 24."""
    file = io.BytesIO()
    disc_image(64).convert("RGB").save(file, "GIF")
    data = file.getvalue()
    table = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 128 else 0)
    return data[:table] + b"\x21\xfe" + (b"\xff" + b"c" * 255) * 74_000 + b"\0" + data[table:]


def load_average() -> float:
    """Of the last minute; the clients of these measurements are part of it."""
    return round(os.getloadavg()[0], 2)


ACCEPT_JSON = {"accept": "application/json"}
FLOODS: dict[str, Flood] = {
    "large JSON at each route": large_json,
    "export orders": export_orders,
    "tiny chunks": tiny_chunks,
    "event streams": event_streams,
    "slow uploads": slow_uploads,
    "slow downloads": slow_downloads,
    "open requests": open_requests,
    "new connections with a request": new_connections("a request"),
    "new connections with half a head": new_connections("half a head, held"),
    "new connections with nothing": new_connections("nothing"),
}
