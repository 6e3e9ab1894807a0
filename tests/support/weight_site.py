"""A web site on the loopback address that weight files come from, with the faults of real ones."""

import http.server
import threading
from dataclasses import dataclass, field

ETAG = '"version-1"'


@dataclass
class Page:
    """What a GET is answered with.

    ranges: whether the site knows them. cuts: after how many bytes the connection ends; one a request, as they come.
    gate: waited for before anything is sent.
    """

    body: bytes = b""
    status: int = 200
    reason: str | None = None
    headers: dict = field(default_factory=dict)
    etag: str = ETAG
    ranges: bool = True
    cuts: list = field(default_factory=list)
    gate: threading.Barrier | threading.Event | None = None


class Site:
    """`pages` maps a path to a Page, to its body, or to a list: one a request, the last for all that follow.

    `requests` are the paths and headers that were asked for.
    """

    def __init__(self):
        self.pages = {}
        self.requests = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append((self.path, dict(self.headers)))
                page = site.pages.get(self.path, Page(status=404))
                if isinstance(page, list):
                    page = page.pop(0) if len(page) > 1 else page[0]
                site._answer(self, page if isinstance(page, Page) else Page(page))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def ranges(self):
        """The header Range of each request; None where it had none."""
        return [headers.get("Range") for _, headers in self.requests]

    def _answer(self, handler, page):
        if page.gate:
            page.gate.wait(10)
        status, start, headers = page.status, 0, {"ETag": page.etag}
        asked = handler.headers.get("Range")
        if status == 200 and asked and page.ranges and handler.headers.get("If-Range", page.etag) == page.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(page.body) else 416
            headers["Content-Range"] = f"bytes {start}-{len(page.body) - 1}/{len(page.body)}"
        body = page.body[start:] if status != 416 else b""
        handler.send_response(status, page.reason)
        for name, value in (headers | {"Content-Length": len(body)} | page.headers).items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)
