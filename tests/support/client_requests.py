"""The requests of tests/serving/routes/client_requests: whole HTTP/1.1 requests as many libraries write them."""

from dataclasses import dataclass

import h11

from tests.support.places import PROJECT

FOLDER = PROJECT / "tests" / "serving" / "routes" / "client_requests"
PHOTO = FOLDER / "photo.png"
NAMES = sorted(path.stem for path in FOLDER.glob("*.http"))


@dataclass(frozen=True)
class ClientRequest:
    """path: with a query, if there is one. headers: those of the message and its host are left out."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


def raw(name):
    """Return the bytes of a request."""
    return (FOLDER / f"{name}.http").read_bytes()


def parsed(name):
    """Return a request as an HTTP server reads it: chunks joined."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw(name))
    head, body = connection.next_event(), b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), "the whole request is there"
    of_transport = (b"host", b"content-length", b"transfer-encoding", b"connection")
    return ClientRequest(
        head.target.decode(), [pair for pair in head.headers if pair[0].lower() not in of_transport], body
    )
