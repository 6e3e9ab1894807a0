"""What the tests of faults ask a real server."""

import os
import socket
import threading
from pathlib import Path

import httpx

from tests.support import processes
from tests.support.waiting import PATIENCE

SMALL = {"target_faces": "1000", "texture_size": "512", "seed": "1"}


def post(server, content, **headers):
    """A photo, or a verb of `faulty_runner`, to /api/inference."""
    headers = {"content-type": "application/octet-stream", **headers}
    return httpx.post(f"{server.url}/api/inference", content=content, params=SMALL, headers=headers, timeout=PATIENCE)


def asking(server, content):
    """The same in a thread, which has `answer` when it has ended."""
    thread = threading.Thread(target=lambda: setattr(thread, "answer", post(server, content)))
    thread.start()
    return thread


def problem(answer):
    return answer.status_code, answer.json()["code"], answer.json()["retryable"]


def health(server):
    return httpx.get(f"{server.url}/health", timeout=PATIENCE).json()


def well(server):
    return server.wait_until(200)


def engine_pid(server):
    """The process that reconstructs now; it must be idle. The service has others, for masks and exports."""
    return post(server, b"nap:0", accept="application/json").json()["pid"]


def service_pid(server):
    """The process that speaks HTTP: the parent of engine processes."""
    tree = processes.tree(server.process.pid)
    engine = next(pid for pid in tree if processes.ENGINE_PROGRAM in processes.command(pid))
    return int(Path(f"/proc/{engine}/stat").read_text().rsplit(")")[1].split()[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def request(path, length, *, method="POST", **headers):
    """The head of a request on a raw socket."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join([*lines, "Content-Type: image/png", "", ""])).encode()


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]
