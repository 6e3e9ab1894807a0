import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sam3d_bento.serving.backend import Backend
from sam3d_bento.settings import Settings


class FileHost(ThreadingHTTPServer):
    """A host of files on the loopback interface, over real HTTP, that does what a request's path says.

    requests: what came, as (method, path with query, headers, body).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FileHostHandler)
        self.requests = []
        self.files = {}
        self.redirects_to = "http://169.254.169.254/latest/meta-data/"
        self.closing = threading.Event()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class FileHostHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append(("GET", self.path, self.headers, b""))
        path = self.path.partition("?")[0]
        if path in self.server.files:
            self.answer(200, self.server.files[path])
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()  # no length: the body lasts as long as the connection
            try:
                while not self.server.closing.is_set():
                    self.wfile.write(b"x" * 4096)
            except OSError:  # the client has heard enough
                self.close_connection = True
        elif path == "/silent":
            self.server.closing.wait()
        elif path == "/redirect":
            self.answer(302, b"", {"Location": self.server.redirects_to})
        else:
            self.answer(int(path.removeprefix("/status/")))

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(("PUT", self.path, self.headers, body))
        path = self.path.partition("?")[0]
        if path == "/redirect":
            self.answer(307, b"", {"Location": self.server.redirects_to})
        else:
            self.answer(int(path.removeprefix("/status/")) if path.startswith("/status/") else 200)

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def file_host():
    host = FileHost()
    thread = threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield host
    host.closing.set()
    host.shutdown()
    host.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path):
    return Settings(
        work_dir=tmp_path / "work",
        output_dir=tmp_path / "outputs",
        engine="preview",
        deadline_seconds=20,
        queue_limit=2,
        max_upload_bytes=1_000_000,
        allowed_hosts=("127.0.0.1",),
    )


@pytest.fixture
def start_backend(settings, monkeypatch):
    """A factory of backends whose engine process runs a FakeRunner; all are stopped at the end."""
    started = []

    def start(loader="FakeRunner", **changes):
        started.append(Backend(settings.model_copy(update=changes), f"tests.support.fake_runner:{loader}"))
        return started[-1]

    yield start
    for backend in started:
        backend.stop()
