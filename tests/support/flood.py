"""Opens new connections to a server, as many as it can, until it is killed.

Usage: python -m tests.support.flood KIND HOST:PORT. Writes "begun" when the first connections are there.
"""

import contextlib
import http.client
import socket
import sys
import time
from collections import deque

REQUEST = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
# What is sent on each connection, and how many connections are held open; those of the others are closed at once.
KINDS = {
    "nothing": (b"", 0),
    "nothing, held": (b"", 2000),
    "half a head, held": (b"GET /api/options HTT", 2000),
    "a request": (REQUEST % b"/api/options", 0),
    "a request, held": (REQUEST % b"/api/options", 2000),
    "a probe": (REQUEST % b"/livez", 0),
}
PATIENCE_SECONDS = 5


def flood(kind, address):
    """Open connections of a kind for ever."""
    content, most_held = KINDS[kind]
    held = deque()
    count = 0
    while True:
        connection = socket.socket()
        connection.settimeout(PATIENCE_SECONDS)
        try:
            connection.connect(address)
            connection.sendall(content)
            count += 1
        except ConnectionRefusedError:  # the server has ended: it is not the processor that is to be flooded
            time.sleep(0.1)
        except OSError:
            pass
        held.append(connection)
        if len(held) > most_held:
            held.popleft().close()
        if count == 10:
            print("begun", flush=True)


def probe(url, path="/livez", timeout=60):
    """Ask a probe on a connection of its own, in less time than it takes to make a client of httpx."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path)
        assert connection.getresponse().status == 200


if __name__ == "__main__":
    host, port = sys.argv[2].split(":")
    flood(sys.argv[1], (host, int(port)))
