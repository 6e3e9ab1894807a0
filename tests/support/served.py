"""uvicorn in a thread of this process, around an app that waits, sends and reads."""

import asyncio
import socket
import threading

import uvicorn

from tests.support.waiting import PATIENCE, until

DOWNLOAD = bytes(40_000_000)


class Served:
    """uvicorn in a thread, with an app of three paths.

    /wait answers when `release` or `over` is set; /download sends 40 MB; /upload reads the body; others answer at once.
    """

    def __init__(self):
        self.release, self.over = threading.Event(), threading.Event()
        self.loop = None
        self.requests = 0
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="critical", lifespan="off", interface="asgi3"))
        self.end = socket.create_server(("127.0.0.1", 0))
        self.address = self.end.getsockname()
        self.thread = threading.Thread(target=self.server.run, args=([self.end],))
        self.thread.start()
        until(lambda: self.server.started)

    async def app(self, scope, receive, send):
        self.loop = asyncio.get_running_loop()
        self.requests += 1
        body = b"done"
        if scope["path"] == "/wait":
            while not (self.release.is_set() or self.over.is_set()):
                await asyncio.sleep(0.01)
        elif scope["path"] == "/upload":
            while (await receive()).get("more_body"):
                pass
        elif scope["path"] == "/download":
            body = DOWNLOAD
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    def connections(self):
        return self.server.server_state.connections

    def connect(self, head=b"", more=b""):
        """A connection; head: the method and the path of a request. Returns when that is at work."""
        before = self.requests
        connection = socket.create_connection(self.address, timeout=PATIENCE)
        if head:
            connection.sendall(head + b" HTTP/1.1\r\nHost: x\r\n" + more)
            until(lambda: self.requests > before)
        return connection

    def ended(self, seconds):
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def end_now(self):
        self.release.set()
        self.over.set()
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()
        self.end.close()
